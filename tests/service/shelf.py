"""Engines in memory whose volumes hold something, and clusters of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import NamedTuple

from orchestrator.engine import MemoryEngine
from orchestrator.errors import NotFound, OrchError
from orchestrator.model.names import NodeName
from tests.reconciler.cluster import N1, N2, Cluster

PIECE = 700


class Entry(NamedTuple):
    """Something in a volume; a symlink has a target, a folder neither that nor content."""

    content: bytes | None = None
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    target: str = ""


Content = Mapping[str, Entry]
DATA: Content = {
    ".": Entry(mode=0o700, uid=999, gid=999),
    "base": Entry(mode=0o750, uid=999, gid=999),
    "base/1": Entry(content=b"rows" * 1000, mode=0o600, uid=999, gid=999),
    "now": Entry(target="base/1"),
}


class ShelfEngine(MemoryEngine):
    """`contents`: by name of the volume. torn: raised by `write_volume` when half is there."""

    contents: dict[str, Content]
    torn: OrchError | None = None
    alters = False

    async def read_volume(self, name: str) -> AsyncGenerator[bytes]:
        await self._enter("read_volume", name)
        self._require(name)
        whole = archive(self.contents.get(name, {".": Entry(mode=0o755)}))
        for start in range(0, len(whole), PIECE):
            yield whole[start : start + PIECE]

    async def write_volume(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        await self._enter("write_volume", name)
        self._require(name)
        whole = b""
        async for piece in pieces:
            whole += piece
            self.contents[name] = {"half": Entry(content=whole)}
            if self.torn:
                raise self.torn
        found = dict(unpacked(whole))
        if self.alters:
            found["base/1"] = found["base/1"]._replace(uid=0)
        self.contents[name] = found

    async def remove_volume(self, name: str) -> None:
        await super().remove_volume(name)
        self.contents.pop(name, None)

    def _require(self, name: str) -> None:
        if name not in self._volumes:
            raise NotFound(f'no volume "{name}"', where=self.node)


def archive(content: Content) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for path, entry in content.items():
            member = tarfile.TarInfo(f"./{path}" if path != "." else "./")
            member.mode, member.uid, member.gid = entry.mode, entry.uid, entry.gid
            kinds = {True: tarfile.SYMTYPE, False: tarfile.DIRTYPE if entry.content is None else tarfile.REGTYPE}
            member.type, member.linkname, member.size = (
                kinds[bool(entry.target)],
                entry.target,
                len(entry.content or b""),
            )
            out.addfile(member, io.BytesIO(entry.content or b""))
    return buffer.getvalue()


def unpacked(whole: bytes) -> Content:
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        for member in archive:
            held = archive.extractfile(member) if member.isreg() else None
            path = member.name.removeprefix("./").strip("/") or "."
            content = held.read() if held else None
            found[path] = Entry(content, member.mode, member.uid, member.gid, member.linkname)
    return found


class Shelved(Cluster):
    """A cluster of such engines."""

    def __init__(self, *names: NodeName) -> None:
        super().__init__(*names or (N1, N2))
        for engine in self.engines.values():
            engine.__class__ = ShelfEngine
            self.shelf(engine.node).contents = {}

    def shelf(self, name: NodeName) -> ShelfEngine:
        engine = self.engines[name]
        assert isinstance(engine, ShelfEngine)
        return engine

    def places(self, volume: str) -> dict[NodeName, Content]:
        """Where a volume of that name is, and what it holds there."""
        found = {name: self.shelf(name) for name in self.engines if volume in self.engines[name]._volumes}
        return {name: shelf.contents.get(volume, {}) for name, shelf in found.items()}
