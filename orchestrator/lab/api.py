"""The few questions that the lab asks an engine over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import LabError


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, url: str, *, body: IO[bytes] | None = None, timeout_s: float = 30.0) -> bytes:
    """The engine's answer as it came; LabError for a status from 400 on, OSError when there was no answer."""
    connection = _UnixConnection(path, timeout_s)
    try:
        headers = {"Content-Type": "application/x-tar"} if body else {}
        connection.request(method, url, body=body, headers=headers, encode_chunked=body is not None)
        response = connection.getresponse()
        answer = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no answer on {path}: {error!r}") from error
    finally:
        connection.close()
    if response.status >= 400:
        raise LabError(
            f"the engine on {path} refused {method} {url}", why=answer.decode(errors="replace").strip()[:500]
        )
    return answer


def answers(path: Path, *, timeout_s: float = 2.0) -> bool:
    try:
        return ask(path, "GET", "/_ping", timeout_s=timeout_s) == b"OK"
    except (OSError, LabError):
        return False


def info(path: Path, *, timeout_s: float = 3.0) -> dict[str, Any]:
    """`GET /info`. Source: Docker Engine API."""
    found: dict[str, Any] = json.loads(ask(path, "GET", "/info", timeout_s=timeout_s))
    return found


def image_tags(path: Path) -> Iterator[tuple[str, str]]:
    """(image id, tag) of all images that the engine has."""
    for image in json.loads(ask(path, "GET", "/images/json")):
        yield from ((image["Id"], tag) for tag in image["RepoTags"] or ())


def load(path: Path, archive: Path) -> None:
    """Give the engine the images of a docker-archive; LabError with its own words when it can't take them."""
    with archive.open("rb") as body:
        answer = ask(path, "POST", "/images/load?quiet=1", body=body, timeout_s=600.0)
    for line in answer.splitlines():
        said = json.loads(line) if line.strip() else {}
        if "error" in said:
            raise LabError(f'"{archive}" can\'t be loaded', why=str(said["error"]))
