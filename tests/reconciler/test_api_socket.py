"""`use_api_socket`: the credentials are put into the container at its start, and never into the stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.model.plan import Severity
from tests.reconciler.cluster import Cluster, made

FILE = "/run/secrets/docker/config.json"


async def test_a_service_that_may_use_the_engine_gets_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"r.example": {"auth": "bWU6d29yZA=="}}}')
    cluster = Cluster()

    assert (await cluster.up(made({"web": {"use_api_socket": True}, "db": None}))).converged
    files = {box.name: box.files for box in cluster.n1._boxes.values()}
    assert json.loads(files["shop-web-1"][FILE].content) == {"auths": {"r.example": {"auth": "bWU6d29yZA=="}}}
    assert files["shop-db-1"] == {}


@pytest.mark.filterwarnings("ignore:docker-credential")
async def test_credentials_that_can_not_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"credHelpers": {"r.example": "nobody-has-this"}}')

    outcome = await Cluster().up(made({"web": {"use_api_socket": True}}))

    assert not outcome.converged
    assert [(b.subject, b.severity) for b in outcome.blocked] == [("web.1", Severity.FAILED)]
    assert "docker's registry credentials can't be read" in outcome.blocked[0].reason
