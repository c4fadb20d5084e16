"""What every store does alike: how a watch waits, and how a refused write or watch is worded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from orchestrator.errors import LeaseLost, RevisionConflict, StoreError
from orchestrator.store.protocol import Change

POLL_S = 0.04
"""How long a watch may miss what another process wrote, or that a lease has ended."""

News = Callable[[str, int], Awaitable[tuple[int, tuple[Change, ...]]]]
"""(prefix, after) -> the store's revision, and the changes up to it."""


class Watchers:
    """Those who wait for changes of one store. Writers of this process `ring`; others are noticed within POLL_S."""

    def __init__(self) -> None:
        self._bells: set[asyncio.Event] = set()
        self._is_closed = False

    def ring(self) -> None:
        """Wakes all of them now; to be called in their event loop."""
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        self._is_closed = True
        self.ring()

    async def follow(self, news: News, prefix: str, after: int) -> AsyncGenerator[Change, None]:
        """`Store.watch`."""
        bell = asyncio.Event()
        self._bells.add(bell)
        try:
            while not self._is_closed:
                bell.clear()
                after, changes = await news(prefix, after)
                for change in changes:
                    yield change
                if not changes:
                    await _wait(bell)
        finally:
            self._bells.discard(bell)


async def _wait(bell: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_S):
            await bell.wait()


def check_revision(key: str, *, expected: int | None, there: int) -> None:
    """Whether `key` stands at the revision that a write names; 0 is "does not exist", None any.

    raises RevisionConflict
    """
    if expected is None or expected == there:
        return
    raise RevisionConflict(
        f'"{key}" was changed by somebody else meanwhile',
        why=f"{_standing(expected)} was expected, {_standing(there)} is there",
        fix="read it again, then repeat the change",
    )


def check_kept(after: int, *, oldest: int, newest: int) -> None:
    """Whether all changes above revision `after` are still at hand.

    oldest, newest: the lowest revision that a watch can start after, and the store's own.
    raises StoreError
    """
    if oldest <= after <= newest:
        return
    raise StoreError(
        f"changes after revision {after} can't be told",
        why=f"the store can tell those after {oldest}, and its last revision is {newest}",
        fix="list the entries again, then watch from the store's revision",
    )


def lease_ended(lease: str) -> LeaseLost:
    """The error for a lease that has run out, was revoked, or never was."""
    return LeaseLost(f'the lease "{lease}" has ended', why="it was not kept in time", fix="run the command again")


def closed() -> StoreError:
    """The error for a call after `close`."""
    return StoreError("the store is closed", fix="open it again")


def _standing(revision: int) -> str:
    return f"revision {revision}" if revision else "nothing"
