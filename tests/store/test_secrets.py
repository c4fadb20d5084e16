"""Contents at rest: encrypted, bound to their digests, under a key that is made once."""
# ruff: noqa: ASYNC240 - a test may wait for its own disk

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import NoSuchThing, StoreError
from orchestrator.model.names import Digest, content_digest
from orchestrator.store import MemoryStore, Put, SqliteStore, Vault

PASSWORD = b"correct horse battery staple"
DIGEST = content_digest(PASSWORD)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "key"


@pytest.fixture
def vault(store: MemoryStore, key_file: Path) -> Vault:
    return Vault(store, key_file)


async def test_what_was_put_comes_back(vault: Vault, key_file: Path) -> None:
    big = bytes(range(256)) * 4000
    await vault.put({DIGEST: PASSWORD, content_digest(b""): b"", content_digest(big): big})

    assert await vault.get(DIGEST) == PASSWORD
    assert await vault.get(content_digest(b"")) == b""
    assert await vault.get(content_digest(big)) == big
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700
    assert len(key_file.read_bytes()) == 32
    assert [path.name for path in key_file.parent.iterdir()] == ["key"]


async def test_the_store_on_disk_does_not_tell_the_content(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "orch.db")
    await Vault(store, tmp_path / "key").put({DIGEST: PASSWORD})
    files = b"".join(path.read_bytes() for path in tmp_path.glob("orch.db*"))
    await store.close()

    assert DIGEST.encode() in files
    assert PASSWORD not in files


async def test_a_second_put_writes_nothing(vault: Vault, store: MemoryStore) -> None:
    await vault.put({DIGEST: PASSWORD})
    written = await store.revision()
    await vault.put({DIGEST: PASSWORD})
    await vault.put({})

    assert await store.revision() == written


async def test_nothing_to_keep_makes_no_key(vault: Vault, key_file: Path) -> None:
    await vault.put({})
    with pytest.raises(NoSuchThing, match=DIGEST[:12]):
        await vault.get(DIGEST)

    assert not key_file.exists()


@pytest.mark.parametrize("position", [0, 1, 20, 40, -1])
async def test_a_content_that_was_tampered_with_is_refused_and_can_be_put_again(
    vault: Vault, store: MemoryStore, position: int
) -> None:
    await vault.put({DIGEST: PASSWORD})
    entry = await store.get(f"content/{DIGEST}")
    assert entry is not None
    damaged = bytearray(entry.value)
    damaged[position] ^= 1
    await store.write(Put(key=entry.key, value=bytes(damaged)))

    with pytest.raises(StoreError, match="can't be decrypted"):
        await vault.get(DIGEST)
    await vault.put({DIGEST: PASSWORD})
    assert await vault.get(DIGEST) == PASSWORD


@pytest.mark.parametrize("kept", [b"", b"\x01", b"x" * 100])
async def test_an_entry_that_orch_did_not_write_is_refused(vault: Vault, store: MemoryStore, kept: bytes) -> None:
    await vault.put({content_digest(b"other"): b"other"})
    await store.write(Put(key=f"content/{DIGEST}", value=kept))

    with pytest.raises(StoreError, match="can't be decrypted"):
        await vault.get(DIGEST)


async def test_a_content_cannot_be_passed_off_as_another(vault: Vault, store: MemoryStore) -> None:
    other = content_digest(b"other")
    await vault.put({DIGEST: PASSWORD, other: b"other"})
    entry = await store.get(f"content/{other}")
    assert entry is not None
    await store.write(Put(key=f"content/{DIGEST}", value=entry.value))

    with pytest.raises(StoreError, match="can't be decrypted") as error:
        await vault.get(DIGEST)
    assert error.value.why == "it is not what orch wrote there"


async def test_without_its_key_a_content_is_not_decrypted_and_no_new_key_is_made(vault: Vault, key_file: Path) -> None:
    await vault.put({DIGEST: PASSWORD})
    key_file.unlink()

    with pytest.raises(StoreError, match="key of the store can't be read") as error:
        await vault.get(DIGEST)

    assert error.value.where == str(key_file)
    assert not key_file.exists()


async def test_after_a_loss_of_the_key_contents_can_be_put_again(vault: Vault, key_file: Path) -> None:
    await vault.put({DIGEST: PASSWORD})
    key_file.write_bytes(b"k" * 32)
    with pytest.raises(StoreError) as error:
        await vault.get(DIGEST)
    await vault.put({DIGEST: PASSWORD})

    assert error.value.why == "it was encrypted with another key"
    assert await vault.get(DIGEST) == PASSWORD


async def test_a_file_that_is_no_key_is_refused(vault: Vault, key_file: Path) -> None:
    key_file.parent.mkdir()
    key_file.write_bytes(b"short")

    with pytest.raises(StoreError, match="not the key of a store") as error:
        await vault.put({DIGEST: PASSWORD})

    assert error.value.why == "it has 5 bytes, a key has 32"


async def test_a_key_that_cannot_be_made_says_where(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="key of the store can't be written") as error:
        await Vault(store, tmp_path / "file" / "key").put({DIGEST: PASSWORD})

    assert error.value.where == str(tmp_path / "file" / "key")


async def test_content_under_a_digest_that_is_not_its_own_is_a_broken_promise(vault: Vault) -> None:
    with pytest.raises(AssertionError, match="under its own digest"):
        await vault.put({Digest("0" * 64): PASSWORD})


def test_of_several_processes_that_make_the_key_all_use_one(key_file: Path) -> None:
    script = """
import sys, pathlib
from orchestrator.store.secrets import _read_or_make_key
sys.stdin.readline()
print(_read_or_make_key(pathlib.Path(sys.argv[1])).hex())
"""
    command = [sys.executable, "-c", script, str(key_file)]
    makers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for maker in makers:
        assert maker.stdin is not None
        print("go", file=maker.stdin, flush=True)
    keys = {maker.communicate(timeout=20)[0].strip() for maker in makers}

    assert keys == {key_file.read_bytes().hex()}
    assert [path.name for path in key_file.parent.iterdir()] == ["key"]


def test_cryptography_is_imported_only_to_encrypt(tmp_path: Path) -> None:
    script = """
import asyncio, sys
import orchestrator.store as store
assert "cryptography" not in sys.modules
asyncio.run(store.Vault(store.MemoryStore(), sys.argv[1]).put({}))
assert "cryptography" not in sys.modules
for heavy in ("docker", "networkx", "rich", "yaml", "requests", "click"):
    assert heavy not in sys.modules, heavy
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "key")], check=True, timeout=20)
