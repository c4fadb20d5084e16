"""A counterfeit engine on a unix socket, that misbehaves as told; and the labs of all tests."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.labs import engine_socket, labs

__all__ = ["engine_socket", "labs"]

Answer = Callable[[socket.socket], None]
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux", "Arch": "amd64"}


class Counterfeit:
    """Answers by path without the version; `say` gives JSON, `hang` nothing, `drip` a byte now and then, for ever."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        """Of each request, names in lower case."""
        self._answers: dict[str, Answer] = {}
        self._is_over = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        self.say("/version", VERSION)

    @property
    def endpoint(self) -> str:
        return f"unix://{self.path}"

    def say(self, path: str, body: Any, status: str = "200 OK") -> None:
        content = json.dumps(body).encode()
        self.send(path, f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)

    def send(self, path: str, answer: bytes) -> None:
        self._answers[path] = lambda connection: connection.sendall(answer)

    def later(self, path: str, body: Any, *, after_s: float) -> None:
        self.say(path, body)
        answer = self._answers[path]

        def late(connection: socket.socket) -> None:
            time.sleep(after_s)
            answer(connection)

        self._answers[path] = late

    def hang(self, path: str) -> None:
        self._answers[path] = lambda _: None

    def drip(self, path: str) -> None:
        def answer(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self._is_over.is_set():
                connection.sendall(b" ")
                time.sleep(0.1)

        self._answers[path] = answer

    def chunks(self, path: str, *pieces: bytes, ends: bool) -> None:
        def answer(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n" if ends else b"")

        self._answers[path] = answer

    def close(self) -> None:
        self._is_over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        try:
            while line := reader.readline():
                self._one(line.decode().split()[1], reader, connection)
        except OSError:
            pass

    def _one(self, target: str, reader: Any, connection: socket.socket) -> None:
        headers: dict[str, str] = {}
        while (header := reader.readline().decode().strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            while (size := int(reader.readline() or b"0", 16)) > 0:
                reader.read(size + 2)
            reader.readline()
        reader.read(int(headers.get("content-length", 0)))
        self.headers.append(headers)
        path = target.partition("?")[0]
        path = "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path
        self.asked.append(target)
        self._answers[path](connection)


@pytest.fixture
def counterfeit(tmp_path: Path) -> Iterator[Counterfeit]:
    engine = Counterfeit(tmp_path / "engine.sock")
    yield engine
    engine.close()
