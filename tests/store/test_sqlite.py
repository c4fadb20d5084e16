"""What only the SQLite store has: a file, other processes' locks, a disk that can be full."""
# ruff: noqa: ASYNC240 - a test may wait for its own disk

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator.errors import StoreError, Unavailable
from orchestrator.store import Put, SqliteStore, tables

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "orch.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(path)
        await store.write(Put(key="a", value=b"1"))
        modes = {file.name: mode(file) for file in path.parent.iterdir()}
        await store.close()
    finally:
        os.umask(before)

    assert modes == {"orch.db": 0o600, "orch.db-wal": 0o600, "orch.db-shm": 0o600}
    assert mode(path.parent) == 0o700


async def test_a_folder_that_is_there_keeps_its_mode(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    await SqliteStore(path).close()

    assert mode(path.parent) == 0o755


async def test_a_commit_is_on_the_disk_when_it_is_acknowledged(path: Path) -> None:
    store = SqliteStore(path)
    settings = await store._writer.run(
        lambda writer: [writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    )
    await store.close()

    assert settings == ["wal", 2]


async def test_a_lock_that_lasts_too_long_is_named_and_stops_nobody_else(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0.2)
    await store.write(Put(key="a", value=b"1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(store.write(Put(key="a", value=b"2")))
    ticks = 0
    while not writing.done():
        assert (await store.get("a")) is not None
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(Unavailable) as error:
        await writing
    other.execute("ROLLBACK")
    other.close()

    assert ticks > 8, "the event loop waited for the lock"
    assert error.value.what == "the store is locked by another process for too long"
    assert (error.value.where, error.value.why) == (str(path), "database is locked")
    assert error.value.temporary
    assert await store.write(Put(key="a", value=b"2")) == 2
    await store.close()


async def test_a_lock_that_ends_in_time_is_waited_for(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=5)
    await store.write(Put(key="a", value=b"1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.ensure_future(store.write(Put(key="a", value=b"2")))
    await asyncio.sleep(0.1)
    other.execute("ROLLBACK")
    other.close()

    assert await writing == 2
    await store.close()


async def test_a_cancelled_write_leaves_a_usable_store(path: Path) -> None:
    store = SqliteStore(path)
    await store.write(Put(key="a", value=b"1"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = asyncio.ensure_future(store.write(Put(key="begun", value=b"")))
    queued = asyncio.ensure_future(store.write(Put(key="queued", value=b"")))
    await asyncio.sleep(0.05)
    begun.cancel()
    queued.cancel()
    await asyncio.wait([begun, queued])
    other.execute("ROLLBACK")
    other.close()
    await store.write(Put(key="b", value=b"1"))

    assert await store.keys("") == ("a", "b", "begun")
    await store.close()


def test_a_file_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    content = b"not a database, but long enough to be asked " * 100
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(Unavailable) as error:
        SqliteStore(path)

    assert (error.value.what, error.value.where) == ("this file is not a store of orch", str(path))
    assert error.value.why == "file is not a database"
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    content = path.read_bytes()

    with pytest.raises(StoreError, match="not a store of orch") as error:
        SqliteStore(path)

    assert error.value.why == "another program made it"
    assert path.read_bytes() == content


async def test_the_store_of_a_newer_orch_is_refused(path: Path) -> None:
    await SqliteStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 2")
    other.close()

    with pytest.raises(StoreError, match="written by a newer orch") as error:
        SqliteStore(path)

    assert error.value.why == "its layout is 2, this orch knows 1"


async def test_a_damaged_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    await store.write(*(Put(key=f"a/{number}", value=b"x" * 3000) for number in range(100)))
    await store.close()
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))
    damaged = SqliteStore(path)

    with pytest.raises(Unavailable, match="the store is damaged") as error:
        await damaged.list("a/")

    assert "containers are taken over" in error.value.fix
    await damaged.close()


def test_a_place_that_cannot_hold_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()

    for path in (tmp_path / "file" / "orch.db", tmp_path / "folder"):
        with pytest.raises(Unavailable, match="can't be opened for writing") as error:
            SqliteStore(path)
        assert error.value.where == str(path)


TRY = """
import asyncio, os, sys
from orchestrator.errors import OrchError
from orchestrator.store import Put, SqliteStore
async def main():
    if "nobody" in sys.argv:
        os.setuid(65534)
    store = SqliteStore(sys.argv[1])
    for number in range(2000):
        await store.write(Put(key=f"a/{number}", value=b"x" * 1000))
        print(number, flush=True)
try:
    asyncio.run(main())
except OrchError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o700, 0o600), (0o755, 0o644), (0o755, None)])
def test_a_store_that_this_user_may_not_write_says_so(folder_mode: int, file_mode: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "orch.db")
        if file_mode:
            asyncio.run(SqliteStore(path).close())
            path.chmod(file_mode & (0o777 if IS_ROOT else 0o555))
        path.parent.chmod(folder_mode if IS_ROOT else 0o500)
        who = ["nobody"] if IS_ROOT else []
        tried = subprocess.run([sys.executable, "-c", TRY, str(path), *who], capture_output=True, text=True)

    assert tried.stdout.startswith(f"Unavailable {path}: the store can't be opened for writing\n"), tried
    assert tried.stderr == ""


@pytest.mark.skipif(not IS_ROOT or not shutil.which("unshare"), reason="mounts a small disk: needs root")
def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    script = tmp_path / "try.py"
    script.write_text(TRY)
    (tmp_path / "disk").mkdir()
    mounted = f"""
mount -t tmpfs -o size=600k none {tmp_path}/disk
{sys.executable} {script} {tmp_path}/disk/orch.db
{sys.executable} - <<'EOF'
import asyncio
from orchestrator.store import SqliteStore
print("found", len(asyncio.run(SqliteStore("{tmp_path}/disk/orch.db").keys("a/"))))
EOF
"""
    tried = subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True, text=True, timeout=30)
    lines = tried.stdout.splitlines()
    acknowledged = sum(line.isdecimal() for line in lines)

    assert 0 < acknowledged < 2000
    assert lines[acknowledged] == (
        f"Unavailable {tmp_path}/disk/orch.db: the store's disk is full; nothing was written"
    ), tried
    assert lines[-1] == f"found {acknowledged}"
    assert tried.stderr == ""


async def test_the_log_of_changes_holds_long_values_only_for_a_while(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "KEPT_BYTES", 64_000)
    store = SqliteStore(path)
    for number in range(256):
        await store.write(Put(key=f"a/{number % 2}", value=b"x" * 1000))
    held = await store._writer.run(lambda writer: writer.execute("SELECT sum(length(value)) FROM changes").fetchone())
    await store.close()

    assert held == (64_000,)


def test_a_process_may_end_without_closing(path: Path) -> None:
    script = """
import asyncio, sys
from orchestrator.store import Put, SqliteStore
asyncio.run(SqliteStore(sys.argv[1]).write(Put(key="a", value=b"1")))
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=10)

    assert time.monotonic() - started < 5
    assert asyncio.run(SqliteStore(path).keys("")) == ("a",)


async def test_one_store_serves_several_event_loops_in_turn(path: Path) -> None:
    store = SqliteStore(path)
    numbers = [await asyncio.to_thread(lambda: asyncio.run(store.write(Put(key="a", value=b"1")))) for _ in range(3)]

    assert numbers == [1, 2, 3]
    assert await store.write(Put(key="a", value=b"1")) == 4
    await store.close()
