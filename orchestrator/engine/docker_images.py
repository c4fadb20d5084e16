"""`DockerEngine`, the part on images. How they travel is `images.py`, how they are built `build.py`."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.engine import images, observe
from orchestrator.engine.connected import Connected, already, unless_gone
from orchestrator.engine.protocol import Progress
from orchestrator.model.cluster import Image
from orchestrator.model.spec import Build

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api


class DockerImages(Connected):
    async def image(self, ref: str) -> Image | None:
        offset_s = await self._clock_offset_s()

        def ask(api: Api) -> Image | None:
            found = unless_gone(lambda: api.ask("GET", f"/images/{ref}/json"))
            return None if found is None else observe.image_of(found, ref, self.node, clock_offset_s=offset_s)

        return await self._client.call(f'look for image "{ref}"', ask)

    async def remove_image(self, ref: str) -> None:
        with already("no such image"):
            await self._work(f'remove image "{ref}"', lambda api: api.remove_image(ref))

    async def pull(self, ref: str, *, platform: str = "", digest: str = "", progress: Progress | None = None) -> None:
        work = partial(images.pull, digest or ref, platform)
        async for line in self._client.stream(f'pull image "{ref}"', work, idle_s=images.SILENCE_S):
            if progress is not None:
                progress(line)
        if digest and "@" not in ref:  # what comes by its digest has no other name yet
            await self.tag(digest, ref)

    async def images(self) -> tuple[Image, ...]:
        """What only an inspection tells (`has_check`, `volumes`, `fetched_at`) is left out."""
        listed = await self._client.call("list images", lambda api: api.ask("GET", "/images/json"))
        found = (image for one in listed for image in observe.images_of(one, self.node))
        return tuple(sorted(found, key=lambda image: image.ref))

    async def digest(self, ref: str, *, platform: str = "") -> str:
        """Of the list of platforms, where there is one: the engine takes the right one of it."""
        work = partial(images.digest, ref, platform)
        return await self._client.call(f'ask the registry for image "{ref}"', work, timeout_s=self._slow_s, alone=True)

    async def tag(self, ref: str, name: str) -> None:
        params = dict(zip(("repo", "tag"), images.split_name(name), strict=True))
        await self._work(
            f'give image "{ref}" the name "{name}"', lambda api: api.ask("POST", f"/images/{ref}/tag", params=params)
        )

    async def build(self, ref: str, build: Build, *, progress: Progress | None = None) -> None:
        from orchestrator.engine.build import build as build_image

        await build_image(self._client, ref, build, progress)

    def save(self, ref: str) -> AsyncGenerator[bytes]:
        work = partial(images.save, ref)
        return self._client.stream(f'save image "{ref}"', work, idle_s=images.SILENCE_S, held=images.PIECES_HELD)

    async def load(self, archive: AsyncIterator[bytes]) -> None:
        pieces = images.Pieces(archive)
        try:
            await self._client.call(
                "load an image",
                partial(images.load, iter(pieces)),
                timeout_s=math.inf,
                alone=True,
                idle_s=images.SILENCE_S,
            )
        finally:
            pieces.close()
