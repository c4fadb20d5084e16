"""The terminal of `orch exec`: raw while a command runs on it, as it was afterwards, and its size."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from orchestrator.engine.protocol import ExecSession

FIRST_SIZE_TRIES, FIRST_SIZE_PAUSE_S = 20, 0.05
"""The engine takes a size only once the command runs, and tells nobody when. Source: docker/cli, initTtySize."""


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """Keys go to the command, Ctrl-C included; the terminal is as before when this ends, however it ends."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def run(session: ExecSession, *, with_tty: bool) -> int:
    """The exit code of the session's command; its input and output are this process's."""
    fds = (sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno())
    if not with_tty:
        return await session.run(*fds)
    loop = asyncio.get_running_loop()
    with raw(fds[0]):
        sizing = loop.create_task(_first_size(session))
        loop.add_signal_handler(signal.SIGWINCH, lambda: loop.create_task(_resize(session)))
        try:
            return await session.run(*fds)
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            sizing.cancel()


async def _first_size(session: ExecSession) -> None:
    for _ in range(FIRST_SIZE_TRIES):
        if await _resize(session):
            return
        await asyncio.sleep(FIRST_SIZE_PAUSE_S)


async def _resize(session: ExecSession) -> bool:
    """Whether the engine took the terminal's size. A command that ends meanwhile is no error."""
    columns, rows = os.get_terminal_size(sys.stdin.fileno())
    try:
        await session.resize(rows, columns)
    except EngineError:
        return False
    return True
