"""Registry credentials for containers that may use the engine: all that docker here knows, read anew."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from orchestrator.engine.credentials import docker_config

HELPER = """#!/bin/sh
[ "$1" = list ] && echo '{"helped.example": "robot"}' && exit
read registry
echo "{\\"ServerURL\\": \\"$registry\\", \\"Username\\": \\"robot\\", \\"Secret\\": \\"of-$registry\\"}"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_there_is_an_empty_configuration_where_docker_has_none(config: Path) -> None:
    assert not config.exists()
    assert json.loads(docker_config()) == {"auths": {}}


def test_what_is_written_there_and_what_helpers_know_is_in_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-here"
    helper.write_text(HELPER)
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    login = {"auth": base64.b64encode(b"me:word").decode()}
    config.write_text(json.dumps({"auths": {"plain.example": login}, "credHelpers": {"helped.example": "here"}}))

    assert json.loads(docker_config())["auths"] == {
        "plain.example": login,
        "helped.example": {"auth": base64.b64encode(b"robot:of-helped.example").decode()},
    }
