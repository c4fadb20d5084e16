"""One at work at a time, and what happens when the one at work dies, freezes or is slow."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from orchestrator.errors import LeaseLost, Unavailable
from orchestrator.store import MemoryStore, Owner, Put, SqliteStore, StackLock, hold, holder, lease

KEY = "locks/shop"


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


async def test_the_lock_is_there_while_the_block_runs() -> None:
    store = MemoryStore()
    async with hold(store, KEY, owner="orch up") as lock:
        owner = await holder(store, KEY)
        lock.check()

        assert lock.is_held
        assert owner is not None
        assert (owner.pid, owner.doing, owner.is_dead) == (os.getpid(), "orch up", False)
    assert await holder(store, KEY) is None
    assert await store.keys("") == ()


async def test_the_lock_is_released_when_the_block_fails() -> None:
    store = MemoryStore()
    with pytest.raises(ZeroDivisionError):
        async with hold(store, KEY, owner="orch up"):
            _ = 1 / 0

    assert await store.keys("") == ()


async def test_a_second_one_waits_and_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_LOOK_AGAIN_S", 3600)
    store = MemoryStore()
    order: list[str] = []

    async def work(name: str) -> float:
        async with hold(store, KEY, owner=name):
            order.append(f"{name} in")
            await asyncio.sleep(0.05)
            order.append(f"{name} out")
            return time.monotonic()

    started = time.monotonic()
    ended = await asyncio.gather(*(work(name) for name in "abc"))

    assert [step.partition(" ")[2] for step in order] == ["in", "out"] * 3
    assert max(ended) - started < 5, "a release was noticed late"


async def test_a_second_one_that_waited_in_vain_is_told_who_is_at_work() -> None:
    store = MemoryStore()
    async with hold(store, KEY, owner="orch up"):
        with pytest.raises(LeaseLost) as error:
            async with hold(store, KEY, owner="orch down", wait_s=0.05):
                pytest.fail("two hold it")

        assert error.value.what == '"shop" is being worked on by somebody else'
        assert error.value.why.startswith(f'"orch up" (process {os.getpid()} on {os.uname().nodename}, since 20')
        assert await holder(store, KEY) is not None


async def test_other_stacks_are_not_held_up() -> None:
    store = MemoryStore()
    async with hold(store, KEY, owner="a"), hold(store, "locks/shop2", owner="b", wait_s=0) as second:
        assert second.is_held


async def test_a_lock_is_kept_beyond_its_span() -> None:
    store = MemoryStore()
    async with hold(store, KEY, owner="orch up", ttl_s=0.5) as lock:
        for _ in range(8):
            await asyncio.sleep(0.1)
            assert lock.is_held
        assert await holder(store, KEY) is not None


async def test_a_lock_that_was_lost_says_so_once() -> None:
    store, lost = MemoryStore(), []
    async with hold(store, KEY, owner="orch up", ttl_s=0.15, on_lost=lambda: lost.append("lost")) as lock:
        await store.revoke(lock.lease)
        await asyncio.sleep(0.12)

        assert lost == ["lost"]
        assert not lock.is_held
        with pytest.raises(LeaseLost, match="was lost"):
            lock.check()
        async with hold(store, KEY, owner="another", wait_s=0):
            pass


async def test_a_lease_that_ended_by_the_stores_clock_is_noticed() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    async with hold(store, KEY, owner="orch serve", ttl_s=0.15) as lock:
        clock.ahead_s = 3600
        await asyncio.sleep(0.12)

        assert not lock.is_held


class MoodyStore(MemoryStore):
    """Can't be written for a while."""

    is_down = False

    async def keep(self, lease: str) -> None:
        if self.is_down:
            raise Unavailable("down")
        await super().keep(lease)


async def test_a_store_that_is_down_for_a_moment_loses_no_lock() -> None:
    store = MoodyStore()
    async with hold(store, KEY, owner="orch up", ttl_s=0.6) as lock:
        store.is_down = True
        await asyncio.sleep(0.3)
        store.is_down = False
        await asyncio.sleep(0.6)
        assert lock.is_held
        store.is_down = True
        await asyncio.sleep(0.65)
        assert not lock.is_held, "nobody may believe in a lock that could not be kept for its span"


def test_a_lock_is_not_believed_in_after_a_freeze() -> None:
    assert StackLock(KEY, "lease", 15, time.time() - 14).is_held
    assert not StackLock(KEY, "lease", 15, time.time() - 15).is_held


