"""One command's talk with the service: opens it, runs the command's work, ends cleanly on Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli import interrupt

if TYPE_CHECKING:
    from orchestrator.service.control import Control

T = TypeVar("T")


@asynccontextmanager
async def _in_this_process(env: Mapping[str, str]) -> AsyncIterator[Control]:
    from orchestrator.service.local import open_control

    async with open_control(env) as control:
        yield control


opener: Callable[[Mapping[str, str]], AbstractAsyncContextManager[Control]] = _in_this_process
"""How a command reaches the service. Tests put their own here."""


def run(work: Callable[[Control], Awaitable[T]]) -> T:
    """What `work` returns. On an interruption `work` is cancelled, ends in its own time, and Interrupted is raised."""
    terminated: list[bool] = []

    async def session() -> T:
        task = asyncio.current_task()
        assert task, "asyncio.run makes a task"

        def on_terminate() -> None:
            terminated.append(True)
            task.cancel()

        with contextlib.suppress(NotImplementedError, RuntimeError):  # only a main thread takes signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_terminate)
        async with opener(os.environ) as control:
            return await work(control)

    try:
        return asyncio.run(session())
    except KeyboardInterrupt:
        raise interrupt.interrupted(interrupt.CTRL_C) from None
    except asyncio.CancelledError:
        assert terminated, "only a signal cancels a command"
        raise interrupt.interrupted(interrupt.TERMINATED) from None
