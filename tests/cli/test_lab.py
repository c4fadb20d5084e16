"""`orch lab`: which lab it takes, and what it asks of it. The lab itself is tested in tests/lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest

from orchestrator.cli.commands import lab as verbs
from orchestrator.errors import LabError
from orchestrator.lab import Lab, LabReport, Link, NodeReport
from orchestrator.model.names import NodeName
from tests.cli.world import World

N1, N2 = NodeName("n1"), NodeName("n2")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """A lab whose methods have the real ones' signatures and only note their calls."""
    made: Mock = create_autospec(Lab, instance=True)
    monkeypatch.setattr(verbs.Which, "lab", lambda _: made)
    return made


def test_up_tells_what_came_up_and_what_is_next(world: World, lab: Mock) -> None:
    lab.up.return_value = LabReport(nodes=(N1, N2), started=(N2,), seconds=2.34)

    said = world.orch("lab", "--root", "/tmp/x", "up", "--nodes", "2", "--engine", "26.1", "--tls")

    assert said.out == "lab: 2 nodes, 1 started in 2.3 s\n"
    assert said.err == 'next: eval "$(orch lab --root /tmp/x env)"\n'
    (args, flags) = lab.up.call_args
    assert args == (2, "26.1")
    assert (flags["tls"], flags["subnet"], flags["load"]) == (True, "10.87.0.0/24", [])


@pytest.mark.parametrize(
    ("words", "method", "flags", "told"),
    [
        (["kill", "n2"], "kill", {"engine": False}, "n2: killed\n"),
        (["kill", "n2", "--engine"], "kill", {"engine": True}, "n2: killed\n"),
        (["restart", "n2"], "restart", {}, "n2: restarted\n"),
        (["pause", "n2"], "pause", {"engine": False}, "n2: paused\n"),
        (["unpause", "n2"], "unpause", {}, "n2: goes on\n"),
        (["partition", "n2", "--drop"], "partition", {"drop": True}, "n2: cut off\n"),
        (["heal", "n2"], "heal", {}, "n2: connected\n"),
    ],
)
def test_each_fault_is_the_labs_own(
    world: World, lab: Mock, words: list[str], method: str, flags: dict[str, Any], told: str
) -> None:
    said = world.orch("lab", *words)

    assert (said.code, said.out) == (0, told)
    getattr(lab, method).assert_called_once_with("n2", **flags)


def test_down(world: World, lab: Mock) -> None:
    assert world.orch("lab", "down").out == "lab: removed\n"
    lab.down.assert_called_once_with()


def test_status_is_a_line_for_each_node(world: World, lab: Mock) -> None:
    lab.status.return_value = (
        NodeReport(
            node=N1, address="10.87.0.1", socket=Path("/l/n1/docker.sock"), endpoint="tcp://10.87.0.1:2376",
            engine="20.10.24", link=Link.UP, containers=3,
        ),
        NodeReport(
            node=N2, address="10.87.0.2", socket=Path("/l/n2/docker.sock"), endpoint="tcp://10.87.0.2:2376",
            engine="down", link=Link.GONE, containers=None,
        ),
    )  # fmt: skip

    assert [line.split() for line in world.orch("lab", "status").out.splitlines()] == [
        ["NODE", "ADDRESS", "ENGINE", "CONTAINERS", "LINK", "SOCKET"],
        ["n1", "10.87.0.1", "20.10.24", "3", "up", "/l/n1/docker.sock"],
        ["n2", "10.87.0.2", "down", "-", "gone", "/l/n2/docker.sock"],
    ]
    first, second = world.orch("lab", "status", "--format", "json").json()
    assert (first["socket"], first["link"], second["containers"]) == ("/l/n1/docker.sock", "up", None)


def test_env_is_for_a_shell(world: World, lab: Mock) -> None:
    lab.env.return_value = {"ORCH_HOME": "/a folder/orch"}

    assert world.orch("lab", "env").out == "export ORCH_HOME='/a folder/orch'\n"
    lab.env.assert_called_once_with(None, tcp=False)


def test_exec_becomes_the_command_on_the_node(world: World, lab: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("os.execvp", lambda file, argv: became.append((file, argv)))
    lab.inside.return_value = ["nsenter", "docker", "ps"]
    lab.enter.return_value = ["nsenter", "-n", "curl"]

    world.orch("lab", "exec", "n1", "docker", "ps", "--all")
    world.orch("lab", "exec", "--network", "hub", "curl")

    lab.inside.assert_called_once_with("n1", "docker", "ps", "--all")
    lab.enter.assert_called_once_with("hub", "curl")
    assert became == [("nsenter", ["nsenter", "docker", "ps"]), ("nsenter", ["nsenter", "-n", "curl"])]


def test_images_are_archives_or_recipes(
    world: World, lab: Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive, built = tmp_path / "web.tar", tmp_path / "redis.tar"
    archive.touch()
    monkeypatch.setattr(
        "orchestrator.lab.build.build_images", lambda names, *_, **__: [built] if names == ["redis"] else []
    )

    said = world.orch("lab", "images", "load", str(archive), "redis", "--node", "n1")

    assert said.out == "2 images on 1 node\n", said.err
    lab.load_images.assert_called_once_with([archive, built], ("n1",))


def test_images_build_prints_paths(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []

    def build(*args: Any, **_: Any) -> list[Path]:
        asked.append(args)
        return [tmp_path / "a.tar", tmp_path / "b.tar"]

    monkeypatch.setattr("orchestrator.lab.build.build_images", build)

    assert (
        world.orch("lab", "images", "build", "httpd", "redis", "-o", ".").out == f"{tmp_path}/a.tar\n{tmp_path}/b.tar\n"
    )
    assert asked == [(("httpd", "redis"), Path("."))]


def test_a_lab_that_can_not_be_is_an_error(world: World, lab: Mock) -> None:
    lab.up.side_effect = LabError("a lab needs root", fix="sudo orch lab up")

    said = world.orch("lab", "up")

    assert (said.code, said.err) == (1, "orch: a lab needs root\n  fix: sudo orch lab up\n")


def test_root_and_name_choose_the_lab(tmp_path: Path) -> None:
    assert verbs.Which(root=str(tmp_path), name="mine").lab().root == tmp_path
    assert verbs.Which().lab().root.name == "orch-lab"
