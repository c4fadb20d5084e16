"""What is in an archive (tar), as one digest: two volumes with equal ones hold the same.

Compared are path, kind, mode, owner, size, content, link targets, device numbers and extended attributes. Times and the
order of the entries are not: unpacking may change them. Links to one file are compared as links.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
import tarfile
from types import TracebackType

import msgspec

from orchestrator.model.names import Digest

HELD = 16
"""Pieces that wait to be read."""
BLOCK_BYTES = 256 * 1024
XATTR = "SCHILY.xattr."
"""Begins the name of an extended attribute. Source: star(1), PAX headers; the engine writes them so."""


class Inventory:
    """Takes an archive in pieces, reads it on a thread of its own, and keeps 32 bytes for each entry.

    Open it as a context: the thread ends with it.
    """

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(maxsize=HELD)
        self._reading = asyncio.get_running_loop().run_in_executor(None, self._read)
        self._is_over = False

    async def __aenter__(self) -> Inventory:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._end()
        await asyncio.wait((self._reading,))
        self._reading.exception()  # who has not asked for the digest does not want to know

    async def take(self, piece: bytes) -> None:
        """The next piece of the archive."""
        if not piece:
            return
        try:
            self._pieces.put_nowait(piece)
        except queue.Full:
            await asyncio.to_thread(self._pieces.put, piece)

    async def digest(self) -> Digest:
        """Of all that was taken; raises tarfile.TarError where that is no whole archive."""
        await self._end()
        return await self._reading

    async def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            await asyncio.to_thread(self._pieces.put, b"")

    def _read(self) -> Digest:
        stream = _Stream(self._pieces)
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK_BYTES) as archive:  # type: ignore[call-overload]  # it only reads
                found = sorted(_entry(archive, member) for member in archive)
            return Digest(hashlib.sha256(b"".join(found)).hexdigest())
        finally:
            stream.drain()


class _Stream:
    """The pieces as a file. An empty one is the end."""

    def __init__(self, pieces: queue.Queue[bytes]) -> None:
        self._pieces, self._left, self._has_ended = pieces, b"", False

    def read(self, size: int) -> bytes:
        parts, missing = [self._left[:size]], size - len(self._left)
        self._left = self._left[size:]
        while missing > 0 and (piece := self._next()):
            parts.append(piece[:missing])
            self._left = piece[missing:]
            missing -= len(piece)
        return b"".join(parts)

    def drain(self) -> None:
        """Takes the rest, so that nobody waits for room."""
        while self._next():
            pass

    def _next(self) -> bytes:
        piece = b"" if self._has_ended else self._pieces.get()
        self._has_ended = not piece
        return piece


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    attributes = {_plain(key): _plain(value) for key, value in member.pax_headers.items() if key.startswith(XATTR)}
    said = (
        _path(member.name),
        member.type.decode("latin-1").replace("\0", "0"),
        member.mode,
        member.uid,
        member.gid,
        member.size if member.isreg() else 0,
        _path(member.linkname) if member.islnk() else _plain(member.linkname),
        (member.devmajor, member.devminor) if member.isdev() else (),
        attributes,
        _content(archive, member),
    )
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).digest()


def _path(name: str) -> str:
    """Without what only says where the archive was made."""
    return _plain(name).removeprefix("./").strip("/") or "."


def _plain(text: str) -> str:
    """As text of its bytes: names on disks need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member) if member.isreg() else None
    if content is None:
        return ""
    seen = hashlib.sha256()
    while piece := content.read(BLOCK_BYTES):
        seen.update(piece)
    return seen.hexdigest()
