"""Builds: what the two builders are told, and which files go along."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import build as builds
from orchestrator.engine import connect
from orchestrator.engine.build import build_options, buildx_command, buildx_environment, context_archive
from orchestrator.engine.endpoint import parse_endpoint
from orchestrator.errors import Refused
from orchestrator.model.names import NodeName
from orchestrator.model.spec import Build

FULL = Build(
    context="/src",
    dockerfile="Dockerfile.prod",
    args={"VERSION": "1", "UNSET": None},
    labels={"tier": "front"},
    target="run",
    network="host",
    cache_from=("web:0",),
    extra_hosts=("db:10.0.0.2",),
    tags=("web:latest",),
    no_cache=True,
    pull=True,
    shm_size_bytes=1024,
    platform="linux/amd64",
)


def test_buildx_is_told_everything() -> None:
    assert buildx_command("web:1", FULL) == [
        *("docker", "buildx", "build", "--builder", "default", "--load", "--progress", "plain", "--tag", "web:1"),
        *("--tag", "web:latest", "--build-arg", "VERSION=1", "--label", "tier=front", "--cache-from", "web:0"),
        *("--add-host", "db:10.0.0.2", "--target", "run", "--network", "host", "--platform", "linux/amd64"),
        *("--shm-size", "1024", "--file", "/src/Dockerfile.prod", "--no-cache", "--pull", "/src"),
    ]
    assert buildx_command("a", Build(context="/src", dockerfile_inline="FROM x"))[-3:] == ["--file", "-", "/src"]


def test_the_engines_builder_is_told_everything() -> None:
    assert build_options("web:1", FULL, "Dockerfile.prod") == {
        "tag": "web:1",
        "custom_context": True,
        "decode": True,
        "rm": True,
        "forcerm": True,
        "labels": {"tier": "front"},
        "target": "run",
        "network_mode": "host",
        "cache_from": ["web:0"],
        "extra_hosts": ["db:10.0.0.2"],
        "shmsize": 1024,
        "platform": "linux/amd64",
        "buildargs": {"VERSION": "1"},
        "dockerfile": "Dockerfile.prod",
        "nocache": True,
        "pull": True,
    }


@pytest.mark.parametrize(
    ("endpoint", "added"),
    [
        ("unix:///run/d.sock", {"DOCKER_HOST": "unix:///run/d.sock"}),
        ("tcp://h:1", {"DOCKER_HOST": "tcp://h:1"}),
        ("tcp://h:1?certs=/c", {"DOCKER_HOST": "tcp://h:1", "DOCKER_CERT_PATH": "/c", "DOCKER_TLS_VERIFY": "1"}),
    ],
)
def test_buildx_is_pointed_at_the_node_whatever_the_environment_says(endpoint: str, added: dict[str, str]) -> None:
    around = {"PATH": "/bin", "DOCKER_HOST": "tcp://other", "DOCKER_CONTEXT": "x", "BUILDX_BUILDER": "y"}
    around |= {"DOCKER_CONFIG": "/cfg"}

    told = buildx_environment(parse_endpoint(endpoint), around)
    assert told == {"PATH": "/bin", "DOCKER_CONFIG": "/cfg", **added}


def names_in(wanted: Build) -> set[str]:
    with context_archive(wanted) as archive, tarfile.open(fileobj=archive) as tar:
        return set(tar.getnames())


def test_ignored_files_stay_here(tmp_path: Path) -> None:
    for name in ("Dockerfile", "a.txt", "b.log", "keep.log"):
        (tmp_path / name).write_text(name)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/x").write_text("")
    (tmp_path / ".dockerignore").write_text("# comment\n*.log\n!keep.log\nnode_modules\n")

    assert names_in(Build(context=str(tmp_path))) == {".dockerignore", "Dockerfile", "a.txt", "keep.log"}


def test_a_dockerfiles_own_ignore_file_goes_first(tmp_path: Path) -> None:
    for name in ("prod", "a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("a.txt\n")
    (tmp_path / "prod.dockerignore").write_text("b.txt\n")

    names = names_in(Build(context=str(tmp_path), dockerfile="prod"))
    assert "a.txt" in names
    assert "b.txt" not in names


def test_a_dockerfile_of_elsewhere_and_an_inline_one_go_along(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    (name,) = names_in(Build(context=str(context), dockerfile="../Dockerfile")) - {".dockerignore"}
    assert name.startswith(".dockerfile.")
    inline = names_in(Build(context=str(context), dockerfile_inline="FROM scratch\n"))
    assert ".dockerfile.orch" in inline


@pytest.fixture
def no_buildx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


async def test_a_missing_folder_is_refused(counterfeit: Any) -> None:
    engine = connect(NodeName("n1"), counterfeit.endpoint)

    with pytest.raises(Refused, match='there is no folder "/nowhere"'):
        await engine.build("web:1", Build(context="/nowhere"))
    await engine.close()


@pytest.mark.usefixtures("no_buildx")
async def test_a_failed_build_says_its_last_lines(counterfeit: Any, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    said = b'{"stream":"Step 1/1 : RUN make\\n"}\n{"stream":"no rule\\n"}\n'
    counterfeit.chunks(
        "/build", said, b'{"errorDetail":{"message":"it returned 2"},"error":"it returned 2"}\n', ends=True
    )
    engine = connect(NodeName("n1"), counterfeit.endpoint)
    told: list[str] = []

    with pytest.raises(Refused) as caught:
        await engine.build("web:1", Build(context=str(tmp_path)), progress=told.append)
    assert caught.value.what == 'can\'t build image "web:1"'
    assert caught.value.why.split("\n       ") == ["it returned 2", "Step 1/1 : RUN make", "no rule"]
    assert told == ["Step 1/1 : RUN make", "no rule"]
    await engine.close()


DOCKER = """#!/bin/sh
[ "$2" = version ] && exit 0
echo "$DOCKER_HOST" "$@" | tee {log}
cat > {stdin}
exit {code}
"""


def fake_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    script = folder / "docker"
    script.write_text(DOCKER.format(log=folder / "log", stdin=folder / "stdin", code=code))
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_buildx_builds_where_it_is_installed(
    counterfeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch, 0)
    engine = connect(NodeName("n1"), counterfeit.endpoint)
    await engine.build("web:1", Build(context=str(tmp_path), dockerfile_inline="FROM scratch\n"))

    log = (tmp_path / "log").read_text()
    assert log.startswith(f"{counterfeit.endpoint} buildx build --builder default --load")
    assert (tmp_path / "stdin").read_text() == "FROM scratch\n"
    assert builds.BUILDKIT <= (1, 41)
    await engine.close()


async def test_a_failed_buildx_says_its_last_lines(
    counterfeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_docker(tmp_path, monkeypatch, 1)
    engine = connect(NodeName("n1"), counterfeit.endpoint)

    with pytest.raises(Refused) as caught:
        await engine.build("web:1", Build(context=str(tmp_path)))
    assert caught.value.where == "n1"
    assert "buildx build" in caught.value.why
    await engine.close()
