"""Commands in containers of real engines, with a terminal and without."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.engine import connect
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import Unreachable
from orchestrator.model.names import ContainerId, Digest, NodeName, ServiceName, SlotNumber, StackName, container_labels
from orchestrator.model.spec import ServiceSpec
from tests.labs import BUSYBOX

pytestmark = pytest.mark.real
Running = tuple[DockerEngine, ContainerId]


@pytest.fixture
async def running(engine_socket: Path) -> AsyncIterator[Running]:
    engine = connect(NodeName("n1"), f"unix://{engine_socket}")
    service = ServiceSpec(name=ServiceName("web"), image=BUSYBOX, command=("sleep", "120"))
    labels = container_labels(StackName("execs"), service.name, SlotNumber(1), 1, Digest("h"))
    id = await engine.create_container(
        ContainerRequest(name="execs-web-1", service=service, labels=labels, network_mode="none")
    )
    await engine.start(id)
    yield engine, id
    await engine.remove(id, force=True)
    await engine.close()


async def test_input_reaches_the_command_and_its_end_too(running: Running) -> None:
    engine, id = running
    session = await engine.open_exec(id, ["sh", "-c", "wc -c; echo done >&2; exit 7"], tty=False, stdin=True)
    (in_reader, in_writer), (out_reader, out_writer), (err_reader, err_writer) = os.pipe(), os.pipe(), os.pipe()
    typing = asyncio.to_thread(_type, in_writer, b"x" * 300_000)
    code, _ = await asyncio.wait_for(asyncio.gather(session.run(in_reader, out_writer, err_writer), typing), 10)

    assert (code, os.read(out_reader, 100), os.read(err_reader, 100)) == (7, b"300000\n", b"done\n")


async def test_much_output_arrives_complete(running: Running) -> None:
    engine, id = running
    session = await engine.open_exec(id, ["seq", "1", "200000"], tty=False, stdin=False)
    reader, writer = os.pipe()
    reading = asyncio.to_thread(_read_all, reader)

    async def run() -> int:
        code = await session.run(-1, writer, writer)
        os.close(writer)
        return code

    code, output = await asyncio.wait_for(asyncio.gather(run(), reading), 20)
    assert (code, output.split()[-1], output.count(b"\n")) == (0, b"200000", 200000)
    assert (await engine.exec(id, ["seq", "1", "50000"])).output.count("\n") == 50000


async def test_a_terminal_has_its_size_and_is_put_back(running: Running) -> None:
    engine, id = running
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(screen)
    command = ["sh", "-c", "sleep 0.5; stty size; read line; stty size; echo got $line; exit 4"]
    session = await engine.open_exec(id, command, tty=True, stdin=True)
    run = asyncio.ensure_future(session.run(screen, screen, screen))
    await asyncio.sleep(0.8)
    raw = termios.tcgetattr(screen)
    await session.resize(20, 40)
    os.write(keyboard, b"hello\n")
    code = await asyncio.wait_for(run, 10)

    assert code == 4
    assert os.read(keyboard, 1000).split(b"\r\n") == [b"33 77", b"hello", b"20 40", b"got hello", b""]
    assert raw != before
    assert termios.tcgetattr(screen) == before


async def test_giving_up_an_exec_is_quick_and_leaves_the_engine_usable(running: Running) -> None:
    engine, id = running
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        await engine.exec(id, ["sleep", "30"], timeout_s=0.5)
    session = await engine.open_exec(id, ["sleep", "30"], tty=False, stdin=False)
    run = asyncio.ensure_future(session.run(-1, 1, 2))
    await asyncio.sleep(0.3)
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run

    assert time.monotonic() - begun < 1.5
    assert (await engine.exec(id, ["echo", "ok"])).output == "ok\n"


async def test_a_command_that_is_not_there_has_a_code(running: Running) -> None:
    engine, id = running
    result = await engine.exec(id, ["nonono"])

    assert result.exit_code in (126, 127)
    assert "executable file not found" in result.output


def _type(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    os.close(fd)


def _read_all(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 65536):
        pieces.append(piece)
    return b"".join(pieces)
