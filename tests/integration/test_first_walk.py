"""The classic first walk, on each engine: a real web server, its port, its page, its end; the page outlives it all."""

from __future__ import annotations

import json

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import EXAMPLES, OFFLINE, Answer, Engines, Orch, get

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("walk")]

IMAGES = ("httpd",)
UP = ("up", "-f", EXAMPLES / "first-walk" / "stack.yml", *OFFLINE)
NAME = "first-walk-web-1"
VOLUME = "first-walk_pages"
PAGE = Answer(200, "my page\n")


def test_a_web_server_is_declared_entered_stopped_removed_and_its_page_survives(
    each_engine: Lab, orch: Orch, engines: Engines
) -> None:
    assert orch(*UP).out.startswith("first-walk: revision 1, 1 container on 1 node in ")
    first = engines.box("first-walk", NAME)
    assert (first.state, get(each_engine, "n1", 82).status) == ("running", 200)
    assert "It works!" in get(each_engine, "n1", 82).body

    orch("-p", "first-walk", "exec", "web", "sh", "-c", 'echo "my page" > htdocs/index.html')
    assert get(each_engine, "n1", 82) == PAGE

    orch("-p", "first-walk", "stop")
    assert engines.box("first-walk", NAME).what == (NAME, "exited")
    assert get(each_engine, "n1", 82).status == 0

    orch("-p", "first-walk", "rm", "-f")
    assert engines.boxes("first-walk") == ()

    orch("-p", "first-walk", "start")
    second = engines.box("first-walk", NAME)
    assert second.state == "running"
    assert second.id != first.id
    assert get(each_engine, "n1", 82) == PAGE

    orch("-p", "first-walk", "down")
    assert (engines.boxes("first-walk"), engines.networks("first-walk")) == ((), set())
    assert engines.volumes("first-walk") == {("n1", VOLUME)}

    orch(*UP)
    assert get(each_engine, "n1", 82) == PAGE


@pytest.mark.usefixtures("each_engine")
def test_up_again_changes_nothing_and_plan_says_so(orch: Orch, engines: Engines) -> None:
    assert "start web.1 on n1" in orch("plan", *UP[1:], code=2).out
    assert engines.volumes("first-walk") == set()

    orch(*UP)
    before = engines.boxes("first-walk")
    assert orch("plan", *UP[1:]).out == "nothing to do\n"
    orch(*UP)

    assert engines.boxes("first-walk") == before


@pytest.mark.usefixtures("each_engine")
def test_ps_and_ls_say_what_is_there(orch: Orch, engines: Engines) -> None:
    orch(*UP)

    box = engines.box("first-walk", NAME)
    (listed,) = json.loads(orch("ps", "-p", "first-walk", "--format", "json").out)
    assert (listed["id"], listed["name"], listed["node"], listed["state"]) == (box.id, NAME, "n1", "running")
    assert listed["ports"] == [{"host_ip": "", "port": 82, "target": 80, "protocol": "tcp"}]
    (stack,) = json.loads(orch("ls", "--format", "json").out)
    assert stack["name"] == "first-walk"
