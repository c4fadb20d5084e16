"""What containers wrote: the engine's stream taken apart into lines. The parsers are pure.

Source: Docker Engine API, `ContainerAttach`, stream format: 8 bytes of header (stream, three zeros, length), payload.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.engine.observe import moment
from orchestrator.engine.protocol import LogLine

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
_HEADER = struct.Struct(">BxxxL")


class Demultiplexer:
    """Takes bytes as they come and gives (stream, payload) as soon as a part of a frame is there.

    is_raw: a container with a terminal has one stream and no headers.
    """

    def __init__(self, *, is_raw: bool) -> None:
        self._is_raw = is_raw
        self._held = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        if self._is_raw:
            yield "stdout", data
            return
        self._held += data
        while self._held:
            if not self._left and not self._take_header():
                return
            payload = bytes(self._held[: self._left])
            del self._held[: len(payload)]
            self._left -= len(payload)
            if payload:
                yield STREAMS.get(self._stream, "stdout"), payload

    def _take_header(self) -> bool:
        if len(self._held) < _HEADER.size:
            return False
        self._stream, self._left = _HEADER.unpack_from(self._held)
        del self._held[: _HEADER.size]
        return True


class Lines:
    """Joins payloads to lines, for each stream on its own. `clock_offset_s` is taken from the engine's times."""

    def __init__(self, *, has_times: bool, clock_offset_s: float = 0.0) -> None:
        self._has_times = has_times
        self._offset = timedelta(seconds=clock_offset_s)
        self._open: dict[str, bytes] = {}

    def feed(self, stream: str, payload: bytes) -> Iterator[LogLine]:
        *whole, self._open[stream] = (self._open.get(stream, b"") + payload).split(b"\n")
        return (self._line(stream, line) for line in whole)

    def rest(self) -> Iterator[LogLine]:
        """What was written without an end of line."""
        return (self._line(stream, line) for stream, line in self._open.items() if line)

    def _line(self, stream: str, line: bytes) -> LogLine:
        text = line.decode(errors="replace").removesuffix("\r")
        if not self._has_times:
            return LogLine(text=text, stream=stream)
        written, _, text = text.partition(" ")
        at = moment(written)
        return LogLine(text=text, stream=stream, at=at and at - self._offset)


def log_params(
    *,
    follow: bool,
    tail: int | None,
    since: datetime | None,
    until: datetime | None,
    timestamps: bool,
    clock_offset_s: float,
) -> dict[str, Any]:
    """The query of `GET /containers/{id}/logs`. Moments are ours; the engine is asked by its own clock."""

    def theirs(at: datetime) -> str:
        return f"{at.timestamp() + clock_offset_s:.9f}"

    return {
        "stdout": "1",
        "stderr": "1",
        "follow": "1" if follow else "0",
        "timestamps": "1" if timestamps else "0",
        "tail": "all" if tail is None else str(tail),
        **({"since": theirs(since)} if since else {}),
        **({"until": theirs(until)} if until else {}),
    }


def read_logs(container: str, params: dict[str, Any], lines: Lines, api: Api, emit: Callable[[LogLine], None]) -> None:
    """Emits each line until the container has no more to say."""
    has_terminal = bool(api.inspect_container(container)["Config"].get("Tty"))
    demultiplexer = Demultiplexer(is_raw=has_terminal)
    with api.open("GET", f"/containers/{container}/logs", params=params, stream=True) as response:
        for data in response.iter_content(None):
            for stream, payload in demultiplexer.feed(data):
                for line in lines.feed(stream, payload):
                    emit(line)
    for line in lines.rest():
        emit(line)
