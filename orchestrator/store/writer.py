"""One thread that does all that may write: the event loop never waits for a disk or for another process's lock."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from orchestrator.store.database import transaction

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
"""Runs within one transaction; what it raises rolls it back."""


class Writer:
    """Runs work one piece at a time, each in a transaction of its own, on a connection that only its thread knows.

    The thread starts with the first work, and is a daemon: an exit of the interpreter does not wait for it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, once it is on the disk. A cancelled caller does not stop work that has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="orch-store-writer", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._queue.put((work, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Returns when all that was asked for is done."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while (item := self._queue.get()) is not None:
            work, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                connection = connection or self._connect()
                with transaction(connection):
                    result = work(connection)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del work, future, item
        if connection:
            connection.close()
