"""What every store promises, asked of each: compare-and-swap, transactions, order, watch, leases.

Then what only a store that several processes share can be asked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, nullcontext
from pathlib import Path

import pytest

from orchestrator.errors import LeaseLost, RevisionConflict, StoreError
from orchestrator.store import Change, Delete, MemoryStore, Put, SqliteStore, Store, watchers


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    store: Store = (
        MemoryStore(clock=clock, kept_changes=300)
        if request.param == "memory"
        else SqliteStore(tmp_path / "orch.db", clock=clock, kept_changes=300)
    )
    yield store
    await store.close()


async def contents(store: Store, prefix: str = "") -> dict[str, bytes]:
    return {entry.key: entry.value for entry in await store.list(prefix)}


async def told(
    watch: AsyncGenerator[Change, None], count: int, within_s: float = 5.0
) -> list[tuple[str, bytes | None]]:
    """The next `count` changes as (key, value)."""
    async with asyncio.timeout(within_s):
        return [((change := await anext(watch)).key, change.value) for _ in range(count)]


async def test_what_was_put_is_there_with_its_revision(store: Store) -> None:
    revision = await store.write(Put(key="a", value=b"one"))

    entry = await store.get("a")

    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("a", b"one", revision)
    assert await store.revision() == revision
    assert await store.get("b") is None


async def test_each_write_has_a_higher_revision_and_an_empty_one_has_none(store: Store) -> None:
    first = await store.write(Put(key="a", value=b"1"), Put(key="b", value=b"1"))
    second = await store.write(Put(key="a", value=b"1"))
    nothing = await store.write(Delete(key="never there"))

    assert (first, second, nothing) == (1, 2, 2)
    assert [(entry.key, entry.revision) for entry in await store.list("")] == [("a", 2), ("b", 1)]


async def test_a_put_that_names_the_revision_it_replaces_wins(store: Store) -> None:
    revision = await store.write(Put(key="a", value=b"1", replaces=0))
    await store.write(Put(key="a", value=b"2", replaces=revision))

    assert await contents(store) == {"a": b"2"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Put(key="a", value=b"x", replaces=0), "nothing was expected, revision 2 is there"),
        (Put(key="a", value=b"x", replaces=1), "revision 1 was expected, revision 2 is there"),
        (Delete(key="a", replaces=1), "revision 1 was expected, revision 2 is there"),
        (Put(key="b", value=b"x", replaces=2), "revision 2 was expected, nothing is there"),
        (Delete(key="b", replaces=7), "revision 7 was expected, nothing is there"),
    ],
)
async def test_a_write_that_names_another_revision_is_refused(store: Store, change: Put | Delete, why: str) -> None:
    await store.write(Put(key="a", value=b"1"))
    await store.write(Put(key="a", value=b"2"))

    with pytest.raises(RevisionConflict) as error:
        await store.write(change)

    assert error.value.what == f'"{change.key}" was changed by somebody else meanwhile'
    assert error.value.why == why
    assert await contents(store) == {"a": b"2"}


async def test_a_transaction_with_one_wrong_condition_writes_nothing(store: Store) -> None:
    await store.write(Put(key="a", value=b"1"), Put(key="b", value=b"1"))

    with pytest.raises(RevisionConflict, match='"c"'):
        await store.write(Put(key="new", value=b"x"), Delete(key="a"), Put(key="c", value=b"x", replaces=1))

    assert await contents(store) == {"a": b"1", "b": b"1"}
    assert await store.revision() == 1


async def test_a_delete_can_demand_that_nothing_is_there(store: Store) -> None:
    await store.write(Delete(key="a", replaces=0), Put(key="b", value=b"1"))

    assert await contents(store) == {"b": b"1"}


async def test_a_key_that_came_back_has_another_revision(store: Store) -> None:
    old = await store.write(Put(key="a", value=b"1"))
    await store.write(Delete(key="a"))
    await store.write(Put(key="a", value=b"1"))

    with pytest.raises(RevisionConflict):
        await store.write(Put(key="a", value=b"2", replaces=old))


async def test_a_list_holds_the_keys_of_the_prefix_in_order(store: Store) -> None:
    names = ["a/2", "a/10", "a", "b", "a/é", "a/\U0001f600", "a/Z", "A/1", "a_%", "a0"]
    await store.write(*(Put(key=name, value=name.encode()) for name in names))

    assert await store.keys("a/") == ("a/10", "a/2", "a/Z", "a/é", "a/\U0001f600")
    assert [entry.key for entry in await store.list("a/")] == list(await store.keys("a/"))
    assert await store.keys("") == tuple(sorted(names))
    assert await store.keys("a_") == ("a_%",)
    assert await store.keys("c") == ()


async def test_values_are_any_bytes(store: Store) -> None:
    value = bytes(range(256)) * 5000
    await store.write(Put(key="big", value=value), Put(key="empty", value=b""))

    assert await contents(store) == {"big": value, "empty": b""}


async def test_a_watch_tells_what_was_and_what_will_be(store: Store) -> None:
    start = await store.write(Put(key="a/1", value=b"before"))
    await store.write(Put(key="a/2", value=b"1"), Put(key="b", value=b"other"), Delete(key="a/1"))
    async with aclosing(store.watch("a/", after=start)) as watch:
        past = await told(watch, 2)
        waiting = asyncio.ensure_future(told(watch, 2))
        await asyncio.sleep(0.01)
        await store.write(Put(key="b", value=b"other"))
        await store.write(Put(key="a/3", value=b"1"))
        await store.write(Delete(key="a/2"))
        future = await waiting

    assert past == [("a/2", b"1"), ("a/1", None)]
    assert future == [("a/3", b"1"), ("a/2", None)]


async def test_a_watch_of_this_process_is_woken_not_polled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "POLL_S", 3600)
    async with aclosing(store.watch("", after=0)) as watch:
        waiting = asyncio.ensure_future(told(watch, 1))
        await asyncio.sleep(0.01)
        await store.write(Put(key="a", value=b"1"))

        assert await waiting == [("a", b"1")]


async def test_two_watches_are_told_the_same(store: Store) -> None:
    async with aclosing(store.watch("", after=0)) as one, aclosing(store.watch("", after=0)) as two:
        waiting = asyncio.gather(told(one, 20), told(two, 20))
        for number in range(20):
            await store.write(Put(key="a", value=str(number).encode()))

        for changes in await waiting:
            assert changes == [("a", str(number).encode()) for number in range(20)]


async def test_a_refused_write_is_not_told(store: Store) -> None:
    await store.write(Put(key="a", value=b"1"))
    with pytest.raises(RevisionConflict):
        await store.write(Put(key="b", value=b"1"), Put(key="a", value=b"2", replaces=0))
    await store.write(Put(key="c", value=b"1"))

    async with aclosing(store.watch("", after=0)) as watch:
        assert await told(watch, 2) == [("a", b"1"), ("c", b"1")]


async def test_a_watch_from_too_long_ago_is_told_to_list_again(store: Store) -> None:
    for number in range(1024):
        await store.write(Put(key=f"a/{number % 3}", value=b"x"))

    with pytest.raises(StoreError, match="after revision 1 can't be told") as error:
        await anext(store.watch("a/", after=1))
    async with aclosing(store.watch("a/", after=1000)) as watch:
        recent = await told(watch, 24)

    assert error.value.fix == "list the entries again, then watch from the store's revision"
    assert [key for key, _ in recent] == [f"a/{number % 3}" for number in range(1000, 1024)]


async def test_a_watch_from_the_future_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="after revision 5 can't be told"):
        await anext(store.watch("", after=5))


async def test_a_watch_ends_when_the_store_closes(store: Store) -> None:
    watch = store.watch("", after=0)
    waiting = asyncio.ensure_future(anext(watch, "ended"))
    await asyncio.sleep(0.01)
    await store.close()

    assert await asyncio.wait_for(waiting, 1) == "ended"
    with pytest.raises(StoreError, match="closed"):
        await store.get("a")
    with pytest.raises(StoreError, match="closed"):
        await store.write(Put(key="a", value=b"1"))


async def test_entries_go_with_their_lease(store: Store, clock: Clock) -> None:
    lease = await store.grant(ttl_s=10)
    start = await store.write(Put(key="a", value=b"1", lease=lease), Put(key="b", value=b"1"))
    clock.now += 9.9
    before = await contents(store)
    clock.now += 0.1

    assert before == {"a": b"1", "b": b"1"}
    assert await contents(store) == {"b": b"1"}
    assert await store.get("a") is None
    assert await store.revision() == start + 1


async def test_a_watch_notices_by_itself_that_a_lease_ends(store: Store, clock: Clock) -> None:
    lease = await store.grant(ttl_s=10)
    start = await store.write(Put(key="a", value=b"1", lease=lease), Put(key="b", value=b"1", lease=lease))
    async with aclosing(store.watch("", after=start)) as watch:
        waiting = asyncio.ensure_future(told(watch, 2))
        await asyncio.sleep(0.01)
        clock.now += 10

        assert await waiting == [("a", None), ("b", None)]


async def test_a_lease_that_is_kept_lives_on(store: Store, clock: Clock) -> None:
    lease = await store.grant(ttl_s=10)
    await store.write(Put(key="a", value=b"1", lease=lease))
    for _ in range(5):
        clock.now += 9
        await store.keep(lease)

    assert await contents(store) == {"a": b"1"}


async def test_a_lease_that_has_ended_can_neither_be_kept_nor_used(store: Store, clock: Clock) -> None:
    lease = await store.grant(ttl_s=10)
    clock.now += 10

    with pytest.raises(LeaseLost, match=lease):
        await store.keep(lease)
    with pytest.raises(LeaseLost, match=lease):
        await store.write(Put(key="b", value=b"1"), Put(key="a", value=b"1", lease=lease))
    assert await contents(store) == {}


async def test_a_revoked_lease_takes_its_entries_at_once(store: Store) -> None:
    lease, other = await store.grant(ttl_s=10), await store.grant(ttl_s=10)
    await store.write(Put(key="a", value=b"1", lease=lease), Put(key="b", value=b"1", lease=other))
    await store.revoke(lease)
    await store.revoke(lease)

    assert await contents(store) == {"b": b"1"}
    with pytest.raises(LeaseLost):
        await store.keep(lease)


async def test_an_entry_belongs_to_the_lease_of_its_last_write(store: Store) -> None:
    first, second = await store.grant(ttl_s=10), await store.grant(ttl_s=10)
    await store.write(Put(key="a", value=b"1", lease=first), Put(key="b", value=b"1", lease=first))
    await store.write(Put(key="a", value=b"2", lease=second), Put(key="b", value=b"2"))
    await store.revoke(first)
    kept = await contents(store)
    await store.revoke(second)

    assert kept == {"a": b"2", "b": b"2"}
    assert await contents(store) == {"b": b"2"}


async def test_a_key_whose_lease_is_due_counts_as_absent_for_a_write(store: Store, clock: Clock) -> None:
    lease = await store.grant(ttl_s=10)
    await store.write(Put(key="a", value=b"old", lease=lease))
    clock.now += 10
    await store.write(Put(key="a", value=b"new", replaces=0))

    assert await contents(store) == {"a": b"new"}
    async with aclosing(store.watch("", after=0)) as watch:
        assert await told(watch, 3) == [("a", b"old"), ("a", None), ("a", b"new")]


async def test_writes_at_the_same_time_lose_nothing(store: Store) -> None:
    await store.write(Put(key="n", value=b"0"))

    async def add(times: int) -> None:
        for _ in range(times):
            await _increment(store)

    await asyncio.gather(*(add(20) for _ in range(5)))

    assert await contents(store) == {"n": b"100"}


async def _increment(store: Store) -> None:
    while True:
        entry = await store.get("n")
        assert entry is not None
        try:
            await store.write(Put(key="n", value=str(int(entry.value) + 1).encode(), replaces=entry.revision))
            return
        except RevisionConflict:
            continue


# What only a store that several processes share can be asked.

PRELUDE = """
import asyncio, os, sys
from orchestrator.errors import RevisionConflict
from orchestrator.store import Delete, Put, SqliteStore
store = SqliteStore(sys.argv[1])
def say(text): os.write(1, (str(text) + "\\n").encode())
async def main():
"""


def start(path: Path, body: str, *, stdout: Path | None = None) -> subprocess.Popen[str]:
    """A process of its own that runs `body` (lines of a coroutine, indented by four) on the store at `path`."""
    command = [sys.executable, "-c", PRELUDE + body + "\nasyncio.run(main())\n", str(path)]
    with stdout.open("w") if stdout else nullcontext(subprocess.PIPE) as out:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, text=True)


def say(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    print(text, file=process.stdin, flush=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for_text(path: Path) -> None:
    while not path.read_text():
        time.sleep(0.001)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "orch.db"


async def test_a_watch_notices_another_process_within_50_ms(path: Path) -> None:
    store = SqliteStore(path)
    writer = start(
        path,
        """
    say("ready")
    for number in range(20):
        sys.stdin.readline()
        await store.write(Put(key=f"a/{number}", value=str(number).encode()))
        say("written")
