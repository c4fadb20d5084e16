"""Commands in a running container: one with its output kept, and one with this terminal.

The connection is not upgraded: the SDK would drop what the engine sent together with its headers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import select
import socket
import ssl
import termios
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.engine.client import Client
from orchestrator.engine.logs import Demultiplexer
from orchestrator.engine.protocol import ExecResult
from orchestrator.engine.scope import Abandoned, current_scope
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

PIECE = 32 * 1024
RESIZE_TRIES = 25
RESIZE_PAUSE_S = 0.04
CONSOLE_SIZE = (1, 42)
"""The first API that takes the terminal's size with the start of the command."""
END_S = 2.0
"""How long the exit code may come after the end of the output."""


def run_command(container: str, command: Sequence[str], options: Mapping[str, Any], api: Api) -> ExecResult:
    """Runs it to its end; both streams are in the output, in the order of their arrival.

    options: of the SDK's `exec_create`.
    """
    id = api.exec_create(container, list(command), **options)["Id"]
    demultiplexer = Demultiplexer(is_raw=False)
    with _started(api, id, Tty=False) as response:
        output = b"".join(payload for data in response.iter_content(PIECE) for _, payload in demultiplexer.feed(data))
    return ExecResult(exit_code=exit_code(api, id), output=output.decode(errors="replace"))


def _started(api: Api, id: str, **options: Any) -> Any:
    return api.open("POST", f"/exec/{id}/start", json={"Detach": False, **options}, stream=True)


def exit_code(api: Api, id: str) -> int:
    """raises Abandoned when the call is given up meanwhile; 0 for a command that runs on without us."""
    give_up_at = time.monotonic() + END_S
    while (code := api.exec_inspect(id)["ExitCode"]) is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return int(code or 0)


class DockerExec:
    """A command that has been prepared; `run` connects it to file descriptors of ours."""

    def __init__(self, client: Client, id: str, *, has_terminal: bool, has_stdin: bool, doing: str) -> None:
        self._client, self._id, self._doing = client, id, doing
        self._has_terminal, self._has_stdin = has_terminal, has_stdin

    async def resize(self, rows: int, columns: int) -> None:
        """The size of its terminal. No error once the command has ended."""
        with contextlib.suppress(EngineError):
            await self._client.call(self._doing, lambda api: api.exec_resize(self._id, rows, columns))

    async def run(self, stdin_fd: int, stdout_fd: int, stderr_fd: int) -> int:
        """With a terminal, ours is in raw mode meanwhile, and its size is the command's."""

        size = terminal_size(stdout_fd) if self._has_terminal else None
        options: dict[str, Any] = {"Tty": self._has_terminal}
        if size and self._client.version >= CONSOLE_SIZE:
            options["ConsoleSize"] = size

        def copy(api: Api) -> int:
            with _started(api, self._id, **options) as response:
                Copying(response, stdin_fd if self._has_stdin else -1, (stdout_fd, stderr_fd), self._has_terminal).run()
            return exit_code(api, self._id)

        with raw_terminal(stdin_fd) if self._has_terminal and self._has_stdin else contextlib.nullcontext():
            sizing = asyncio.create_task(self._first_size(size))
            try:
                return await self._client.call(self._doing, copy, timeout_s=math.inf, alone=True)
            finally:
                sizing.cancel()

    async def _first_size(self, size: tuple[int, int] | None) -> None:
        """The engine takes no size before the command runs, and older ones none at its start."""
        for _ in range(RESIZE_TRIES if size else 0):
            await asyncio.sleep(RESIZE_PAUSE_S)
            with contextlib.suppress(EngineError):
                await self._client.call(self._doing, lambda api: api.exec_resize(self._id, *size or ()))
                return


def terminal_size(fd: int) -> tuple[int, int] | None:
    """(rows, columns), or None where `fd` is no terminal."""
    if not os.isatty(fd):
        return None
    columns, rows = os.get_terminal_size(fd)
    return rows, columns


@contextlib.contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Each key goes to the command as it is typed; the terminal is put back whatever happens."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


class Copying:
    """Bytes both ways between a socket and file descriptors, on one thread: an SSL object bears no second one."""

    def __init__(self, response: Any, stdin_fd: int, output_fds: tuple[int, int], has_terminal: bool) -> None:
        reader = response.raw._fp.fp
        self._socket: socket.socket = reader.raw._sock
        self._socket.settimeout(0)
        self._early = _buffered(reader)
        self._stdin_fd, self._outputs = stdin_fd, output_fds
        self._demultiplexer = Demultiplexer(is_raw=has_terminal)
        self._unsent = b""

    def run(self) -> None:
        """Until the command closes its end; raises Abandoned when the call was given up."""
        self._show(self._early)
        while True:
            ready = dict(self._watched().poll())
            if self._socket.fileno() in ready and not self._receive():
                break
            if self._stdin_fd in ready:
                self._read_stdin()
            self._send()
        scope = current_scope.get()
        if scope is not None and scope.has_ended:
            raise Abandoned

    def _watched(self) -> select.poll:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if self._stdin_fd >= 0 and not self._unsent:
            poll.register(self._stdin_fd, select.POLLIN)
        return poll

    def _receive(self) -> bool:
        """False at the end of the stream."""
        while True:
            try:
                data = self._socket.recv(PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except ConnectionResetError:
                return False
            if not data:
                return False
            self._show(data)

    def _show(self, data: bytes) -> None:
        for stream, payload in self._demultiplexer.feed(data):
            write_all(self._outputs[stream == "stderr"], payload)

    def _read_stdin(self) -> None:
        self._unsent = os.read(self._stdin_fd, PIECE)
        if not self._unsent:
            self._stdin_fd = -1
            # Not SSLSocket.shutdown: it would end the reading, too.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def _send(self) -> None:
        if not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError:
            self._stdin_fd, sent = -1, len(self._unsent)  # the command reads no more
        self._unsent = self._unsent[sent:]


def _buffered(reader: Any) -> bytes:
    """What arrived together with the headers."""
    try:
        return reader.read1(PIECE) or b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
