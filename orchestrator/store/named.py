"""Secrets and configs that stacks find by name (`external: true`): the record of each; contents are the vault's.

A record names the digest of its present content only. Contents of earlier versions stay for as long as a kept revision
of a stack names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from orchestrator.errors import StoreError
from orchestrator.model.names import Digest
from orchestrator.model.shared import FileKind
from orchestrator.store.protocol import Delete, Entry, Put, Store


class NamedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One secret or config. `version` counts its contents: 1, 2, 3 ...; `changed_at` is when the present one came."""

    kind: FileKind
    name: str
    digest: Digest
    version: int = 1
    created_at: datetime
    changed_at: datetime
    labels: Mapping[str, str] = {}


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A record as the store holds it. `stored_at_revision`: the store's number of that write."""

    file: NamedFile
    stored_at_revision: int


class NamedFiles:
    """The records in `store`. Changes are values, for one write with the contents and intents that belong to them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, kind: FileKind, name: str) -> StoredFile | None:
        """raises StoreError: what is kept can't be read"""
        entry = await self._store.get(_key(kind, name))
        return _stored(entry) if entry else None

    async def list(self, kind: FileKind) -> tuple[NamedFile, ...]:
        """By name."""
        return tuple(_stored(entry).file for entry in await self._store.list(_key(kind, "")))

    def put(self, file: NamedFile, *, replaces: StoredFile | None) -> Put:
        """replaces: from `get`; None: there must be none of that name. Of an equal record: it shall stand as it is."""
        value = msgspec.json.encode(file, order="deterministic")
        return Put(key=_key(file.kind, file.name), value=value, replaces=_number(replaces))

    def delete(self, stored: StoredFile) -> Delete:
        return Delete(key=_key(stored.file.kind, stored.file.name), replaces=_number(stored))


def _number(stored: StoredFile | None) -> int:
    return stored.stored_at_revision if stored else 0


def _key(kind: FileKind, name: str) -> str:
    return f"{kind.plural}/{name}"


def _stored(entry: Entry) -> StoredFile:
    try:
        file = msgspec.json.decode(entry.value, type=NamedFile)
    except msgspec.DecodeError as error:
        raise StoreError(
            "what the store holds of a secret or config can't be read",
            where=entry.key,
            why=str(error),
            fix="use the orch that wrote it, or the newest one",
        ) from error
    return StoredFile(file=file, stored_at_revision=entry.revision)
