"""What a store does, in SQL: each function works within the transaction that its caller has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from orchestrator.store.protocol import Change, Delete, Entry, Put
from orchestrator.store.watchers import check_kept, check_revision, lease_ended

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Values of changes that a late watch can still be told, at most."""

_COMPACT_EVERY: Final = 256
"""Revisions between two looks at the length of the log."""

_LAST: Final = "\U0010ffff"
"""Not a character: no key has it, so that it ends the keys of any prefix."""


def get(connection: sqlite3.Connection, key: str) -> Entry | None:
    row = connection.execute("SELECT key, value, revision FROM entries WHERE key = ?", (key,)).fetchone()
    return _entry(row) if row else None


def entries(connection: sqlite3.Connection, prefix: str) -> tuple[Entry, ...]:
    rows = connection.execute(
        "SELECT key, value, revision FROM entries WHERE key >= ? AND key < ? ORDER BY key", (prefix, prefix + _LAST)
    )
    return tuple(_entry(row) for row in rows.fetchall())


def keys(connection: sqlite3.Connection, prefix: str) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT key FROM entries WHERE key >= ? AND key < ? ORDER BY key", (prefix, prefix + _LAST)
    )
    return tuple(key for (key,) in rows.fetchall())


def revision(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT revision FROM head").fetchone()
    return int(number)


def news(connection: sqlite3.Connection, prefix: str, after: int) -> tuple[int, tuple[Change, ...]]:
    """The store's revision, and the changes under `prefix` above revision `after`, in the order of their writing.

    One statement, thus one moment: a compaction by another process can't come in between.

    raises StoreError: those changes are not kept any more
    """
    rows = connection.execute(
        """SELECT head.revision, head.oldest, changes.revision, changes.key, changes.value FROM head
           LEFT JOIN changes ON changes.revision > ? AND changes.key >= ? AND changes.key < ? ORDER BY number""",
        (after, prefix, prefix + _LAST),
    ).fetchall()
    newest, oldest = rows[0][:2]
    check_kept(after, oldest=oldest, newest=newest)
    told = (row[2:] for row in rows if row[2] is not None)
    return newest, tuple(Change(key=key, value=value, revision=number) for number, key, value in told)


def has_ended_leases(connection: sqlite3.Connection, now: float) -> bool:
    return connection.execute("SELECT 1 FROM leases WHERE ends_at <= ? LIMIT 1", (now,)).fetchone() is not None


def end_due_leases(connection: sqlite3.Connection, now: float, kept_changes: int) -> None:
    """Ends the leases that were not kept, with all entries that hang on them."""
    rows = connection.execute("SELECT lease FROM leases WHERE ends_at <= ?", (now,)).fetchall()
    for (lease,) in rows:
        end_lease(connection, lease, kept_changes)


def end_lease(connection: sqlite3.Connection, lease: str, kept_changes: int) -> None:
    """Ends it now; one that has ended already is no error."""
    held = connection.execute("SELECT key FROM entries WHERE lease = ? ORDER BY key", (lease,)).fetchall()
    connection.execute("DELETE FROM leases WHERE lease = ?", (lease,))
    _commit(connection, [Delete(key=key) for (key,) in held], kept_changes)


def grant(connection: sqlite3.Connection, lease: str, ttl_s: float, now: float) -> None:
    connection.execute("INSERT INTO leases VALUES (?, ?, ?)", (lease, ttl_s, now + ttl_s))


def keep(connection: sqlite3.Connection, lease: str, now: float) -> None:
    """raises LeaseLost"""
    kept = connection.execute("UPDATE leases SET ends_at = ? + ttl_s WHERE lease = ?", (now, lease)).rowcount
    if not kept:
        raise lease_ended(lease)


def write(connection: sqlite3.Connection, wanted: Sequence[Put | Delete], kept_changes: int) -> int:
    """The store's revision after it.

    raises RevisionConflict, LeaseLost
    """
    there = {change.key: _check(connection, change) for change in wanted}
    _commit(connection, [change for change in wanted if isinstance(change, Put) or there[change.key]], kept_changes)
    return revision(connection)


def _check(connection: sqlite3.Connection, change: Put | Delete) -> int:
    """The revision at which the key stands; 0: it doesn't exist."""
    row = connection.execute("SELECT revision FROM entries WHERE key = ?", (change.key,)).fetchone()
    there = row[0] if row else 0
    check_revision(change.key, expected=change.replaces, there=there)
    if isinstance(change, Put) and change.lease and not _is_alive(connection, change.lease):
        raise lease_ended(change.lease)
    return int(there)


def _is_alive(connection: sqlite3.Connection, lease: str) -> bool:
    return connection.execute("SELECT 1 FROM leases WHERE lease = ?", (lease,)).fetchone() is not None


def _commit(connection: sqlite3.Connection, wanted: Sequence[Put | Delete], kept_changes: int) -> None:
    if not wanted:
        return
    (number,) = connection.execute("UPDATE head SET revision = revision + 1 RETURNING revision").fetchone()
    for change in wanted:
        _apply(connection, change, number)
    if number % _COMPACT_EVERY == 0:
        _compact(connection, kept_changes)


def _apply(connection: sqlite3.Connection, change: Put | Delete, number: int) -> None:
    value = change.value if isinstance(change, Put) else None
    if isinstance(change, Put):
        connection.execute(
            """INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT (key)
               DO UPDATE SET value = excluded.value, revision = excluded.revision, lease = excluded.lease""",
            (change.key, value, number, change.lease),
        )
    else:
        connection.execute("DELETE FROM entries WHERE key = ?", (change.key,))
    connection.execute("INSERT INTO changes (revision, key, value) VALUES (?, ?, ?)", (number, change.key, value))


def _compact(connection: sqlite3.Connection, kept_changes: int) -> None:
    """Forgets the oldest changes beyond `kept_changes` or KEPT_BYTES, whole revisions only."""
    (oldest,) = connection.execute(
        """SELECT max(revision) FROM (
             SELECT revision, row_number() OVER newest AS place, sum(coalesce(length(value), 0)) OVER newest AS bytes
             FROM changes WINDOW newest AS (ORDER BY number DESC))
           WHERE place > ? OR bytes > ?""",
        (kept_changes, KEPT_BYTES),
    ).fetchone()
    if oldest is not None:
        connection.execute("DELETE FROM changes WHERE revision <= ?", (oldest,))
        connection.execute("UPDATE head SET oldest = ?", (oldest,))


def _entry(row: tuple[str, bytes, int]) -> Entry:
    key, value, number = row
    return Entry(key=key, value=value, revision=number)
