"""Hosts that die, freeze and come back: nothing is lost, what is doubled goes, and data stay where they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import Engines, Orch, eventually

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("nodes"), pytest.mark.timeout(150)]

STACK = """
name: m
x-common: &common {image: "orch/busybox:1", command: [idle], stop_signal: SIGKILL, network_mode: none}
services:
  web:
    <<: *common
    restart: always
    deploy: {replicas: 6}
  db:
    <<: *common
    volumes: [data:/data]
volumes: {data: }
"""

GATED = """
name: m
x-common: &common {image: "orch/busybox:1", stop_signal: SIGKILL, network_mode: none}
services:
  gate:
    <<: *common
    command: [sh, -c, "while ! [ -e /data/open ]; do sleep 0.1; done; exec idle"]
    volumes: [data:/data]
    healthcheck: {test: "test -e /data/open", interval: 1s, retries: 100}
  web:
    <<: *common
    command: [idle]
    deploy: {replicas: 6}
    depends_on: {gate: {condition: service_healthy}}
volumes: {data: }
"""

SLOTS = [f"m-web-{number}" for number in range(1, 7)]


def open_gate(lab: Lab, node: str) -> None:
    (lab.root / node / "data" / "volumes" / "m_data" / "_data" / "open").touch()


def webs(engines: Engines, *nodes: str) -> list[tuple[str, str]]:
    """(name, state) of the containers of web on these nodes."""
    return [box.what for box in engines.boxes("m", nodes) if box.service == "web"]


def spread(engines: Engines, *nodes: str) -> Counter[str]:
    return Counter(box.node for box in engines.boxes("m", nodes) if box.service == "web")


ALL_RUN = [(name, "running") for name in SLOTS]


@pytest.mark.parametrize(
    ("hurt", "heal"), [(Lab.kill, Lab.restart), (Lab.pause, Lab.unpause)], ids=["killed", "frozen"]
)
def test_an_up_goes_on_elsewhere_when_a_node_goes_silent_and_the_next_removes_what_is_doubled(
    three: Lab, orch: Orch, engines: Engines, hurt: Callable[[Lab, str], None], heal: Callable[[Lab, str], None]
) -> None:
    orch.stack(GATED)
    running = orch.start("up", "-f", "stack.yml")
    eventually(lambda: len(webs(engines)) == 6 and engines.box("m", "m-gate-1").state == "running", within_s=20)
    home = engines.box("m", "m-gate-1").node
    lost, other = (node for node in three.nodes() if node != home)
    assert spread(engines)[lost] == 2

    hurt(three, lost)
    open_gate(three, home)
    done = running.ended(60)
    assert done.code == 0
    assert webs(engines, home, other) == ALL_RUN
    assert lost in done.err

    heal(three, lost)
    orch("up", "-f", "stack.yml")
    assert webs(engines) == ALL_RUN
    assert spread(engines)[lost] == 0
    assert orch("plan", "-f", "stack.yml").out == "nothing to do\n"


def test_containers_that_a_dead_node_brings_back_go_and_those_in_service_stay(
    three: Lab, orch: Orch, engines: Engines
) -> None:
    orch.stack(STACK)
    orch("up", "-f", "stack.yml")
    assert spread(engines) == {"n1": 2, "n2": 2, "n3": 2}
    home = engines.box("m", "m-db-1").node
    lost, other = (node for node in three.nodes() if node != home)

    three.kill(lost)
    said = orch("up", "-f", "stack.yml").err
    assert f'node "{lost}" does not answer: connection refused\n' in said
    assert webs(engines, home, other) == ALL_RUN
    in_service = {box.name: box.id for box in engines.boxes("m", [home, other])}

    three.restart(lost)
    eventually(lambda: [state for _, state in webs(engines, lost)] == ["running", "running"], within_s=20)
    orch("up", "-f", "stack.yml")
    assert {box.name: box.id for box in engines.boxes("m")} == in_service


def test_data_are_waited_for_and_never_replaced_by_an_empty_volume(three: Lab, orch: Orch, engines: Engines) -> None:
    orch.stack(STACK)
    orch("up", "-f", "stack.yml")
    home = engines.box("m", "m-db-1").node
    others = [node for node in three.nodes() if node != home]
    (three.root / home / "data" / "volumes" / "m_data" / "_data" / "precious").write_text("gold")

    three.kill(home)
    for command in (("up", "-f", "stack.yml"), ("up", "-f", "stack.yml", "--force-recreate")):
        said = orch(*command, code=1).err
        reason = f"db.1: the data of volume m_data is on {home}, which does not answer (connection refused)\n"
        assert reason in said
        assert said.endswith(
            "  why: db.1 failed\n  fix: mend it, then give the same command again: it goes on from here\n"
        )
        assert webs(engines, *others) == ALL_RUN
        assert not any(
            volume["Name"] == "m_data"
            for node in others
            for volume in engines.ask(node, "GET", "/volumes")["Volumes"] or ()
        )
    assert reason.strip() in orch("plan", "-f", "stack.yml", code=1).out

    three.restart(home)
    orch("up", "-f", "stack.yml")
    db = engines.box("m", "m-db-1")
    assert (db.node, db.state) == (home, "running")
    assert (three.root / home / "data" / "volumes" / "m_data" / "_data" / "precious").read_text() == "gold"
    assert webs(engines) == ALL_RUN


def test_who_looks_while_a_node_is_silent_is_told_what_is_not_seen(three: Lab, orch: Orch, engines: Engines) -> None:
    orch.stack(STACK)
    orch("up", "-f", "stack.yml")
    lost = next(box for box in engines.boxes("m") if box.name == "m-web-1").node
    three.kill(lost)

    warning = f'warning: node "{lost}" does not answer, and what is on it is not seen: connection refused\n'
    for look in (("ps", "-p", "m"), ("ls",), ("logs", "-p", "m")):
        assert warning in orch(*look).err
    assert "m-web-1" not in orch("ps", "-p", "m").out
    assert warning in orch("exec", "-p", "m", "-T", "web.1", "true", code=1).err


def test_node_ls_says_how_each_node_is(three: Lab, orch: Orch) -> None:
    three.kill("n3")

    nodes = json.loads(orch("node", "ls", "--format", "json").out)
    assert [(node["name"], node.get("status", "ready")) for node in nodes] == [
        ("n1", "ready"),
        ("n2", "ready"),
        ("n3", "down"),
    ]
    assert nodes[2]["trouble"] == "connection refused"
    assert nodes[0]["facts"]["version"].startswith("20.10.")
