"""The SQLite file of a store: opening it, its tables, transactions, and what SQLite's errors mean to a person.

A commit is on the disk when it returns (WAL, synchronous=FULL). Every transaction that may write begins IMMEDIATE: a
deferred one that reads and then writes fails at once when somebody else wrote in between, whatever the busy timeout.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.errors import StoreError, Unavailable

APPLICATION_ID: Final = 0x6F726368
"""`orch`, in the file's header."""

LAYOUT: Final = 1
"""The tables below; a change of theirs is a new number and a step that brings older files there."""

_TABLES: Final = (
    """CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL,
                              lease TEXT NOT NULL DEFAULT '') STRICT""",
    "CREATE INDEX entries_by_lease ON entries (lease) WHERE lease != ''",
    """CREATE TABLE changes (number INTEGER PRIMARY KEY, revision INTEGER NOT NULL, key TEXT NOT NULL,
                              value BLOB) STRICT""",
    "CREATE INDEX changes_by_revision ON changes (revision)",
    "CREATE TABLE leases (lease TEXT PRIMARY KEY, ttl_s REAL NOT NULL, ends_at REAL NOT NULL) STRICT",
    "CREATE TABLE head (revision INTEGER NOT NULL, oldest INTEGER NOT NULL) STRICT",
    "INSERT INTO head VALUES (0, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {LAYOUT}",
)

_PRIMARY_CODE: Final = 0xFF
_TROUBLES: Final = (
    (
        (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
        "the store is locked by another process for too long",
        'wait for it to end ("fuser" with this file\'s name shows it), then run the command again',
    ),
    (
        (sqlite3.SQLITE_FULL,),
        "the store's disk is full; nothing was written",
        "free some space there, then run the command again",
    ),
    (
        (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH),
        "the store can't be opened for writing",
        "give this user the right to write the file and its folder, or name another place in ORCH_HOME",
    ),
    (
        (sqlite3.SQLITE_NOTADB,),
        "this file is not a store of orch",
        "move it out of the way, or name another place in ORCH_HOME",
    ),
    (
        (sqlite3.SQLITE_CORRUPT,),
        "the store is damaged",
        'restore it from a backup, or move it out of the way and run "orch up" again: containers are taken over',
    ),
)
_OTHER_TROUBLE: Final = ("the store can't be used", "see to the cause, then run the command again")


@contextmanager
def troubles_named(path: Path) -> Generator[None, None, None]:
    """Within it, an error of SQLite or of the file system becomes Unavailable, naming `path`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        what, fix = next((rest for codes, *rest in _TROUBLES if code in codes), _OTHER_TROUBLE)
        raise Unavailable(what, where=str(path), why=str(error), fix=fix) from error
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        what, fix = _TROUBLES[2][1:]
        raise Unavailable(what, where=str(path), why=why, fix=fix) from error


def connect(path: Path, *, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to the store at `path`, which is made (file 0600, folder 0700) if it isn't there.

    raises sqlite3.Error, OSError; StoreError: a newer orch made it, or something else did
    """
    _make_file(path)
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        _prepare(connection, path, busy_timeout_s)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None, None, None]:
    """All or nothing: committed at the end, rolled back on an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_file(path: Path) -> None:
    """Only a new file is opened here: closing one that is in use would drop this process's locks on it (POSIX)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    if _layout(connection, path) == LAYOUT:
        return
    _switch_to_wal(connection, busy_timeout_s)
    with transaction(connection):
        if _layout(connection, path) == LAYOUT:
            return
        for statement in _TABLES:
            connection.execute(statement)


def _layout(connection: sqlite3.Connection, path: Path) -> int:
    """The file's layout; 0: it is empty.

    raises StoreError
    """
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or layout or application):
        raise StoreError(_TROUBLES[3][1], where=str(path), why="another program made it", fix=_TROUBLES[3][2])
    if layout > LAYOUT:
        raise StoreError(
            "the store was written by a newer orch",
            where=str(path),
            why=f"its layout is {layout}, this orch knows {LAYOUT}",
            fix="use the newer orch, or name another place in ORCH_HOME",
        )
    return int(layout)


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """SQLite does not wait by itself here when several processes open a new file at once."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            busy = (error.sqlite_errorcode & _PRIMARY_CODE) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
        time.sleep(0.005)
