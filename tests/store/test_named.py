"""Records of secrets and configs, and the clean-up of contents that nothing names any more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from orchestrator.errors import RevisionConflict
from orchestrator.model.names import Digest, content_digest
from orchestrator.model.shared import FileKind
from orchestrator.store import MemoryStore, Put, Vault
from orchestrator.store.named import NamedFile, NamedFiles
from orchestrator.store.secrets import CONTENT
from orchestrator.store.stacks import STACKS
from orchestrator.store.sweep import sweep

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _file(digest: Digest, *, version: int = 1) -> NamedFile:
    return NamedFile(kind=FileKind.SECRET, name="key", digest=digest, version=version, created_at=NOW, changed_at=NOW)


async def test_a_record_changes_only_from_what_was_read() -> None:
    store = MemoryStore()
    files = NamedFiles(store)
    first, second = _file(content_digest(b"1")), _file(content_digest(b"2"), version=2)
    await store.write(files.put(first, replaces=None))
    read = await files.get(FileKind.SECRET, "key")
    assert read is not None
    with pytest.raises(RevisionConflict):
        await store.write(files.put(second, replaces=None))
    await store.write(files.put(second, replaces=read))
    with pytest.raises(RevisionConflict):
        await store.write(files.delete(read))

    assert await files.list(FileKind.SECRET) == (second,)
    assert await files.list(FileKind.CONFIG) == ()


async def test_only_contents_that_nothing_names_are_swept(tmp_path: Path) -> None:
    store = MemoryStore()
    vault = Vault(store, tmp_path / "key")
    contents = {vault.digest(FileKind.SECRET, text): text for text in (b"named", b"revision", b"loose")}
    named, revision, loose = contents
    await vault.put(contents)
    await store.write(NamedFiles(store).put(_file(named), replaces=None))
    intent = msgspec.json.encode({"stack": {"secrets": {"s": {"digest": revision}}}})
    await store.write(Put(key=f"{STACKS}shop/1", value=intent))

    assert await sweep(store) == (loose,)
    assert set(await store.keys(CONTENT)) == {CONTENT + named, CONTENT + revision}


def test_only_a_secret_has_a_keyed_digest(tmp_path: Path) -> None:
    one, other = (Vault(MemoryStore(), tmp_path / name) for name in ("one", "other"))

    assert one.digest(FileKind.CONFIG, b"x") == content_digest(b"x")
    assert one.digest(FileKind.SECRET, b"x") not in (content_digest(b"x"), other.digest(FileKind.SECRET, b"x"))
    assert one.digest(FileKind.SECRET, b"x") == one.digest(FileKind.SECRET, b"x")
