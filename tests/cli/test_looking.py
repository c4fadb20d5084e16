"""The verbs that only look: their tables, their JSON, their exit codes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.commands.ps import status
from orchestrator.engine import Behaviour, MemoryEngine
from orchestrator.model.cluster import Container, ContainerState, Health
from orchestrator.model.names import ContainerId, NodeName, ServiceName, SlotNumber, StackName
from tests.cli.world import SHOP, World

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def container(**fields: Any) -> Container:
    values: dict[str, Any] = {
        "id": ContainerId("c1"), "name": "shop-web-1", "node": NodeName("n1"), "stack": StackName("shop"),
        "service": ServiceName("web"), "slot": SlotNumber(1), "state": ContainerState.RUNNING,
        "started_at": NOW - timedelta(seconds=3),
    }  # fmt: skip
    return Container(**values | fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Up 3 s"),
        ({"health": Health.HEALTHY}, "Up 3 s (healthy)"),
        ({"health": Health.STARTING, "started_at": NOW - timedelta(hours=3)}, "Up 3 h (starting)"),
        (
            {"state": ContainerState.EXITED, "exit_code": 1, "finished_at": NOW - timedelta(seconds=5)},
            "Exited (1) 5 s ago",
        ),
        ({"state": ContainerState.PAUSED}, "Up 3 s (paused)"),
        ({"state": ContainerState.CREATED}, "Created"),
        ({"state": ContainerState.CREATED, "error": "port is taken"}, "Created: port is taken"),
        (
            {"state": ContainerState.RESTARTING, "exit_code": 2, "finished_at": NOW - timedelta(days=3)},
            "Restarting (2) 3 d ago",
        ),
    ],
)  # fmt: skip
def test_the_status_of_a_container_in_words(fields: dict[str, Any], words: str) -> None:
    assert status(container(**fields), NOW) == words


def test_ps_is_a_table_of_what_runs(shop: World) -> None:
    lines = [line.split() for line in shop.orch("ps").out.splitlines()]

    assert lines[0] == ["NAME", "IMAGE", "SERVICE", "NODE", "STATUS", "PORTS"]
    assert lines[1][:4] == ["shop-db-1", "db:1", "db", "local"]
    assert lines[2][:4] == ["shop-web-1", "web:1", "web", "local"]
    assert lines[2][-1] == "*:8080->80/tcp"


def test_ps_hides_what_does_not_run_and_says_so(shop: World) -> None:
    shop.orch("stop", "web")

    said = shop.orch("ps")
    assert "shop-web-1" not in said.out
    assert said.err == "1 container not running: orch ps -a\n"
    assert "shop-web-1" in shop.orch("ps", "-a").out
    assert shop.orch("ps", "--status", "exited", "--services").out == "web\n"


def test_ps_of_nothing_says_where_to_look(world: World) -> None:
    assert world.orch("-p", "mall", "ps").err == "the stack has no containers: orch ls lists all stacks\n"
    assert world.orch("-p", "mall", "ps", "--format", "json") == (0, "[]\n", "")


def test_ps_as_json(shop: World) -> None:
    db, web = shop.orch("ps", "--format", "json").json()

    assert (web["name"], web["service"], web["slot"], web["node"]) == ("shop-web-1", "web", 1, "local")
    assert (web["state"], web["health"], web["revision"]) == ("running", "none", 1)
    assert web["ports"] == [{"host_ip": "", "port": 8080, "target": 80, "protocol": "tcp"}]
    assert db["id"] == shop.orch("ps", "-q", "db.1").out.strip()


def test_ps_of_an_unknown_slot_is_refused(shop: World) -> None:
    said = shop.orch("ps", "web.2")

    assert said.code == 1
    assert 'stack "shop" has no "web.2"' in said.err


def test_ls_lists_stacks(shop: World) -> None:
    (stack,) = shop.orch("ls", "--format", "json").json()

    assert (stack["name"], stack["revision"], stack["state"]) == ("shop", 1, "running(2)")
    assert stack["nodes"] == ["local"]
    assert stack["files"] == [str(shop.folder / "compose.yaml")]
    assert shop.orch("ls", "-q").out == "shop\n"
    assert shop.orch("ls").out.splitlines()[1].split()[:2] == ["shop", "running(2)"]


def test_logs_are_merged_with_a_prefix_of_one_width(world: World) -> None:
    world.local.behaviours["web"] = Behaviour(output=("hello", "world"))
    world.local.behaviours["db"] = Behaviour(output=("ready",))
    world.stack(SHOP)
    world.orch("up")

    assert world.orch("logs").out.splitlines() == ["db-1   | ready", "web-1  | hello", "web-1  | world"]
    assert world.orch("logs", "web.1", "--tail", "1", "--no-log-prefix").out == "world\n"
    stamped = world.orch("logs", "-t", "--no-log-prefix", "db").out
    assert datetime.fromisoformat(stamped.split()[0]).tzinfo is UTC
    assert world.orch("logs", "wep").code == 1
    assert "is no time" in world.orch("logs", "--since", "yesterday").err


def test_plan_prints_waves_and_ends_with_two(world: World) -> None:
    world.stack(SHOP)

    said = world.orch("plan")

    assert said.code == 2
    lines = said.out.splitlines()
    assert lines[0] == "wave 1"
    assert any(line.lstrip().startswith("#1 create ") and ", because " in line for line in lines)
    start_web = next(line for line in lines if "start web.1 on local" in line)
    assert "[" in start_web
    assert not [call for call, _ in world.local.calls if call.startswith(("create", "start", "pull"))]


def test_plan_of_what_is_true_says_so_and_ends_with_zero(shop: World) -> None:
    assert shop.orch("plan") == (0, "nothing to do\n", "")
    assert shop.orch("plan", "--format", "json").json() == {"steps": [], "blocked": []}


def test_plan_as_json(world: World) -> None:
    world.stack(SHOP)

    steps = world.orch("plan", "--format", "json").json()["steps"]

    assert [step["number"] for step in steps] == list(range(1, len(steps) + 1))
    (start,) = [step for step in steps if step["title"] == "start web.1 on local"]
    assert start["operation"]["kind"] == "StartContainer"
    assert start["cause"]
    assert set(start["after"]) < set(range(1, start["number"]))


@pytest.mark.parametrize("text", ["services: {web: {imagee: x}}", "services: ["])
def test_plan_ends_with_one_for_a_wrong_file(world: World, text: str) -> None:
    world.stack(text)

    said = world.orch("plan")

    assert said.code == 1
    assert said.err.startswith("orch: compose.yaml:")


def test_plan_ends_with_one_for_a_wrong_command_line(world: World) -> None:
    assert world.orch("plan", "--nothing").code == 1


def test_plan_ends_with_one_when_it_can_not_become_true(world: World) -> None:
    world.stack("services: {web: {image: 'web:1', ports: ['8080:80'], scale: 2}}")

    said = world.orch("plan")

    assert said.code == 1
    assert "failed: web.2: no node can take it" in said.out


def test_config_prints_what_the_files_add_up_to(world: World, tmp_path: Path) -> None:
    world.stack(SHOP)

    printed = world.orch("config")

    assert printed.code == 0
    assert list(yaml.safe_load(printed.out)["services"]) == ["web", "db"]
    assert printed.out.startswith("name: shop\n")
    assert world.orch("config", "-q") == (0, "", "")
    assert world.orch("config", "--services").out == "db\nweb\n"
    assert world.orch("config", "--volumes").out == "data\n"
    assert world.orch("config", "--images").out == "db:1\nweb:1\n"
    target = tmp_path / "out.yaml"
    assert world.orch("config", "-o", str(target)).out == ""
    assert target.read_text() == printed.out


def test_config_lists_profiles_that_are_not_enabled(world: World) -> None:
    world.stack("services: {web: {image: 'web:1'}, tool: {image: 'job:1', profiles: [debug]}}")

    assert world.orch("config", "--profiles").out == "debug\n"
    assert world.orch("config", "--services").out == "web\n"


def test_a_file_that_can_not_be_written_is_an_error(world: World) -> None:
    world.stack(SHOP)

    said = world.orch("config", "-o", "missing/out.yaml")

    assert said.code == 2
    assert 'can\'t write "missing/out.yaml"' in said.err


def test_each_error_of_a_file_has_its_place(world: World) -> None:
    world.stack("services:\n  web:\n    imagee: x\n    image: web\n    comand: x\n")

    said = world.orch("config", "-q")

    assert said.code == 2
    assert [line.split(" ")[1] for line in said.err.splitlines() if line.startswith("orch:")] == [
        "compose.yaml:3:5:", "compose.yaml:5:5:",
    ]  # fmt: skip


WEB_WAITS = """
services:
  web: {image: web, depends_on: {db: {condition: service_healthy}, mail: {condition: service_started, required: false}}}
  db: {image: db, healthcheck: {test: "true"}}
  mail: {image: mail}
