"""Networks that span hosts, on real engines: services find each other, hosts come and go, and a quorum is lost."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import Engines, Orch, eventually
from tests.labs import Labs

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("nodes"), pytest.mark.timeout(240)]

STACK = """
name: net
x-common: &common {image: "orch/busybox:1", stop_signal: SIGKILL, restart: always}
services:
  web:
    <<: *common
    command: [sh, -c, "hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    deploy: {replicas: 3}
  ask:
    <<: *common
    command: [idle]
    deploy: {replicas: 3}
"""


_numbers = itertools.count(1)


@pytest.fixture
def three(labs: Labs, tmp_path: Path) -> Iterator[Lab]:
    """Three nodes that were in no swarm before: who joins again at once may carry no traffic."""
    lab = labs(f"net{next(_numbers)}", nodes=3)
    home = tmp_path / "orch-home"
    home.mkdir()
    shutil.copy(Path(lab.env()["ORCH_HOME"]) / "nodes.json", home)
    yield lab
    lab.down()


def find_each_other(orch: Orch, asker: int, slots: int) -> None:
    """One slot of ask gets another answer from each slot of web; what a dead host leaves in DNS goes in a moment."""
    line = "; ".join(f"timeout 3 wget -qO- http://web-{n}/" for n in range(1, slots + 1))

    def answers() -> int:
        return len(set(orch.start("exec", "-T", f"ask.{asker}", "sh", "-c", line).ended(60).out.split()))

    eventually(lambda: answers() == slots, within_s=40)


def leftovers(engines: Engines, lab: Lab) -> list[str]:
    """Containers and networks that orch made for networks across hosts, on any node."""
    found = []
    for node in lab.nodes():
        found += [c["Names"][0] for c in engines.ask(node, "GET", "/containers/json?all=1")]
        found += [n["Name"] for n in engines.ask(node, "GET", "/networks") if n["Name"].startswith("net_")]
    return found


def test_services_find_each_other_on_all_hosts_and_nothing_is_left_afterwards(
    three: Lab, orch: Orch, engines: Engines
) -> None:
    orch.stack(STACK)
    orch("up", "--span", "-f", "stack.yml")
    assert {box.node for box in engines.boxes("net") if box.service == "web"} == {"n1", "n2", "n3"}
    for asker in (1, 2, 3):
        find_each_other(orch, asker, 3)
    assert orch("plan", "-f", "stack.yml").out == "nothing to do\n"
    before = {box.id for box in engines.boxes("net")}
    orch("up", "-f", "stack.yml")
    assert {box.id for box in engines.boxes("net")} == before

    orch("scale", "web=5", "-p", "net")
    find_each_other(orch, 1, 5)
    assert "the managers have a majority" in orch("cluster", "status").err
    orch("down", "-p", "net")
    assert leftovers(engines, three) == []


def test_a_host_that_dies_is_replaced_and_the_others_go_on(three: Lab, orch: Orch, engines: Engines) -> None:
    orch.stack(STACK)
    orch("up", "--span", "-f", "stack.yml")
    three.kill("n2")
    orch("up", "-f", "stack.yml")
    living = engines.boxes("net", ["n1", "n3"])
    assert sorted(box.name for box in living) == [f"net-{s}-{n}" for s in ("ask", "web") for n in (1, 2, 3)]
    find_each_other(orch, 1, 3)

    three.restart("n2")
    orch("up", "-f", "stack.yml")
    assert sorted(b.id for b in engines.boxes("net")) == sorted(box.id for box in living)
    orch("scale", "web=6", "-p", "net")
    find_each_other(orch, 1, 6)
    orch("down", "-p", "net")
    assert leftovers(engines, three) == []


def test_a_pin_a_container_or_a_network_removed_behind_our_back_is_repaired(
    three: Lab, orch: Orch, engines: Engines
) -> None:
    orch.stack(STACK)
    orch("up", "--span", "-f", "stack.yml")
    pins = [c["Id"] for c in engines.ask("n2", "GET", "/containers/json") if "orch-pin" in c["Names"][0]]
    assert len(pins) == 1
    engines.ask("n2", "DELETE", f"/containers/{pins[0]}?force=1")
    gone = next(box for box in engines.boxes("net", ["n3"]) if box.service == "web")
    engines.ask("n3", "DELETE", f"/containers/{gone.id}?force=1")
    orch("up", "-f", "stack.yml")
    find_each_other(orch, 1, 3)
    again = [c for c in engines.ask("n2", "GET", "/containers/json") if "orch-pin" in c["Names"][0]]
    assert len(again) == 1
    orch("down", "-p", "net")
    assert leftovers(engines, three) == []
