"""Data on real engines: it moves whole or not at all, it waits for its host, it is destroyed only by name."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import Engines, Orch, eventually

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("volumes"), pytest.mark.timeout(180)]

BIG_BYTES = 50_000_000
STACK = """
name: v
x-common: &common {image: "orch/busybox:1", command: [idle], stop_signal: SIGKILL, network_mode: none}
services:
  db:
    <<: *common
    volumes: [data:/data]
  web:
    <<: *common
    deploy: {replicas: 3}
volumes: {data: }
"""
SLOTS = """
name: v
services:
  db:
    image: "orch/busybox:1"
    command: [sh, -c, "echo $$HOSTNAME >> /data/starts; exec idle"]
    stop_signal: SIGKILL
    network_mode: none
    deploy: {replicas: 3}
    volumes: [data:/data]
volumes: {data: {x-orch: {per_replica: true}}}
"""


@pytest.fixture
def volumes(three: Lab, orch: Orch) -> Orch:
    """`orch` on three nodes, all of which have the image."""
    del three
    return orch


def folder(lab: Lab, node: str, volume: str = "v_data") -> Path:
    """Where the engine keeps it."""
    return lab.root / node / "data" / "volumes" / volume / "_data"


def fill(path: Path) -> None:
    """Odd owners, modes, names, links, and one large file."""
    (path / "base" / "deep").mkdir(parents=True)
    (path / "base" / "deep" / "empty").touch()
    (path / "caf\udce9 and space").write_bytes(b"\0\xff" * 1000)
    (path / "big").write_bytes(os.urandom(1_000_000) * (BIG_BYTES // 1_000_000))
    (path / "link").symlink_to("../outside/base")
    os.link(path / "base" / "deep" / "empty", path / "twin")
    os.mkfifo(path / "pipe", 0o622)
    for number, name in enumerate(("base", "base/deep", "base/deep/empty", "big")):
        os.chown(path / name, 1000 + number, 2000 + number)
    os.chmod(path / "base", 0o2750)
    os.chmod(path / "base" / "deep", 0o1777)
    os.chmod(path / "big", 0o4711)
    os.chown(path / "link", 42, 43, follow_symlinks=False)
    os.chown(path, 999, 998)
    os.chmod(path, 0o700)


def state(path: Path) -> dict[str, tuple[object, ...]]:
    """All that a program could find there, read past the engine and past orch."""
    found = {}
    for each in sorted((path, *path.rglob("*"))):
        seen = each.lstat()
        content = os.readlink(each) if each.is_symlink() else ""
        if each.is_file() and not each.is_symlink():
            content = hashlib.sha256(each.read_bytes()).hexdigest()
        found[os.path.relpath(each, path)] = (oct(seen.st_mode), seen.st_uid, seen.st_gid, content)
    twin, empty = (path / "twin", path / "base" / "deep" / "empty")
    if twin.exists():
        found["twins"] = (twin.stat().st_ino == empty.stat().st_ino,)
    return found


def home(engines: Engines) -> str:
    return engines.box("v", "v-db-1").node


def leftovers(engines: Engines) -> list[str]:
    """Containers of orch's own that help with a copy."""
    listed = [c for node in engines.lab.nodes() for c in engines.ask(node, "GET", "/containers/json?all=1")]
    return [c["Names"][0] for c in listed if c["Names"][0].startswith("/orch-helper-")]


def other(lab: Lab, *nodes: str) -> str:
    return next(node for node in lab.nodes() if node not in nodes)


def test_data_moves_with_all_that_it_is_and_what_does_not_use_it_goes_on(
    three: Lab, volumes: Orch, engines: Engines
) -> None:
    volumes.stack(STACK)
    volumes("up", "-f", "stack.yml")
    source = home(engines)
    fill(folder(three, source))
    before, target = state(folder(three, source)), other(three, source)
    webs = {(box.id, box.started_at) for box in engines.boxes("v") if box.service == "web"}

    done = volumes("volume", "move", "v_data", target)

    assert done.out == f"v_data: on {target}\n"
    assert f"volume v_data moved from {source} to {target}" in done.err
    assert "MB copied" in done.err
    assert state(folder(three, target)) == before
    assert engines.volumes("v") == {(target, "v_data")}
    assert engines.box("v", "v-db-1").what == ("v-db-1", "running")
    assert home(engines) == target
    assert {(box.id, box.started_at) for box in engines.boxes("v") if box.service == "web"} == webs
    assert leftovers(engines) == []
    assert volumes("plan", "-f", "stack.yml").code == 0


