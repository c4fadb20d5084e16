"""Keys that live in more than one room, by the command on both engines: hooks, links, mounts of others, old engines."""

from __future__ import annotations

import pytest

from tests.integration.steps import Engines, Orch

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("keys")]

TIED = """
name: tied
services:
  db:
    image: orch/busybox:1
    init: true
    command: sleep 600
    volumes: [told:/told, /scratch]
    post_start:
      - command: [sh, -c, 'echo "$$WHO" > /told/start; sleep 0.3; touch /scratch/done']
        environment: [WHO=db]
    pre_stop: [{command: [sh, -c, 'echo bye > /told/stop']}]
  web:
    image: orch/busybox:1
    init: true
    command: sh -c 'test -e /scratch/done && nslookup database && sleep 600'
    links: ["db:database"]
    volumes_from: [db]
    tmpfs: /odd:exec,size=1m
    security_opt: ["seccomp=profile.json"]
volumes: {told: {}}
"""
LOOK = """
name: tied
services: {look: {image: orch/busybox:1, command: cat /told/stop, volumes: ["told:/told"]}}
volumes: {told: {}}
"""
FAILING = """
name: hooked
services:
  db: {image: orch/busybox:1, init: true, command: sleep 600, post_start: [{command: [sh, -c, "echo no; exit 4"]}]}
"""


@pytest.mark.usefixtures("each_engine")
def test_what_ties_services_holds_through_up_again_and_down(orch: Orch, engines: Engines) -> None:
    (orch.folder / "profile.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    orch.stack(TIED)
    orch("up", "-f", "stack.yml")
    before = {(box.id, box.started_at) for box in engines.boxes("tied")}
    assert {box.what for box in engines.boxes("tied")} == {("tied-db-1", "running"), ("tied-web-1", "running")}
    assert orch("-p", "tied", "exec", "-T", "web", "cat", "/told/start").out == "db\n"
    assert "/odd tmpfs" in orch("-p", "tied", "exec", "-T", "web", "cat", "/proc/mounts").out

    assert orch("plan", "-f", "stack.yml").out == "nothing to do\n"
    orch("up", "-f", "stack.yml")
    assert {(box.id, box.started_at) for box in engines.boxes("tied")} == before

    orch("down", "-f", "stack.yml")
    assert engines.boxes("tied") == ()
    orch.stack(LOOK, "look.yml")
    orch("up", "-f", "look.yml")
    assert "bye" in orch("-p", "tied", "logs", "look").out


@pytest.mark.usefixtures("each_engine")
def test_a_hook_that_fails_is_the_answer_of_up(orch: Orch, engines: Engines) -> None:
    orch.stack(FAILING)

    done = orch("up", "-f", "stack.yml", code=1)

    assert "it exited with 4: no" in done.err + done.out
    assert [box.state for box in engines.boxes("hooked")] == ["running"]


@pytest.mark.usefixtures("one")
def test_a_key_that_the_engine_is_too_old_for_is_the_answer_of_up(orch: Orch) -> None:
    orch.stack("{name: new, services: {web: {image: orch/busybox:1, annotations: {a: b}}}}")

    done = orch("up", "-f", "stack.yml", code=1)

    assert 'service "web" has "annotations", which this engine doesn\'t know' in done.err + done.out
    assert "install Docker Engine 24.0 or later" in done.err + done.out
