"""Where an engine is, as people and docker write it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from orchestrator.engine import connect, default_endpoint
from orchestrator.engine.endpoint import Endpoint, parse_endpoint
from orchestrator.errors import UsageError
from orchestrator.model.names import NodeName


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("unix:///run/d.sock", Endpoint(scheme="unix", path="/run/d.sock")),
        ("tcp://10.0.0.1:2375", Endpoint(scheme="tcp", host="10.0.0.1", port=2375)),
        ("tcp://host", Endpoint(scheme="tcp", host="host", port=2375)),
        ("tcp://host?certs=/c", Endpoint(scheme="tcp", host="host", port=2376, certs="/c")),
        ("tcp://[fd00::1]:2376?certs=/a%20b", Endpoint(scheme="tcp", host="fd00::1", port=2376, certs="/a b")),
        ("tcp://h:1?certs=/c&verify=no", Endpoint(scheme="tcp", host="h", port=1, certs="/c", verify=False)),
        ("ssh://me@host", Endpoint(scheme="ssh", host="host", user="me", path="/var/run/docker.sock")),
        ("ssh://host:22/run/d.sock", Endpoint(scheme="ssh", host="host", port=22, path="/run/d.sock")),
    ],
)
def test_an_endpoint_has_parts(text: str, parts: Endpoint) -> None:
    assert parse_endpoint(text) == parts


@pytest.mark.parametrize(
    "text", ["", "host", "/run/d.sock", "ftp://host", "unix://", "tcp://", "tcp://h:port", "tcp://h?cert=/x"]
)
def test_what_is_no_endpoint_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(NodeName("n1"), text)
    assert caught.value.what == f'"{text}" is no endpoint of an engine'
    assert '"tcp://host:port?certs=/directory"' in caught.value.fix


@pytest.mark.parametrize(
    ("env", "endpoint"),
    [
        ({}, "unix:///var/run/docker.sock"),
        ({"DOCKER_HOST": "unix:///x"}, "unix:///x"),
        ({"DOCKER_HOST": "ssh://me@h", "DOCKER_CONTEXT": "other"}, "ssh://me@h"),
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/c"}, "tcp://h:1"),
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/c", "DOCKER_TLS_VERIFY": "1"}, "tcp://h:1?certs=/c"),
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "HOME": "/me"}, "tcp://h:1?certs=/me/.docker"),
        ({"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/c", "DOCKER_TLS": "1"}, "tcp://h:1?certs=/c&verify=no"),
        ({"DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock"),
    ],
)
def test_the_default_is_dockers(env: dict[str, str], endpoint: str, tmp_path: Path) -> None:
    assert default_endpoint({"HOME": str(tmp_path), **env}) == endpoint


def write_context(directory: Path, name: str, host: str, *, has_certs: bool) -> None:
    id = hashlib.sha256(name.encode()).hexdigest()
    meta = directory / "contexts" / "meta" / id
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    if has_certs:
        certs = directory / "contexts" / "tls" / id / "docker"
        certs.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (certs / file).write_text("")


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    return tmp_path


def test_the_current_context_is_used_with_its_certificates(docker_config: Path) -> None:
    write_context(docker_config, "far", "tcp://10.1.1.1:2376", has_certs=True)
    id = hashlib.sha256(b"far").hexdigest()

    endpoint = default_endpoint({"DOCKER_CONFIG": str(docker_config)})
    assert endpoint == f"tcp://10.1.1.1:2376?certs={docker_config}/contexts/tls/{id}/docker"
    assert default_endpoint({"DOCKER_CONFIG": str(docker_config), "DOCKER_HOST": "unix:///x"}) == "unix:///x"


def test_a_context_named_by_the_environment_wins_over_the_current_one(docker_config: Path) -> None:
    write_context(docker_config, "far", "tcp://10.1.1.1:2376", has_certs=False)
    write_context(docker_config, "near", "ssh://me@near", has_certs=False)

    env = {"DOCKER_CONFIG": str(docker_config), "DOCKER_CONTEXT": "near"}
    assert default_endpoint(env) == "ssh://me@near"


def test_a_context_that_is_not_there_is_named(docker_config: Path) -> None:
    with pytest.raises(UsageError, match='docker has no context "far"'):
        default_endpoint({"DOCKER_CONFIG": str(docker_config)})


def test_a_broken_docker_configuration_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    assert default_endpoint({"DOCKER_CONFIG": str(tmp_path)}) == "unix:///var/run/docker.sock"
