"""Tasks with one owner: what goes wrong in one comes out where the owner looks, and none outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """`ended` is called after each end. An error of ours that no task expected is kept for `check`."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._running: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._note)
        return task

    def _note(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            self._error = self._error or task.exception()
        self._ended()

    def check(self) -> None:
        """raises the first error that a task has ended with"""
        if self._error:
            raise self._error

    async def close(self) -> None:
        """Returns when all have ended."""
        tasks = tuple(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def together(*work: Awaitable[T]) -> list[T]:
    """All results, in order. As `asyncio.gather`, but the first error, or a cancellation, ends all of it."""
    parts = [asyncio.ensure_future(part) for part in work]
    try:
        return await asyncio.gather(*parts)
    finally:
        for part in parts:
            part.cancel()
