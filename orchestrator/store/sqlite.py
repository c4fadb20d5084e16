"""The store in one SQLite file: the default. It needs nothing, and serves several processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

from orchestrator.store import tables
from orchestrator.store.database import connect, troubles_named
from orchestrator.store.memory import KEPT_CHANGES
from orchestrator.store.protocol import Change, Delete, Entry, Put
from orchestrator.store.watchers import Watchers, closed
from orchestrator.store.writer import Work, Writer

T = TypeVar("T")


class SqliteStore:
    """`Store` in the file `path`, which is made if it isn't there (file 0600, a new folder 0700).

    Reads are done at once, in the caller's thread; all that may write goes through one thread. Leases end by the wall
    clock of this machine, so that one outlives a process that dies until it is due.

    busy_timeout_s: how long a call waits for another process's write
    clock:          seconds since the epoch
    raises Unavailable: locked for too long, not writable, disk full, no store; StoreError: made by a newer orch
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout_s: float = 5.0,
        clock: Callable[[], float] = time.time,
        kept_changes: int = KEPT_CHANGES,
    ) -> None:
        self.path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self._clock = clock
        self._kept_changes = kept_changes
        self._watchers = Watchers()
        self._writer = Writer(self._connect)
        self._is_closed = False
        with troubles_named(self.path):
            self._reader = self._connect()
            self._reader.execute("PRAGMA query_only = ON")

    async def get(self, key: str) -> Entry | None:
        return await self._read(lambda reader: tables.get(reader, key))

    async def list(self, prefix: str) -> tuple[Entry, ...]:
        return await self._read(lambda reader: tables.entries(reader, prefix))

    async def keys(self, prefix: str) -> tuple[str, ...]:
        return await self._read(lambda reader: tables.keys(reader, prefix))

    async def write(self, *changes: Put | Delete) -> int:
        assert len({change.key for change in changes}) == len(changes), "a transaction names each key once"
        return await self._change(lambda writer: tables.write(writer, changes, self._kept_changes))

    def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        return self._watchers.follow(self._news, prefix, after)

    async def revision(self) -> int:
        return await self._read(tables.revision)

    async def grant(self, *, ttl_s: float) -> str:
        lease = os.urandom(8).hex()
        await self._change(lambda writer: tables.grant(writer, lease, ttl_s, self._clock()))
        return lease

    async def keep(self, lease: str) -> None:
        await self._change(lambda writer: tables.keep(writer, lease, self._clock()))

    async def revoke(self, lease: str) -> None:
        await self._change(lambda writer: tables.end_lease(writer, lease, self._kept_changes))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._watchers.close()
        self._writer.close()
        self._reader.close()

    async def _news(self, prefix: str, after: int) -> tuple[int, tuple[Change, ...]]:
        return await self._read(lambda reader: tables.news(reader, prefix, after))

    async def _read(self, read: Work[T]) -> T:
        """What `read` finds once the leases that are due have ended."""
        if self._is_closed:
            raise closed()
        with troubles_named(self.path):
            if tables.has_ended_leases(self._reader, self._clock()):
                await self._change(lambda _: None)
            return read(self._reader)

    async def _change(self, change: Work[T]) -> T:
        """What `change` returns, durable; leases that are due end first, in the same transaction."""
        if self._is_closed:
            raise closed()
        with troubles_named(self.path):
            result = await self._writer.run(lambda writer: self._settled(writer, change))
        self._watchers.ring()
        return result

    def _settled(self, writer: sqlite3.Connection, change: Work[T]) -> T:
        tables.end_due_leases(writer, self._clock(), self._kept_changes)
        return change(writer)

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, busy_timeout_s=self._busy_timeout_s)
