"""The contract of the store: a small key-value space with revisions.

Memory, SQLite and (later) etcd keep it and answer one conformance suite. A key's revision is the store-wide number of
the write that last changed it; 0 means "does not exist". Nothing is written by a transaction of which one condition
fails.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it stands. `revision` is the write that put it there."""

    key: str
    value: bytes
    revision: int


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """Write `value`. `replaces`: the revision that must be there now; 0: nothing may be there; None: whatever is."""

    key: str
    value: bytes
    replaces: int | None = None
    lease: str = ""
    """The entry goes when that lease ends."""


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    replaces: int | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch tells. `value` None: deleted."""

    key: str
    value: bytes | None
    revision: int


class Store(Protocol):
    async def get(self, key: str) -> Entry | None: ...

    async def list(self, prefix: str) -> tuple[Entry, ...]:
        """In the order of the keys."""

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """The keys alone, in order: for long values that nobody asks for."""

    async def write(self, *changes: Put | Delete) -> int:
        """All or nothing; the store's revision afterwards: one more, or the same when there was nothing to change.

        Each key at most once. What must hold is looked at before anything is written.

        raises RevisionConflict: the message names the key, and nothing was written
        raises LeaseLost: a `lease` of a Put has ended
        """

    def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        """Every change of keys under `prefix` above revision `after`, in order, also those of other processes.

        Ends when the store is closed. To miss nothing: `after = await revision()`, then `list`, then watch.

        raises StoreError: those changes are not kept any more; list again, and watch from the store's revision
        """

    async def revision(self) -> int:
        """The number of the last write."""

    async def grant(self, *, ttl_s: float) -> str:
        """A new lease; ends `ttl_s` after its last `keep`."""

    async def keep(self, lease: str) -> None:
        """raises LeaseLost"""

    async def revoke(self, lease: str) -> None:
        """Ends it now, and all entries that hang on it."""

    async def close(self) -> None: ...