@pytest.mark.parametrize("verb", ["move", "up"])
def test_killed_while_it_copies_it_loses_nothing_and_the_next_command_goes_on(
    three: Lab, volumes: Orch, engines: Engines, verb: str
) -> None:
    volumes.stack(STACK)
    volumes("up", "-f", "stack.yml")
    source = home(engines)
    fill(folder(three, source))
    before, target = state(folder(three, source)), other(three, source)

    running = volumes.start("volume", "move", "v_data", target)
    half = folder(three, target) / "big"
    eventually(lambda: half.exists() and half.stat().st_size > 0, within_s=60, pause_s=0.002)
    running.send(signal.SIGKILL)
    assert running.ended().code == -signal.SIGKILL
    assert state(folder(three, source)) == before
    assert [box for box in engines.boxes("v") if box.service == "db"] == []
    row = volumes("volume", "ls").out.splitlines()[1].split()
    assert row[2:5] == [source, "->", target]

    words = ("volume", "move", "v_data", target) if verb == "move" else ("up", "-f", "stack.yml")
    volumes(*words)
    assert state(folder(three, target)) == before
    assert engines.volumes("v") == {(target, "v_data")}
    assert home(engines) == target
    assert leftovers(engines) == []


def test_a_move_that_was_killed_can_be_given_up(three: Lab, volumes: Orch, engines: Engines) -> None:
    volumes.stack(STACK)
    volumes("up", "-f", "stack.yml")
    source = home(engines)
    fill(folder(three, source))
    before, target = state(folder(three, source)), other(three, source)
    running = volumes.start("volume", "move", "v_data", target)
    eventually(lambda: folder(three, target).exists(), within_s=60, pause_s=0.002)
    running.send(signal.SIGKILL)
    running.ended()

    volumes("volume", "move", "v_data", source)

    assert state(folder(three, source)) == before
    assert engines.volumes("v") == {(source, "v_data")}
    assert (home(engines), engines.box("v", "v-db-1").state) == (source, "running")


def test_a_disk_that_is_full_leaves_all_as_it_was(three: Lab, volumes: Orch, engines: Engines) -> None:
    """The target's volumes are on a file system of 16 MB."""
    volumes.stack(STACK)
    volumes("up", "-f", "stack.yml")
    source = home(engines)
    fill(folder(three, source))
    before, target = state(folder(three, source)), other(three, source)
    place = three.root / target / "data" / "volumes"
    three_run(three, target, "mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place))
    try:
        done = volumes("volume", "move", "v_data", target, code=1)
    finally:
        three_run(three, target, "umount", str(place))

    assert f'volume "v_data" was not moved to {target}' in done.err
    assert "no space left on device" in done.err
    assert state(folder(three, source)) == before
    assert (home(engines), engines.box("v", "v-db-1").state) == (source, "running")
    assert engines.volumes("v") == {(source, "v_data")}


def three_run(lab: Lab, node: str, *words: str) -> None:
    import subprocess

    subprocess.run(lab.inside(node, *words), check=True, timeout=20)


def test_while_its_host_is_away_a_slot_waits_and_the_others_go_on(three: Lab, volumes: Orch, engines: Engines) -> None:
    """A new process, that never saw the host, knows what is there; the host comes back with the data."""
    volumes.stack(SLOTS)
    volumes("up", "-f", "stack.yml")
    nodes = {box.slot: box.node for box in engines.boxes("v")}
    assert sorted(nodes.values()) == sorted(three.nodes())
    assert engines.volumes("v") == {(node, f"v_data-{slot}") for slot, node in nodes.items()}
    lost = nodes[2]
    three.kill(lost)
    others = [node for node in three.nodes() if node != lost]

    done = volumes("up", "-f", "stack.yml", "--force-recreate", "--wait-timeout", "40", code=1)
    assert f"the data of volume v_data-2 is on {lost}, which does not answer" in done.err
    assert [box.what for box in engines.boxes("v", others)] == [("v-db-1", "running"), ("v-db-3", "running")]
    assert (
        volumes("volume", "rm", "-y", "v_data-2", code=1).err.count(f"its data is on {lost}, which does not answer")
        == 1
    )

    three.restart(lost)
    volumes("up", "-f", "stack.yml")
    assert {box.slot: box.node for box in engines.boxes("v")} == nodes
    assert len((folder(three, lost, "v_data-2") / "starts").read_text().splitlines()) >= 1


def test_what_is_removed_is_named_first_and_nothing_else_goes(three: Lab, volumes: Orch, engines: Engines) -> None:
    volumes.stack(SLOTS)
    volumes("up", "-f", "stack.yml")
    assert "holds it" in volumes("volume", "rm", "-y", "v_data-1", code=1).err
    volumes("down")
    kept = engines.volumes("v")
    assert len(kept) == 3

    asked = volumes("volume", "rm", "v_data-1", code=2)
    assert 'volume "v_data-1" on ' in asked.err
    assert engines.volumes("v") == kept

    volumes("volume", "rm", "--yes", "v_data-1")
    assert {name for _, name in engines.volumes("v")} == {"v_data-2", "v_data-3"}
    volumes("volume", "prune", "--yes")
    assert engines.volumes("v") == set()
    assert volumes("volume", "ls", "-q").out == ""
    assert three.nodes()
