"""`DockerEngine`, the part on what a volume is, and on what is in it, which comes and goes by the archive API.

That API has a door to containers only: one of orch's own image, which mounts the volume and never starts.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.engine import observe
from orchestrator.engine.docker_helpers import DockerHelpers
from orchestrator.engine.images import PIECE_BYTES, PIECES_HELD, SILENCE_S, Pieces
from orchestrator.model.cluster import VolumeDetails

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

USAGE = (1, 42)
"""From this API on the engine may be asked for the use of volumes alone."""


DOOR = "/data"
"""Where the volume is mounted; its name is the first word of each path in the archive."""


class DockerVolumes(DockerHelpers):
    async def volume(self, name: str, *, is_sized: bool = False) -> VolumeDetails:
        doing = f'look at volume "{name}"'
        inspected = await self._client.call(doing, lambda api: api.ask("GET", f"/volumes/{name}"))
        usage = await self._usage(doing, name) if is_sized else {}
        return observe.volume_details_of({**inspected, "UsageData": usage})

    async def _usage(self, doing: str, name: str) -> dict[str, Any]:
        """The engine walks through the volumes to answer."""
        params = {"type": "volume"} if self._client.version >= USAGE else None

        def ask(api: Api) -> dict[str, Any]:
            listed = api.ask("GET", "/system/df", params=params).get("Volumes") or ()
            return next((v.get("UsageData") or {} for v in listed if v["Name"] == name), {})

        return await self._client.call(doing, ask, timeout_s=SILENCE_S, alone=True)

    async def read_volume(self, name: str) -> AsyncGenerator[bytes]:
        await self.volume(name)  # the engine would make one that is not there
        async with self._helper((), _door(name)) as helper:
            pieces = self._client.stream(
                f'read volume "{name}"', partial(_read, helper), idle_s=SILENCE_S, held=PIECES_HELD
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def write_volume(self, name: str, archive: AsyncIterator[bytes]) -> None:
        """Paths that lead out of the volume are written nowhere that lasts: the helper's own files go with it."""
        await self.volume(name)
        async with self._helper((), _door(name)) as helper:
            pieces = Pieces(archive)
            work = partial(_write, helper, pieces)
            try:
                doing = f'write volume "{name}"'
                await self._client.call(doing, work, timeout_s=math.inf, alone=True, idle_s=SILENCE_S)
            finally:
                pieces.close()


def _door(name: str) -> dict[str, Any]:
    """The root is not read-only: the archive is unpacked there, or links that point out of DOOR would be refused."""
    mount = {"Type": "volume", "Source": name, "Target": DOOR, "VolumeOptions": {"NoCopy": True}}
    return {"Mounts": [mount], "NetworkMode": "none", "ReadonlyRootfs": False}


def _read(helper: str, api: Api, emit: Callable[[bytes], None]) -> None:
    with api.open("GET", f"/containers/{helper}/archive", params={"path": DOOR}, stream=True) as response:
        for piece in response.iter_content(PIECE_BYTES):
            emit(piece)


def _write(helper: str, pieces: Pieces, api: Api) -> None:
    api.open("PUT", f"/containers/{helper}/archive", params={"path": "/"}, data=iter(pieces))
