"""`orch` as a process, its engines able to read and write volumes: run as a script in place of `-m orchestrator`.

Only until `DockerEngine` keeps that part of `Shelves` itself; then nothing here does anything.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

from orchestrator.cli import main
from orchestrator.engine import images
from orchestrator.engine.docker import DockerEngine

INSIDE = "/volume"


def _mounted(name: str) -> dict[str, Any]:
    options = {"NoCopy": True}
    """Unpacked at the root: the engine refuses links that lead out of the folder into which it unpacks."""
    return {
        "ReadonlyRootfs": False,
        "Mounts": [{"Type": "volume", "Source": name, "Target": INSIDE, "VolumeOptions": options}],
    }


async def read_volume(self: Any, name: str) -> AsyncGenerator[bytes]:
    await self.volume(name)

    def work(container: str, api: Any, emit: Any) -> None:
        params = {"path": INSIDE}
        with api.open("GET", f"/containers/{container}/archive", params=params, stream=True) as response:
            for piece in response.iter_content(images.PIECE_BYTES):
                emit(piece)

    async with self._helper([], _mounted(name)) as container:
        doing = f'read volume "{name}"'
        pieces = self._client.stream(doing, partial(work, container), idle_s=images.SILENCE_S, held=images.PIECES_HELD)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await pieces.aclose()


async def write_volume(self: Any, name: str, archive: AsyncIterator[bytes]) -> None:
    await self.volume(name)

    def work(container: str, pieces: images.Pieces, api: Any) -> None:
        params = {"path": "/"}
        api.open("PUT", f"/containers/{container}/archive", params=params, data=iter(pieces))

    async with self._helper([], _mounted(name)) as container:
        pieces = images.Pieces(archive)
        try:
            await self._client.call(
                f'write volume "{name}"',
                partial(work, container, pieces),
                timeout_s=math.inf,
                alone=True,
                idle_s=images.SILENCE_S,
            )
        finally:
            pieces.close()


if not hasattr(DockerEngine, "read_volume"):
    DockerEngine.read_volume = read_volume  # type: ignore[attr-defined]
    DockerEngine.write_volume = write_volume  # type: ignore[attr-defined]

if __name__ == "__main__":
    main()
