"""Images on their way: pulled from a registry, streamed out of one engine and into another.

Registry credentials are read when they are needed, by the SDK, from docker's own configuration and helpers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.engine.failures import StreamedError
from orchestrator.engine.scope import Abandoned

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

PIECE_BYTES = 256 * 1024
PIECES_HELD = 16
SILENCE_S = 300.0
"""A registry or a disk may be slow; nothing at all for so long is a hang."""
REPORT_S = 0.25
"""The least time between two lines on one layer."""


def pull(ref: str, platform: str, api: Api, emit: Callable[[str], None]) -> None:
    """Emits lines of progress until the image is there; raises StreamedError with the engine's words."""
    api.reload_config()
    told = _Progress(emit)
    for said in api.pull(ref, stream=True, decode=True, platform=platform or None):
        if message := error_in(said):
            raise StreamedError(message)
        told.take(said)


def digest(ref: str, platform: str, api: Api) -> str:
    """`name@sha256:...` as the registry has it now, asked with the credentials that `pull` uses.

    raises StreamedError: there is nothing for that platform
    """
    api.reload_config()
    answer = api.inspect_distribution(ref)  # type: ignore[no-untyped-call]
    offered = {f"{one['os']}/{one['architecture']}" for one in answer.get("Platforms") or ()}
    if platform and offered and "/".join(platform.split("/")[:2]) not in offered:
        raise StreamedError(f"no matching manifest for {platform} in {ref}, which has {', '.join(sorted(offered))}")
    return f"{split_name(ref)[0]}@{answer['Descriptor']['digest']}"


def split_name(ref: str) -> tuple[str, str]:
    """`registry:5000/app/web:2` as name and tag, the tag `latest` where there is none; a digest is left out."""
    name, _, last = ref.partition("@")[0].rpartition("/")
    last, _, tag = last.partition(":")
    return (f"{name}/{last}" if name else last), tag or "latest"


def error_in(said: Mapping[str, Any]) -> str:
    """The error that a line of progress carries, or nothing."""
    return str((said.get("errorDetail") or {}).get("message") or said.get("error") or "")


class _Progress:
    """Turns the engine's many reports into few lines: one for each change of state, and now and then the bytes."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._states: dict[str, tuple[str, float]] = {}

    def take(self, said: Mapping[str, Any]) -> None:
        id, status = str(said.get("id") or ""), str(said.get("status") or "")
        before, at = self._states.get(id, ("", 0.0))
        now = time.monotonic()
        if status and (status != before or now - at >= REPORT_S):
            self._states[id] = (status, now)
            self._emit(progress_line(said))


def progress_line(said: Mapping[str, Any]) -> str:
    """`pulling 3f4a: 12.3 of 40.1 MB`, `extracting 3f4a`, or the engine's own line."""
    id, status = str(said.get("id") or ""), str(said.get("status") or "")
    detail = said.get("progressDetail") or {}
    verb = {"Downloading": "pulling", "Extracting": "extracting"}.get(status)
    if verb is None:
        return f"{id}: {status}" if id else status
    if not detail.get("total"):
        return f"{verb} {id}"
    return f"{verb} {id}: {detail.get('current', 0) / 1e6:.1f} of {detail['total'] / 1e6:.1f} MB"


def save(ref: str, api: Api, emit: Callable[[bytes], None]) -> None:
    """Emits the archive in pieces; the engine makes it as it is read."""
    with api.open("GET", f"/images/{ref}/get", stream=True) as response:
        for piece in response.iter_content(PIECE_BYTES):
            emit(piece)


def load(pieces: Iterator[bytes], api: Api) -> None:
    """Sends the archive; raises StreamedError with the engine's words."""
    for said in api.load_image(pieces, quiet=False):  # type: ignore[no-untyped-call]
        if message := error_in(said):
            raise StreamedError(message)


class Pieces:
    """An asynchronous source, for a thread to iterate over. `close` ends a wait for the next piece."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._awaited: concurrent.futures.Future[bytes | None] | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._next()) is not None:
            yield piece

    def close(self) -> None:
        """On the loop."""
        self._is_closed = True
        if self._awaited is not None:
            self._awaited.cancel()

    def _next(self) -> bytes | None:
        if self._is_closed:
            raise Abandoned
        self._awaited = asyncio.run_coroutine_threadsafe(self._piece(), self._loop)
        try:
            return self._awaited.result()
        except concurrent.futures.CancelledError as error:
            raise Abandoned from error

    async def _piece(self) -> bytes | None:
        async for piece in self._source:
            return piece
        return None
