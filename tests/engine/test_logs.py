"""The engine's stream taken apart: the same lines however the bytes arrive."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.logs import Demultiplexer, Lines
from orchestrator.engine.protocol import LogLine

STREAMS = {1: "stdout", 2: "stderr"}
payloads = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=12)


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def read(pieces: list[bytes], *, is_raw: bool = False, has_times: bool = False) -> list[LogLine]:
    demultiplexer, lines = Demultiplexer(is_raw=is_raw), Lines(has_times=has_times)
    found = [
        line for piece in pieces for stream, data in demultiplexer.feed(piece) for line in lines.feed(stream, data)
    ]
    return [*found, *lines.rest()]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(payloads, st.lists(st.integers(1, 20), max_size=40))
def test_lines_do_not_depend_on_how_the_bytes_arrive(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    whole = b"".join(frame(stream, payload) for stream, payload in frames)

    assert sorted(map(repr, read(cut(whole, sizes)))) == sorted(map(repr, read([whole])))


@given(payloads)
def test_each_streams_text_is_complete(frames: list[tuple[int, bytes]]) -> None:
    lines = read([frame(stream, payload) for stream, payload in frames])

    for number, name in STREAMS.items():
        written = b"".join(payload for stream, payload in frames if stream == number)
        whole = [part.decode(errors="replace").removesuffix("\r") for part in written.split(b"\n")]
        whole = whole[:-1] if not written.rpartition(b"\n")[2] else whole
        assert [line.text for line in lines if line.stream == name] == whole


def test_a_terminal_has_one_stream_without_headers() -> None:
    assert read([b"a\r\nb", b"c\r\n"], is_raw=True) == [LogLine(text="a"), LogLine(text="bc")]


def test_times_stand_before_the_text() -> None:
    (line,) = read([frame(1, b"2026-11-24T04:39:30.140818935Z hello world\n")], has_times=True)

    assert line == LogLine(text="hello world", at=datetime(2026, 11, 24, 4, 39, 30, 140818, tzinfo=UTC))
