"""The contents of secrets and configs, encrypted at rest, under the digests by which stacks name them.

AES-256-GCM with a key that stands in a file of its own, so that a copy of the store alone tells nothing. The digest is
bound to the ciphertext: one content can't be passed off as another. The digest of a secret is made with that key, too:
intents, and the hashes on containers that are made of it, don't help to guess a short password (decision 0011).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from orchestrator.errors import NoSuchThing, StoreError
from orchestrator.model.names import Digest, content_digest
from orchestrator.model.shared import FileKind
from orchestrator.store.protocol import Put, Store

CONTENT: Final = "content/"
"""What the keys of contents begin with; their digest follows."""

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MARK_BYTES: Final = 8
_FORMAT: Final = b"\x01"
"""An entry is: format, mark of the key, checksum of what follows, nonce, ciphertext with its tag."""


class Vault:
    """Contents in `store`, encrypted with the key in `key_file`, which is made (0600) when first needed."""

    def __init__(self, store: Store, key_file: str | os.PathLike[str]) -> None:
        self._store = store
        self._key_file = Path(key_file)

    def digest(self, kind: FileKind, content: bytes) -> Digest:
        """Under what `content` is kept: of a config its sha256, of a secret an HMAC with the key of this store.

        raises StoreError: the key can't be read or made
        """
        if kind is FileKind.CONFIG:
            return content_digest(content)
        return _keyed(_read_or_make_key(self._key_file), content)

    async def put(self, contents: Mapping[Digest, bytes]) -> None:
        """Keeps each content; one that is kept already, sound and under the present key, is left alone.

        raises StoreError: the key can't be read or made
        """
        if puts := await self.changes(contents, safe=contents):
            await self._store.write(*puts)

    async def changes(self, contents: Mapping[Digest, bytes], *, safe: Container[Digest] = ()) -> tuple[Put, ...]:
        """What a write has to have beside the names of these contents, so that no clean-up comes in between.

        safe: digests that something names before and after that write: what is kept of them, sound, is not written
        raises StoreError: the key can't be read or made
        """
        if not contents:
            return ()
        key = _read_or_make_key(self._key_file)
        return tuple(
            [
                Put(key=CONTENT + digest, value=_sealed(key, digest, content))
                for digest, content in sorted(contents.items())
                if digest not in safe or not await self._is_kept(key, digest)
            ]
        )

    async def get(self, digest: Digest) -> bytes:
        """The content of that digest.

        raises NoSuchThing: it was never put; StoreError: it was tampered with, or the key is another or not there
        """
        entry = await self._store.get(CONTENT + digest)
        if entry is None:
            raise NoSuchThing(
                f'the store has no content "{digest[:12]}"',
                why="no secret or config of that digest was put",
                fix='run "orch up" again where the stack\'s files are',
            )
        key = _read_key(self._key_file)
        if not _is_under(key, entry.value):
            raise self._unreadable(digest, "it was encrypted with another key")
        return self._opened(key, digest, entry.value)

    def _opened(self, key: bytes, digest: Digest, kept: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        *_, nonce, ciphertext = _parts(kept)
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, _bound_to(digest))
        except (InvalidTag, ValueError) as error:
            raise self._unreadable(digest, "it is not what orch wrote there") from error

    async def _is_kept(self, key: bytes, digest: Digest) -> bool:
        entry = await self._store.get(CONTENT + digest)
        return entry is not None and _is_under(key, entry.value) and _is_sound(entry.value)

    def _unreadable(self, digest: Digest, why: str) -> StoreError:
        return StoreError(
            f'content "{digest[:12]}" of the store can\'t be decrypted',
            where=str(self._key_file),
            why=why,
            fix='put the right key file back, or run "orch up" again where the stack\'s files are',
        )


def _sealed(key: bytes, digest: Digest, content: bytes) -> bytes:
    assert digest in (content_digest(content), _keyed(key, content)), "content is kept under its own digest"
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    body = nonce + AESGCM(key).encrypt(nonce, content, _bound_to(digest))
    return _FORMAT + _mark(key) + _mark(body) + body


def _keyed(key: bytes, content: bytes) -> Digest:
    """With a key of its own, made of the store's, so that one key has one use."""
    return Digest(hmac.digest(hmac.digest(key, b"digest of secrets", "sha256"), content, "sha256").hex())


def _parts(kept: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """(format, mark of the key, checksum, nonce, ciphertext)"""
    ends = (1, 1 + _MARK_BYTES, 1 + 2 * _MARK_BYTES, 1 + 2 * _MARK_BYTES + _NONCE_BYTES)
    return kept[: ends[0]], kept[ends[0] : ends[1]], kept[ends[1] : ends[2]], kept[ends[2] : ends[3]], kept[ends[3] :]


def _is_under(key: bytes, kept: bytes) -> bool:
    layout, key_mark, *_ = _parts(kept)
    return layout == _FORMAT and key_mark == _mark(key)


def _is_sound(kept: bytes) -> bool:
    """Finds damage without the cost of decrypting; what was forged on purpose, only `get` finds."""
    _, _, checksum, nonce, ciphertext = _parts(kept)
    return checksum == _mark(nonce + ciphertext)


def _mark(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()[:_MARK_BYTES]


def _bound_to(digest: Digest) -> bytes:
    return f"{CONTENT}{digest}".encode()


def _read_or_make_key(path: Path) -> bytes:
    """Of two processes that make it at once, one wins, and both use that one's."""
    if not path.exists():
        try:
            _make_key(path)
        except OSError as error:
            raise StoreError(
                "the key of the store can't be written",
                where=str(path),
                why=str(error),
                fix="give this user the right to write there, or name another place in ORCH_HOME",
            ) from error
    return _read_key(path)


def _make_key(path: Path) -> None:
    """A link either makes the whole file or nothing: nobody ever reads half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            "the key of the store can't be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="put the key file back from a backup; without it secrets have to be put again",
        ) from error
    if len(key) != _KEY_BYTES:
        raise StoreError(
            "this file is not the key of a store",
            where=str(path),
            why=f"it has {len(key)} bytes, a key has {_KEY_BYTES}",
            fix="put the right key file back, or move this one out of the way",
        )
    return key
