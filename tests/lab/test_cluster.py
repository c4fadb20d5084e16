"""The lab itself, with real engines: made, grown, refused, taken down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import Lab, Link, api, cgroups
from tests.lab.conftest import traces
from tests.labs import root_of, sweep

pytestmark = pytest.mark.real


def daemons(lab: Lab) -> set[int]:
    group = cgroups.group(lab.root.name.removeprefix("orch-"), "")
    return {pid for pid in cgroups.members(group) if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd"}


def test_three_nodes_are_up_in_five_seconds_as_three_different_hosts(scratch: Lab) -> None:
    said: list[str] = []
    report = scratch.up(3, progress=said.append)

    facts = [api.info(scratch.socket(node)) for node in report.nodes]
    assert report.started == report.nodes == ("n1", "n2", "n3")
    assert report.seconds < 5
    assert [fact["Name"] for fact in facts] == ["n1", "n2", "n3"]
    assert len({fact["ID"] for fact in facts}) == 3
    assert [line.partition(":")[0] for line in said] == ["n1", "n2", "n3"]
    assert [(node.engine[:5], node.link, node.containers) for node in scratch.status()] == [("20.10", Link.UP, 0)] * 3


def test_a_lab_grows_and_up_again_changes_nothing(scratch: Lab) -> None:
    scratch.up(1, tls=True)
    before = daemons(scratch)

    assert scratch.up(2, tls=True).started == ("n2",)
    assert len(before) == 1
    assert before < daemons(scratch)
    after = daemons(scratch)
    assert scratch.up(2, tls=True).started == ()
    assert daemons(scratch) == after
    home, prefix = Path(scratch.env()["ORCH_HOME"]), scratch.status()[0].address.rpartition(".")[0]
    assert json.loads((home / "nodes.json").read_text()) == [
        {"name": node, "endpoint": f"unix://{scratch.root}/{node}/docker.sock", "address": f"{prefix}.{number}"}
        for number, node in enumerate(("n1", "n2"), start=1)
    ]
    for other in ({"tls": False}, {"engine": "26.1"}, {"subnet": "10.99.0.0/24"}, {"nodes": 1}):
        with pytest.raises(LabError, match="another lab is in") as raised:
            scratch.up(**{"nodes": 2, "tls": True} | other)
        assert "orch lab down" in raised.value.fix


def test_a_name_that_another_lab_has_is_refused(scratch: Lab) -> None:
    scratch.up(1, tls=True)
    name = scratch.root.name.removeprefix("orch-")
    other = Lab(root_of(name + "x"), name)

    try:
        with pytest.raises(LabError, match=f'a lab called "{name}" runs already') as raised:
            other.up(1)
        assert str(scratch.root) in raised.value.why
        other.down()
        assert len(daemons(scratch)) == 1
        assert not other.root.exists()
    finally:
        shutil.rmtree(other.root, ignore_errors=True)


def test_a_directory_that_is_no_lab_is_left_alone(scratch: Lab) -> None:
    scratch.root.mkdir()
    precious = scratch.root / "precious"
    precious.touch()

    with pytest.raises(LabError, match="is not empty and no lab"):
        scratch.up(1)
    scratch.down()
    assert precious.exists()
    shutil.rmtree(scratch.root)


def test_down_leaves_nothing_of_a_lab_with_dead_and_frozen_nodes(scratch: Lab) -> None:
    name = scratch.root.name.removeprefix("orch-")
    before = traces(scratch.root, name)
    scratch.up(3, tls=True)
    scratch.pause("n1")
    scratch.kill("n2")
    scratch.kill("n3", engine=True)
    during = traces(scratch.root, name)

    scratch.down()
    assert during.processes
    assert during.groups
    assert traces(scratch.root, name) == before
    assert not before.processes
    scratch.down()


def lose_the_state(lab: Lab) -> None:
    (lab.root / "lab.json").unlink()


def damage_the_state(lab: Lab) -> None:
    (lab.root / "lab.json").write_text("{")


def lose_the_directory(lab: Lab) -> None:
    for node in lab.nodes():
        lab.kill(node, engine=True)
    shutil.rmtree(lab.root)


@pytest.mark.parametrize("lose", [lose_the_state, damage_the_state, lose_the_directory])
def test_what_a_lab_with_lost_files_left_is_removed_by_up_and_by_down(
    scratch: Lab, lose: Callable[[Lab], None]
) -> None:
    name = scratch.root.name.removeprefix("orch-")
    scratch.up(2, tls=True)
    lose(scratch)
    assert scratch.up(1, tls=True).started == ("n1",)
    assert cgroups.nodes(name) == ("hub", "n1")

    lose(scratch)
    scratch.down()
    assert not traces(scratch.root, name).processes
    assert not traces(scratch.root, name).groups


UP = "import sys; from pathlib import Path; from orchestrator.lab import Lab; Lab(Path(sys.argv[1]), sys.argv[2]).up(3)"


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.3, 0.8])
def test_up_killed_at_any_moment_is_cleaned_by_down(scratch: Lab, after_s: float) -> None:
    name = scratch.root.name.removeprefix("orch-")
    before = traces(scratch.root, name)
    process = subprocess.Popen([sys.executable, "-c", UP, str(scratch.root), name])
    while not scratch.root.exists() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()

    scratch.down()
    assert process.returncode == -signal.SIGKILL
    assert traces(scratch.root, name) == before


def test_up_goes_on_where_a_killed_up_stopped(scratch: Lab) -> None:
    name = scratch.root.name.removeprefix("orch-")
    process = subprocess.Popen([sys.executable, "-c", UP, str(scratch.root), name])
    while not (scratch.root / "n2").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()

    scratch.up(3)
    assert [node.engine[:5] for node in scratch.status()] == ["20.10"] * 3


def test_without_root_it_says_so(scratch: Lab) -> None:
    """As user nobody, in a child: the test's own Python may lie where nobody else can read."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(65534, 65534, 65534)
            scratch.up(1)
        except LabError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)

    with os.fdopen(reader) as words:
        assert words.read() == (
            "the lab needs root\n"
            "  why: it makes namespaces, mounts, control groups and Docker engines\n"
            "  fix: run it with sudo, or as root in a virtual machine"
        )
    assert not scratch.root.exists()