"""


def test_graph_as_text(world: World) -> None:
    world.stack(WEB_WAITS)

    assert world.orch("graph").out == "wave 1  db\n        mail\nwave 2  web  after db healthy, mail started\n"


def test_graph_as_dot_and_mermaid(world: World) -> None:
    world.stack(WEB_WAITS)

    dot = world.orch("graph", "--format", "dot").out
    assert dot.startswith('digraph "shop" {\n')
    assert '  "web" -> "db" [label="healthy"];\n' in dot
    assert '  "web" -> "mail" [label="started", style=dashed];\n' in dot
    mermaid = world.orch("graph", "--format", "mermaid").out.splitlines()
    assert mermaid == [
        "flowchart LR", '  s0["db"]', '  s1["mail"]', '  s2["web"]', "  s2 -->|healthy| s0", "  s2 -.->|started| s1",
    ]  # fmt: skip


def test_graph_as_json(world: World) -> None:
    world.stack(WEB_WAITS)

    graph = world.orch("graph", "--format", "json").json()

    assert graph["waves"] == [["db", "mail"], ["web"]]
    assert {
        "dependent": "web",
        "dependency": "db",
        "condition": "service_healthy",
        "required": True,
        "restart": False,
    } in (graph["edges"])


def test_nodes_come_are_listed_and_go(world: World) -> None:
    world.add_host("n1")

    added = world.orch("node", "add", "n1", "memory://n1", "--label", "disk=ssd")
    assert added.out == "n1 added: engine 26.1.5, 8 cpus\n", added.err

    (node,) = world.orch("node", "ls", "--format", "json").json()
    assert (node["name"], node["endpoint"], node["labels"]) == ("n1", "memory://n1", {"disk": "ssd"})
    assert world.orch("node", "ls").out.splitlines()[1].split() == [
        "n1", "memory://n1", "ready", "active", "26.1.5", "8", "16.0", "GiB", "disk=ssd",
    ]  # fmt: skip

    assert world.orch("node", "rm", "n1").out == "n1 removed\n"


def test_what_people_say_of_a_node_changes(world: World) -> None:
    world.add_host("n1")
    world.orch("node", "add", "n1", "memory://n1", "--label", "disk=ssd", "--label", "zone=a")

    said = world.orch("node", "update", "n1", "--label-add", "zone=b", "--label-rm", "disk", "--availability", "pause")
    assert said.out == "n1 is pause; labels: zone=b\n"
    (node,) = world.orch("node", "ls", "--format", "json").json()
    assert (node["labels"], node["availability"]) == ({"zone": "b"}, "pause")
    for wrong, told in ((("n1", "--label-rm", "disk"), 'no label "disk"'), (("n9",), 'no node "n9"')):
        refused = world.orch("node", "update", *wrong)
        assert (refused.code != 0, told in refused.err) == (True, True)


async def _in_a_swarm(engine: MemoryEngine) -> None:
    await engine.init_swarm(address="", pool="10.99.0.0/16", labels={})


def test_a_host_of_another_swarm_is_refused_with_advice(world: World) -> None:
    asyncio.run(_in_a_swarm(world.add_host("n1")))
    refused = world.orch("node", "add", "n1", "memory://n1")
    assert refused.code != 0
    assert "part of another swarm" in refused.err
    assert "docker swarm leave" in refused.err


def test_a_silent_node_is_listed_with_its_trouble(world: World) -> None:
    engine = world.add_host("n1")
    world.orch("node", "add", "n1", "memory://n1")
    engine.unplug()

    said = world.orch("node", "ls")

    assert said.out.splitlines()[1].split()[:3] == ["n1", "memory://n1", "down"]
    assert said.err.startswith("n1: ")


def test_version(world: World) -> None:
    from orchestrator import __version__

    assert world.orch("version", "--format", "json").json()["version"] == __version__
    assert world.orch("version", "--short").out == f"{__version__}\n"
    assert world.orch("--version").out == f"orch {__version__}\n"