""",
    )
    delays = []
    assert await asyncio.to_thread(line, writer) == "ready"
    async with aclosing(store.watch("a/", after=0)) as watch:
        for number in range(20):
            waiting = asyncio.ensure_future(told(watch, 1))
            say(writer, "go")
            assert await asyncio.to_thread(line, writer) == "written"
            written = time.monotonic()
            change = await waiting
            delays.append(time.monotonic() - written)

            assert change == [(f"a/{number}", str(number).encode())]
    end(writer)
    await store.close()
    assert sorted(delays)[5] < 0.05, "the machine may be busy for some of them, not for most"


async def test_two_processes_that_increment_200_times_lose_nothing(path: Path) -> None:
    store = SqliteStore(path)
    await store.write(Put(key="n", value=b"0"))
    body = """
    conflicts = 0
    say("ready")
    sys.stdin.readline()
    for _ in range(200):
        while True:
            entry = await store.get("n")
            try:
                await store.write(Put(key="n", value=str(int(entry.value) + 1).encode(), replaces=entry.revision))
                break
            except RevisionConflict:
                conflicts += 1
    say(conflicts)
"""
    processes = [start(path, body) for _ in range(2)]
    assert [await asyncio.to_thread(line, process) for process in processes] == ["ready", "ready"]
    for process in processes:
        say(process, "go")
    conflicts = [int(await asyncio.to_thread(line, process)) for process in processes]
    for process in processes:
        end(process)

    assert await contents(store) == {"n": b"400"}
    assert await store.revision() == 401
    assert sum(conflicts) > 0, "they never met"
    await store.close()


async def test_several_processes_may_make_the_store_at_once(path: Path) -> None:
    body = """
    await store.write(Put(key=f"a/{os.getpid()}", value=b"1", replaces=0))
    say(os.getpid())
    await store.close()
