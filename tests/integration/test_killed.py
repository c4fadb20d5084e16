"""SIGKILL of orch at every operation of an `up`: the next `up` finishes, nothing is lost, nothing is doubled.

The stack has four services, a network, a volume, a secret and dependencies. First it is made from nothing, once for
each event of an operation; then its configuration is changed, once for each event again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lab import Lab
from tests.integration import killed
from tests.integration.steps import Engines, Orch

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("killed"), pytest.mark.timeout(300)]

SIGKILL = 9
NAMES = ["k-api-1", "k-cache-1", "k-db-1", "k-web-1"]
STACK = """
name: k
x-common: &common {image: "orch/busybox:1", stop_signal: SIGKILL}
services:
  db:
    <<: *common
    command: [sh, -c, "[ -e /data/born ] || cat /proc/sys/kernel/random/uuid > /data/born; exec idle"]
    environment: {EDITION: "EDITION_NUMBER"}
    volumes: [data:/data]
    healthcheck: {test: "test -s /data/born", interval: 1s}
  cache:
    <<: *common
    command: [idle]
  api:
    <<: *common
    command: [sh, -c, "[ $$(cat /run/secrets/key) = sesame ] || exit 9; exec idle"]
    secrets: [key]
    depends_on: {db: {condition: service_healthy}, cache: {condition: service_started}}
  web:
    <<: *common
    command: [idle]
    environment: {EDITION: "EDITION_NUMBER"}
    depends_on: [api]
volumes: {data: }
secrets: {key: {file: ./key}}
"""


class Victim:
    """An `up` that dies at a chosen moment."""

    def __init__(self, orch: Orch) -> None:
        self._orch = orch
        self.process = subprocess.Popen(
            [sys.executable, killed.__file__, str(orch.folder / "stack.yml")],
            cwd=orch.folder,
            env=orch.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def up(self, moment: str, number: int = 0) -> tuple[int, int]:
        """(events of operations that it saw, the signal that ended it)"""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(moment, number, file=self.process.stdin, flush=True)
        said = self.process.stdout.readline()
        assert said, self.process.communicate()[1]
        events, number = map(int, said.split())
        return events, number

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def victim(orch: Orch) -> Iterator[Victim]:
    (orch.folder / "key").write_text("sesame")
    declare(orch, 1)
    made = Victim(orch)
    yield made
    made.close()


def declare(orch: Orch, edition: int) -> None:
    orch.stack(STACK.replace("EDITION_NUMBER", str(edition)))


def born(lab: Lab) -> str:
    """What db wrote into the volume when it found it empty."""
    path = lab.root / "n1" / "data" / "volumes" / "k_data" / "_data" / "born"
    return path.read_text() if path.exists() else ""


def require_whole(lab: Lab, engines: Engines, edition: int, before: str, at: str) -> dict[str, str]:
    """Each slot has one container, under its own name, of the right edition; nothing else is there. Its ids."""
    boxes = engines.boxes("k")
    assert [(box.name, box.state) for box in boxes] == [(name, "running") for name in NAMES], at
    editions = {box.service: f"EDITION={edition}" in box.raw["Config"]["Env"] for box in boxes}
    assert editions == {"api": False, "cache": False, "db": True, "web": True}, at
    assert engines.networks("k") == {("n1", "k_default")}, at
    assert [volume["Name"] for volume in engines.ask("n1", "GET", "/volumes")["Volumes"]] == ["k_data"], at
    assert born(lab), at
    assert before in ("", born(lab)), at
    return {box.service: box.id for box in boxes}


def remove_all(engines: Engines) -> None:
    for box in engines.boxes("k"):
        engines.ask("n1", "DELETE", f"/containers/{box.id}?force=1")
    for kind, found in (("networks", engines.networks("k")), ("volumes", engines.volumes("k"))):
        for node, name in found:
            engines.ask(node, "DELETE", f"/{kind}/{name}")


def moments(events: int) -> Iterator[tuple[str, int]]:
    yield "stored", 0
    for number in range(1, events + 1):
        yield "at", number


def calls(events: int) -> Iterator[tuple[str, int]]:
    for number in range(1, events // 2 + 1):
        yield "during", number


def test_a_first_up_that_is_killed_anywhere_is_finished_by_the_next(
    one: Lab, orch: Orch, engines: Engines, victim: Victim
) -> None:
    events, ended = victim.up("never")
    assert (ended, events) == (0, 20)
    require_whole(one, engines, 1, "", "never")

    nodes = (orch.folder / "orch-home" / "nodes.json").read_bytes()
    for moment, number in moments(events):
        remove_all(engines)
        shutil.rmtree(orch.folder / "orch-home")
        Path(orch.env["ORCH_HOME"]).mkdir()
        (orch.folder / "orch-home" / "nodes.json").write_bytes(nodes)

        assert victim.up(moment, number)[1] == SIGKILL
        before = born(one)
        orch("up", "-f", "stack.yml")
        require_whole(one, engines, 1, before, f"{moment} {number}")


def test_an_update_that_is_killed_anywhere_is_finished_by_the_next(
    one: Lab, orch: Orch, engines: Engines, victim: Victim
) -> None:
    victim.up("never")
    before, ids = born(one), require_whole(one, engines, 1, "", "first")
    declare(orch, 2)
    events, ended = victim.up("never")
    assert (ended, events) == (0, 20)

    for edition, (moment, number) in enumerate((*moments(events), *calls(events)), start=3):
        declare(orch, edition)
        victim.up(moment, number)
        orch("up", "-f", "stack.yml")
        now = require_whole(one, engines, edition, before, f"{moment} {number}")
        assert {name: now[name] for name in ("api", "cache")} == {name: ids[name] for name in ("api", "cache")}
        assert not {now["db"], now["web"]} & set(ids.values())
        ids = now
