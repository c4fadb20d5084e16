"""Images on their way: credentials, lines of progress, streams that break."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import connect
from orchestrator.engine.images import progress_line
from orchestrator.errors import NotFound, Refused, Unreachable
from orchestrator.model.names import NodeName

PULL = "/images/create"


def said(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            {"id": "3f4a", "status": "Downloading", "progressDetail": {"current": 12300000, "total": 40100000}},
            "pulling 3f4a: 12.3 of 40.1 MB",
        ),
        ({"id": "3f4a", "status": "Extracting", "progressDetail": {}}, "extracting 3f4a"),
        ({"id": "3f4a", "status": "Pull complete"}, "3f4a: Pull complete"),
        ({"status": "Digest: sha256:1"}, "Digest: sha256:1"),
    ],
)
def test_reports_become_short_lines(report: dict[str, Any], line: str) -> None:
    assert progress_line(report) == line


async def test_credentials_are_read_when_the_image_is_pulled(
    counterfeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    counterfeit.say("/networks", [])
    counterfeit.chunks(PULL, said({"status": "Pulling", "id": "1"}, {"status": "Pulling", "id": "1"}), ends=True)
    engine = connect(NodeName("n1"), counterfeit.endpoint)
    await engine.networks()  # the client is made before the person logs in
    token = base64.b64encode(b"me:word").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.example:5000": {"auth": token}}}))
    told: list[str] = []
    await engine.pull("registry.example:5000/app/web:2", progress=told.append)

    sent = json.loads(base64.urlsafe_b64decode(counterfeit.headers[-1]["x-registry-auth"]))
    assert (sent["username"], sent["password"]) == ("me", "word")
    assert "fromImage=registry.example%3A5000%2Fapp%2Fweb" in counterfeit.asked[-1]
    assert "tag=2" in counterfeit.asked[-1]
    assert told == ["1: Pulling"]
    await engine.close()


async def test_an_error_inside_of_the_stream_is_an_error(counterfeit: Any) -> None:
    message = "manifest for web:9 not found: manifest unknown: manifest unknown"
    counterfeit.chunks(PULL, said({"status": "Pulling"}, {"errorDetail": {"message": message}}), ends=True)
    engine = connect(NodeName("n1"), counterfeit.endpoint)

    with pytest.raises(NotFound, match="manifest unknown"):
        await engine.pull("web:9")
    await engine.close()


async def test_a_pull_that_breaks_off_is_unreachable(counterfeit: Any) -> None:
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}"
    counterfeit.send(PULL, cut)
    engine = connect(NodeName("n1"), counterfeit.endpoint)
    pulling = asyncio.ensure_future(engine.pull("web:1"))
    await asyncio.sleep(0.2)
    await engine.close()

    with pytest.raises(Unreachable):
        await asyncio.wait_for(pulling, 1)


async def test_a_source_that_fails_ends_the_load_with_its_own_error(counterfeit: Any) -> None:
    counterfeit.say("/images/load", {})
    engine = connect(NodeName("n2"), counterfeit.endpoint)

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise Refused("the source is gone", where="n1")

    with pytest.raises(Refused, match="n1: the source is gone"):
        await engine.load(broken())
    await engine.close()


async def test_a_cancelled_load_waits_for_nobody(counterfeit: Any) -> None:
    engine = connect(NodeName("n2"), counterfeit.endpoint)
    counterfeit.say("/images/load", {})

    async def silent() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.sleep(60)

    loading = asyncio.ensure_future(engine.load(silent()))
    await asyncio.sleep(0.2)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(loading, 1)
    await engine.close()
