"""The store in memory: for tests, for simulations, and for a world that nobody needs to remember."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Sequence

from orchestrator.store.protocol import Change, Delete, Entry, Put
from orchestrator.store.watchers import Watchers, check_kept, check_revision, closed, lease_ended

KEPT_CHANGES = 4096
"""Changes that a late watch can still be told."""


class MemoryStore:
    """`Store` in one event loop. `clock`: seconds, for the ends of leases."""

    def __init__(self, *, clock: Callable[[], float] = time.time, kept_changes: int = KEPT_CHANGES) -> None:
        self._clock = clock
        self._kept_changes = kept_changes
        self._entries: dict[str, Entry] = {}
        self._lease_of: dict[str, str] = {}
        self._leases: dict[str, tuple[float, float]] = {}
        """By name: (ttl in seconds, the moment at which it ends)."""
        self._log: list[Change] = []
        self._revision = 0
        self._oldest = 0
        self._watchers = Watchers()
        self._is_closed = False

    async def get(self, key: str) -> Entry | None:
        self._settle()
        return self._entries.get(key)

    async def list(self, prefix: str) -> tuple[Entry, ...]:
        return tuple(self._entries[key] for key in await self.keys(prefix))

    async def keys(self, prefix: str) -> tuple[str, ...]:
        self._settle()
        return tuple(sorted(key for key in self._entries if key.startswith(prefix)))

    async def write(self, *changes: Put | Delete) -> int:
        self._settle()
        assert len({change.key for change in changes}) == len(changes), "a transaction names each key once"
        for change in changes:
            self._check(change)
        self._commit([change for change in changes if isinstance(change, Put) or change.key in self._entries])
        return self._revision

    def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        return self._watchers.follow(self._news, prefix, after)

    async def revision(self) -> int:
        self._settle()
        return self._revision

    async def grant(self, *, ttl_s: float) -> str:
        self._settle()
        lease = os.urandom(8).hex()
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)
        return lease

    async def keep(self, lease: str) -> None:
        self._settle()
        if lease not in self._leases:
            raise lease_ended(lease)
        ttl_s, _ = self._leases[lease]
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)

    async def revoke(self, lease: str) -> None:
        self._settle()
        self._end({lease})

    async def close(self) -> None:
        self._is_closed = True
        self._watchers.close()

    async def _news(self, prefix: str, after: int) -> tuple[int, tuple[Change, ...]]:
        self._settle()
        check_kept(after, oldest=self._oldest, newest=self._revision)
        start = bisect_right(self._log, after, key=lambda change: change.revision)
        return self._revision, tuple(change for change in self._log[start:] if change.key.startswith(prefix))

    def _settle(self) -> None:
        """Ends the leases that are due, so that what follows sees the world without them."""
        if self._is_closed:
            raise closed()
        now = self._clock()
        self._end({lease for lease, (_, ends_at) in self._leases.items() if ends_at <= now})

    def _end(self, leases: set[str]) -> None:
        gone = sorted(key for key, lease in self._lease_of.items() if lease in leases)
        for lease in leases:
            self._leases.pop(lease, None)
        self._commit([Delete(key=key) for key in gone])

    def _check(self, change: Put | Delete) -> None:
        there = self._entries.get(change.key)
        check_revision(change.key, expected=change.replaces, there=there.revision if there else 0)
        if isinstance(change, Put) and change.lease and change.lease not in self._leases:
            raise lease_ended(change.lease)

    def _commit(self, changes: Sequence[Put | Delete]) -> None:
        if not changes:
            return
        self._revision += 1
        for change in changes:
            self._apply(change)
        if len(self._log) > 2 * self._kept_changes:
            self._oldest = self._log[-self._kept_changes - 1].revision
            self._log = [change for change in self._log if change.revision > self._oldest]
        self._watchers.ring()

    def _apply(self, change: Put | Delete) -> None:
        self._lease_of.pop(change.key, None)
        value = change.value if isinstance(change, Put) else None
        if isinstance(change, Delete):
            del self._entries[change.key]
        else:
            self._entries[change.key] = Entry(key=change.key, value=change.value, revision=self._revision)
            if change.lease:
                self._lease_of[change.key] = change.lease
        self._log.append(Change(key=change.key, value=value, revision=self._revision))
