"""The terminal of `orch exec`: tells the command of each change of its size. Raw mode is the session's own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engine.protocol import ExecSession

STREAMS = (0, 1, 2)
"""File descriptors of this process: input, output, errors."""


async def run(session: ExecSession, *, with_tty: bool) -> int:
    """The exit code of the session's command; its input and output are this process's."""
    sys.stdout.flush()
    with _sized(session) if with_tty else contextlib.nullcontext():
        return await session.run(*STREAMS)


@contextlib.contextmanager
def _sized(session: ExecSession) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    resizes: set[asyncio.Task[None]] = set()

    def resize() -> None:
        columns, rows = os.get_terminal_size(STREAMS[0])
        task = loop.create_task(session.resize(rows, columns))
        resizes.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(resizes.discard)

    loop.add_signal_handler(signal.SIGWINCH, resize)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