"""
    processes = [start(path, body) for _ in range(4)]
    pids = sorted([await asyncio.to_thread(line, process) for process in processes])
    for process in processes:
        end(process)

    store = SqliteStore(path)
    assert sorted(await store.keys("a/")) == [f"a/{pid}" for pid in pids]
    await store.close()


async def test_a_kill_in_the_middle_loses_no_acknowledged_write(path: Path, tmp_path: Path) -> None:
    body = """
    last = await store.get("a")
    number = int(last.value) if last else 0
    while True:
        number += 1
        value = str(number).encode()
        await store.write(Put(key="a", value=value), Put(key="b", value=value * 3000), Put(key="c", value=value))
        say(number)
"""
    for pause_s in (0.0, 0.003, 0.011, 0.05):
        receipts = tmp_path / f"receipts-{pause_s}"
        process = start(path, body, stdout=receipts)
        await asyncio.to_thread(wait_for_text, receipts)
        await asyncio.sleep(pause_s)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        acknowledged = int(receipts.read_text().split()[-1])
        store = SqliteStore(path)
        found = await contents(store)
        written = int(found["a"])

        assert written in (acknowledged, acknowledged + 1)
        assert found == {"a": b"%d" % written, "b": b"%d" % written * 3000, "c": b"%d" % written}
        assert await store.revision() == written
        await store.close()


async def test_a_lease_outlives_its_dead_process_until_it_is_due(path: Path) -> None:
    process = start(
        path,
        """
    lease = await store.grant(ttl_s=0.6)
    await store.write(Put(key="lock", value=b"1", lease=lease))
    say("held")
    await asyncio.sleep(60)
""",
    )
    assert await asyncio.to_thread(line, process) == "held"
    held = time.monotonic()
    end(process)
    store = SqliteStore(path)
    there = await store.get("lock")
    async with aclosing(store.watch("lock", after=await store.revision())) as watch:
        gone = await told(watch, 1)
    waited = time.monotonic() - held
    await store.close()

    assert there is not None
    assert gone == [("lock", None)]
    assert 0.3 < waited < 2


async def test_what_was_written_is_there_after_a_reopen(path: Path) -> None:
    store = SqliteStore(path)
    lease = await store.grant(ttl_s=60)
    await store.write(Put(key="a", value=b"1"), Put(key="b", value=b"1", lease=lease))
    await store.close()

    again = SqliteStore(path)
    await again.keep(lease)
    async with aclosing(again.watch("", after=0)) as watch:
        assert await told(watch, 2) == [("a", b"1"), ("b", b"1")]
    assert await again.write(Put(key="a", value=b"2", replaces=1)) == 2
    await again.close()