HOLD = """
import asyncio, os, sys
from orchestrator.store import SqliteStore, hold
async def main():
    async with hold(SqliteStore(sys.argv[1]), "locks/shop", owner="orch up", ttl_s=float(sys.argv[2])) as lock:
        os.write(1, b"held\\n")
        for line in sys.stdin:
            break
asyncio.run(main())
"""


def start_holder(path: Path, ttl_s: float = 15.0) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(ttl_s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def take(path: Path, wait_s: float) -> float:
    """Seconds until the lock was had."""
    store = SqliteStore(path)
    started = time.monotonic()
    try:
        async with hold(store, KEY, owner="orch down", wait_s=wait_s):
            return time.monotonic() - started
    finally:
        await store.close()


async def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    path = tmp_path / "orch.db"
    process = await asyncio.to_thread(start_holder, path)
    os.kill(process.pid, signal.SIGKILL)
    waited_s = await take(path, wait_s=5)  # its parent has not waited for it: a zombie is dead
    process.communicate()

    assert waited_s < 3


async def test_a_process_killed_while_another_waits_is_replaced_soon(tmp_path: Path) -> None:
    path = tmp_path / "orch.db"
    process = await asyncio.to_thread(start_holder, path)
    taking = asyncio.ensure_future(take(path, wait_s=5))
    await asyncio.sleep(0.1)
    held = taking.done()
    os.kill(process.pid, signal.SIGKILL)
    waited_s = await taking
    process.communicate()

    assert not held
    assert waited_s < 5


async def test_a_process_that_ends_well_is_followed_within_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "orch.db"
    process = await asyncio.to_thread(start_holder, path)
    taking = asyncio.ensure_future(take(path, wait_s=5))
    await asyncio.sleep(0.1)
    ended = time.monotonic()
    process.communicate("end\n")
    await taking

    assert time.monotonic() - ended < 5


async def test_a_stopped_process_keeps_its_lock_until_its_lease_ends(tmp_path: Path) -> None:
    path = tmp_path / "orch.db"
    process = await asyncio.to_thread(start_holder, path, 0.9)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LeaseLost, match=f"process {process.pid} "):
            await take(path, wait_s=0)
        waited_s = await take(path, wait_s=5)
    finally:
        process.kill()
        process.communicate()

    assert 0.2 < waited_s < 2


def owner(pid: int, started: str, machine: str) -> Owner:
    return Owner(host="h", machine=machine, pid=pid, started=started, doing="orch up", since=datetime.now(UTC))


async def my_owner() -> Owner:
    store = MemoryStore()
    async with hold(store, KEY, owner="orch up"):
        found = await holder(store, KEY)
    assert found is not None
    return found


async def test_a_reused_process_id_is_not_the_holder() -> None:
    me = await my_owner()

    assert not owner(me.pid, me.started, me.machine).is_dead
    assert owner(me.pid, "1", me.machine).is_dead


@pytest.mark.parametrize("dead", [False, True])
async def test_of_several_that_find_it_free_one_has_it_at_a_time(tmp_path: Path, dead: bool) -> None:
    store = SqliteStore(tmp_path / "orch.db")
    if dead:
        me = await my_owner()
        await store.write(Put(key=KEY, value=msgspec.json.encode(owner(me.pid, "another start", me.machine))))
    at_work: list[str] = []
    seen: list[list[str]] = []

    async def work(name: str) -> None:
        async with hold(store, KEY, owner=name):
            at_work.append(name)
            await asyncio.sleep(0.01)
            seen.append(list(at_work))
            at_work.remove(name)

    await asyncio.gather(*(work(name) for name in "abcd"))
    await store.close()

    assert sorted(seen) == [["a"], ["b"], ["c"], ["d"]]


async def test_of_another_machine_nothing_is_known() -> None:
    store = MemoryStore()
    far_lease = await store.grant(ttl_s=60)
    far = owner(1, "no such start", "another boot")
    await store.write(Put(key=KEY, value=msgspec.json.encode(far), lease=far_lease))

    with pytest.raises(LeaseLost, match='"orch up"'):
        async with hold(store, KEY, owner="orch up", wait_s=0.02):
            pass


async def test_a_lock_in_words_of_another_version_is_respected() -> None:
    store = MemoryStore()
    await store.write(Put(key=KEY, value=b"somebody"))

    with pytest.raises(LeaseLost, match="another version of orch"):
        async with hold(store, KEY, owner="orch up", wait_s=0.02):
            pass