def test_without_dockerd_it_names_the_packages(scratch: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as raised:
        scratch.up(1)

    assert "dockerd" in raised.value.what
    assert "apt-get install -y --no-install-recommends docker.io containerd runc iptables iproute2" in raised.value.fix
    assert not scratch.root.exists()


def test_an_engine_that_no_release_has_is_refused_with_those_there_are(scratch: Lab) -> None:
    with pytest.raises(LabError, match=r'unknown engine "1\.13"') as raised:
        scratch.up(1, "1.13")

    assert raised.value.fix == "there are: 20.10, 26.1"
    assert not scratch.root.exists()


def test_an_engine_that_cannot_start_is_reported_with_its_own_words(
    scratch: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.lab.engine.configuration", lambda *_: {"no-such-option": True})
    with pytest.raises(LabError, match='the engine of "n1" did not come up') as raised:
        scratch.up(1)

    assert "no-such-option" in raised.value.why
    assert raised.value.where.endswith("n1/dockerd.log")


def test_what_a_killed_test_session_left_goes_at_the_next_start() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    name = f"t{ended.pid}-left"
    subprocess.run([sys.executable, "-c", UP, str(root_of(name)), name], check=True)
    assert traces(root_of(name), name).processes

    sweep()
    assert not traces(root_of(name), name).processes
    assert not traces(root_of(name), name).groups
    assert not root_of(name).exists()


def test_a_wrong_image_is_refused_before_anything_starts(scratch: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is no docker-archive"):
        scratch.up(1, load=[tmp_path / "missing.tar"])

    assert not scratch.root.exists()
