"""One at work at a time: a lock in the store that a process holds while it lives, and whose holder others can name."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.errors import LeaseLost, OrchError, RevisionConflict, StoreError
from orchestrator.store.protocol import Entry, Put, Store

_LOOK_AGAIN_S: Final = 0.5
"""How long the death of a holder on this machine may go unnoticed."""

_DEAD_STATES: Final = ("Z", "X")
"""Source: proc(5), /proc/pid/stat, field 3: a zombie, a process that is going."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock.

    machine: this boot of this host and its space of process ids; equal only where `pid` means the same
    started: the process's own start, so that a reused pid is not taken for it (clock ticks since boot)
    doing:   the command, as a person knows it: `orch up`
    """

    host: str
    machine: str
    pid: int
    started: str
    doing: str
    since: datetime

    def __str__(self) -> str:
        return f'"{self.doing}" (process {self.pid} on {self.host}, since {self.since:%Y-%m-%d %H:%M:%S} UTC)'

    @property
    def is_dead(self) -> bool:
        """It ran on this machine and does not any more. Of other machines nothing is known: False."""
        return self.machine == _machine() and _started(self.pid) != self.started


class StackLock:
    """A lock that this process holds. `is_held` is to be looked at before each write to an engine."""

    def __init__(self, key: str, lease: str, ttl_s: float, kept_at_s: float) -> None:
        self.key, self.lease, self._ttl_s = key, lease, ttl_s
        self._held_until_s = kept_at_s + ttl_s

    @property
    def is_held(self) -> bool:
        """Nobody else can have it: the last `keep` is younger than the lease's span. Also after a freeze."""
        return time.time() < self._held_until_s

    def check(self) -> None:
        """raises LeaseLost: it is not held any more"""
        if not self.is_held:
            raise LeaseLost(
                f'the lock "{self.key}" was lost',
                why=f"it was not kept for {self._ttl_s:g} s",
                fix="run the command again; it goes on where this one ended",
            )

    def _kept(self, at_s: float) -> None:
        self._held_until_s = at_s + self._ttl_s

    def _lost(self) -> None:
        self._held_until_s = 0.0


@asynccontextmanager
async def hold(
    store: Store,
    key: str,
    *,
    owner: str,
    wait_s: float = 10.0,
    ttl_s: float = 15.0,
    on_lost: Callable[[], None] | None = None,
) -> AsyncGenerator[StackLock, None]:
    """The lock `key` (`locks/<stack>`), kept while the block runs, and released at its end.

    A holder that was killed on this machine is replaced at once; one on another machine when its lease ends.

    owner:   what this process does: `orch up`
    wait_s:  how long to wait for another holder to end
    on_lost: called once, in the event loop, when the lock is lost before the block ends
    raises LeaseLost: somebody else holds it for longer; the message says who
    """
    lock = await _acquire(store, key, owner, wait_s, ttl_s)
    keeper = asyncio.create_task(_keep(store, lock, ttl_s, on_lost))
    try:
        yield lock
    finally:
        keeper.cancel()
        with suppress(OrchError):
            await store.revoke(lock.lease)


async def holder(store: Store, key: str) -> Owner | None:
    """Who holds the lock now; None: nobody, or one that is dead."""
    entry = await store.get(key)
    owner = _owner(entry) if entry else None
    return None if owner is None or owner.is_dead else owner


async def _acquire(store: Store, key: str, doing: str, wait_s: float, ttl_s: float) -> StackLock:
    deadline = time.monotonic() + wait_s
    while True:
        seen = await store.revision()
        entry = await store.get(key)
        owner = _owner(entry) if entry else None
        if entry is None or (owner and owner.is_dead):
            with suppress(RevisionConflict):
                return await _take(store, key, doing, ttl_s, replaces=entry.revision if entry else 0)
            continue
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise _taken(key, owner)
        await _change(store, key, after=seen, within_s=min(left_s, _LOOK_AGAIN_S))


async def _take(store: Store, key: str, doing: str, ttl_s: float, *, replaces: int) -> StackLock:
    """raises RevisionConflict: somebody else took it first"""
    granted_at_s = time.time()
    lease = await store.grant(ttl_s=ttl_s)
    try:
        await store.write(Put(key=key, value=msgspec.json.encode(_me(doing)), replaces=replaces, lease=lease))
    except BaseException:
        await store.revoke(lease)
        raise
    return StackLock(key, lease, ttl_s, granted_at_s)


async def _keep(store: Store, lock: StackLock, ttl_s: float, on_lost: Callable[[], None] | None) -> None:
    """Keeps the lease three times in its span; a store that can't be written for a while is asked again."""
    while lock.is_held:
        await asyncio.sleep(ttl_s / 3)
        asked_at_s = time.time()
        try:
            await store.keep(lock.lease)
            lock._kept(asked_at_s)
        except LeaseLost:
            lock._lost()
        except StoreError:
            continue
    if on_lost:
        on_lost()


async def _change(store: Store, key: str, *, after: int, within_s: float) -> None:
    """Returns when something changed there, or when the time is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s), aclosing(store.watch(key, after=after)) as changes:
            await anext(changes, None)


def _owner(entry: Entry) -> Owner | None:
    """None: written by an orch that words it in another way."""
    try:
        return msgspec.json.decode(entry.value, type=Owner)
    except msgspec.DecodeError:
        return None


def _taken(key: str, owner: Owner | None) -> LeaseLost:
    return LeaseLost(
        f'"{key.rpartition("/")[2]}" is being worked on by somebody else',
        why=f"{owner or 'another version of orch'} holds it",
        fix="wait for that to end, or stop it, then run the command again",
    )


def _me(doing: str) -> Owner:
    pid = os.getpid()
    return Owner(
        host=os.uname().nodename,
        machine=_machine(),
        pid=pid,
        started=_started(pid),
        doing=doing,
        since=datetime.now(UTC),
    )


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename


def _started(pid: int) -> str:
    """What tells this run of `pid` from another; "": there is no such process, or it is dead and not yet buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self/stat").exists() else _is_there(pid)
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in _DEAD_STATES else fields[18]


def _is_there(pid: int) -> str:
    """Where there is no /proc (macOS): a reused pid passes for the process, and its lease decides."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "there"
