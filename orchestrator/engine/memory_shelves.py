"""`MemoryEngine`, the part on what lies on a host: volumes with their content, and images."""

# ruff: noqa: ARG002 (the protocol's arguments, also where an imagined host has no use for them)
from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import msgspec

from orchestrator.engine.memory_host import Content, MemoryHost
from orchestrator.engine.observe import stack_of
from orchestrator.engine.protocol import Progress
from orchestrator.model.cluster import Image, Volume, VolumeDetails
from orchestrator.model.names import COMPOSE_VOLUME, HASH, Digest
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import Build

DOOR = "data"
"""The folder in an archive that is the volume itself."""
PIECE_BYTES = 256 * 1024


class MemoryShelves(MemoryHost):
    async def volumes(self) -> tuple[Volume, ...]:
        await self._enter("volumes")
        return tuple(sorted(self._volumes.values(), key=lambda volume: volume.name))

    async def volume(self, name: str, *, is_sized: bool = False) -> VolumeDetails:
        await self._enter("volume", name)
        if name not in self._volumes:
            raise self._refusal(f"get {name}: no such volume", 404, f'look at volume "{name}"')
        known = self._described.get(name) or VolumeDetails(name=name)
        holders = sum(name in {held.name for held in box.volumes} for box in self._boxes.values())
        return msgspec.structs.replace(known, references=holders if is_sized else None)

    async def create_volume(self, volume: VolumeSpec, labels: Mapping[str, str]) -> None:
        await self._enter("create_volume", volume.name)
        if volume.name not in self._volumes:
            self._described[volume.name] = VolumeDetails(
                name=volume.name,
                driver=volume.driver or "local",
                driver_opts=volume.driver_opts,
                labels=labels,
                created_at=self.clock(),
            )
        made = Volume(
            name=volume.name,
            node=self.node,
            stack=stack_of(labels),
            key=labels.get(COMPOSE_VOLUME, ""),
            config=Digest(labels.get(HASH, "")),
            driver=volume.driver or "local",
        )
        self._volumes.setdefault(volume.name, made)

    async def remove_volume(self, name: str) -> None:
        await self._enter("remove_volume", name)
        users = [box.id for box in self._boxes.values() if name in {held.name for held in box.volumes}]
        if users:
            used = f"remove {name}: volume is in use - [{', '.join(users)}]"
            raise self._refusal(used, 409, f'remove volume "{name}"')
        self._volumes.pop(name, None)
        self._contents.pop(name, None)

    async def read_volume(self, name: str) -> AsyncGenerator[bytes]:
        await self._enter("read_volume", name)
        whole = _archive(self._content(name, "read"))
        for begin in range(0, len(whole), PIECE_BYTES):
            yield whole[begin : begin + PIECE_BYTES]

    async def write_volume(self, name: str, archive: AsyncIterator[bytes]) -> None:
        await self._enter("write_volume", name)
        content = self._content(name, "write")
        whole = io.BytesIO(b"".join([piece async for piece in archive]))
        try:
            with tarfile.open(fileobj=whole) as tar:
                for entry in tar:
                    data = tar.extractfile(entry) if entry.isreg() else None
                    content[entry.name] = (entry, data.read() if data else b"")
        except tarfile.TarError as error:
            raise self._refusal(str(error), 500, f'write volume "{name}"') from error

    def _content(self, name: str, verb: str) -> Content:
        if name not in self._volumes:
            raise self._refusal(f"get {name}: no such volume", 404, f'{verb} volume "{name}"')
        return self._contents.setdefault(name, {DOOR: (_folder(), b"")})

    async def image(self, ref: str) -> Image | None:
        await self._enter("image", ref)
        return self.held_images.get(ref)

    async def remove_image(self, ref: str) -> None:
        await self._enter("remove_image", ref)
        if any(box.request.service.image == ref for box in self._boxes.values()):
            used = f'conflict: unable to remove repository reference "{ref}" (must force) - container is using it'
            raise self._refusal(used, 409, f'remove image "{ref}"')
        self.held_images.pop(ref, None)

    async def images(self) -> tuple[Image, ...]:
        await self._enter("images")
        return tuple(
            msgspec.structs.replace(image, has_check=False, volumes=(), fetched_at=None)
            for _, image in sorted(self.held_images.items())
        )

    async def digest(self, ref: str, *, platform: str = "") -> str:
        await self._enter("digest", ref)
        if ref not in self.registry:
            raise self._refusal("manifest unknown", 404, f'ask the registry for image "{ref}"')
        return self.registry[ref].repo_digest

    async def tag(self, ref: str, name: str) -> None:
        await self._enter("tag", name)
        if ref not in self.held_images:
            raise self._refusal(f"No such image: {ref}", 404, f'give image "{ref}" the name "{name}"')
        self._name_image(self.held_images[ref], name)

    def _name_image(self, image: Image, name: str) -> None:
        full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        self.held_images[full] = msgspec.structs.replace(image, ref=full, node=self.node)

    async def pull(self, ref: str, *, platform: str = "", digest: str = "", progress: Progress | None = None) -> None:
        await self._enter("pull", ref)
        found = self.pushed.get(digest) if digest else self.registry.get(ref)
        if found is None:
            denied = f"pull access denied for {ref}, repository does not exist or may require 'docker login'"
            unknown = f"manifest for {digest} not found: manifest unknown"
            raise self._refusal(unknown if digest else denied, 404, f'pull image "{ref}"')
        if progress is not None:
            progress(f"pulling {ref}" + (f" for {platform}" if platform else ""))
        self.held_images[ref] = msgspec.structs.replace(found, ref=ref)

    async def build(self, ref: str, build: Build, *, progress: Progress | None = None) -> None:
        """The image is another one each time that `build` is."""
        await self._enter("build", ref)
        if progress is not None:
            progress(f"building {ref}")
        for tag in (ref, *build.tags):
            self.held_images[tag] = msgspec.structs.replace(self._image(ref, version=repr(build)), ref=tag)

    async def save(self, ref: str) -> AsyncGenerator[bytes]:
        await self._enter("save", ref)
        if ref not in self.held_images:
            raise self._refusal("reference does not exist", 404, f'save image "{ref}"')
        yield msgspec.json.encode(self.held_images[ref])

    async def load(self, archive: AsyncIterator[bytes]) -> None:
        content = b"".join([piece async for piece in archive])
        image = msgspec.json.decode(content, type=Image)
        await self._enter("load", image.ref)
        self.held_images[image.ref] = msgspec.structs.replace(image, node=self.node, repo_digest="")


def _folder() -> tarfile.TarInfo:
    entry = tarfile.TarInfo(DOOR)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    return entry


def _archive(content: Content) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry, data in content.values():
            tar.addfile(entry, io.BytesIO(data))
    return whole.getvalue()
