"""The verbs that change a stack: what they do, what they print, how they end."""

from __future__ import annotations

import re

import pytest

from orchestrator.engine import Behaviour
from tests.cli.world import SHOP, World

WAITS_FOR_JOB = """
services:
  web:
    image: web:1
    depends_on:
      job: {condition: service_completed_successfully}
  job:
    image: job:1
"""
SLOW = """
services:
  web:
    image: web:1
    healthcheck: {test: [CMD, check], interval: 1s, retries: 100}
"""


def running(world: World) -> list[str]:
    return [each["name"] for each in world.orch("ps", "--format", "json").json()]


def test_up_tells_each_step_and_sums_up(world: World) -> None:
    world.stack(SHOP)

    said = world.orch("up")

    assert said.code == 0
    assert re.fullmatch(r"shop: revision 1, 2 containers on 1 node in \d\.\d s\n", said.out)
    steps = [line.rpartition(" (")[0] for line in said.err.splitlines()]
    assert steps.index("db.1 started") < steps.index("web.1 started")
    assert {"network shop_default created", "volume shop_data created", "db ready", "web ready"} <= set(steps)


def test_up_again_changes_nothing(shop: World) -> None:
    before = shop.orch("ps", "-q").out

    said = shop.orch("up")

    assert said.out.startswith("shop: revision 1, 2 containers")
    assert "started" not in said.err
    assert shop.orch("ps", "-q").out == before


def test_up_on_several_nodes_names_them(world: World) -> None:
    for name in ("n1", "n2"):
        world.add_host(name)
        assert world.orch("node", "add", name, f"memory://{name}").code == 0
    world.stack("services: {web: {image: 'web:1', scale: 4}}")

    said = world.orch("up")

    assert "4 containers on 2 nodes" in said.out
    assert "web.1 started on n" in said.err
    assert {each["node"] for each in world.orch("ps", "--format", "json").json()} == {"n1", "n2"}


def test_a_failure_shows_the_container_its_end_and_who_waits(world: World) -> None:
    lines = tuple(f"line {number}" for number in range(1, 15))
    world.local.behaviours["job"] = Behaviour(exits_after_s=0, exit_code=3, output=lines)
    world.stack(WAITS_FOR_JOB)

    said = world.orch("up")

    assert said.code == 1
    assert said.out == ""
    report = said.err[said.err.index("job.1 on local:") :].splitlines()
    assert report[0] == "job.1 on local: exited with 3"
    assert report[1:12] == ["  last lines of job.1:", *(f"  | line {number}" for number in range(5, 15))]
    assert report[12].startswith("web.1: ")
    assert report[13].startswith('orch: stack "shop" is not what was asked for, after ')
    assert report[14] == "  why: job.1 failed"


def test_up_goes_on_from_a_failure(world: World) -> None:
    world.local.behaviours["job"] = Behaviour(exits_after_s=0, exit_code=3)
    world.stack(WAITS_FOR_JOB)
    assert world.orch("up").code == 1

    world.local.behaviours["job"] = Behaviour(exits_after_s=0)
    world.stack(WAITS_FOR_JOB.replace("job:1", "web:2"))
    said = world.orch("up")

    assert said.code == 0, said.err
    assert running(world) == ["shop-web-1"]


def test_a_timeout_says_what_it_waited_for(world: World) -> None:
    world.local.behaviours["web"] = Behaviour(healthy_after_s=60)
    world.stack(SLOW)

    said = world.orch("up", "--wait-timeout", "0.3")

    assert said.code == 1
    assert 'orch: stack "shop" is not ready after 0.' in said.err
    assert "why: still waiting for web.1" in said.err


def test_detach_does_not_wait_for_the_last_health_checks_and_wait_does(world: World) -> None:
    world.local.behaviours["web"] = Behaviour(healthy_after_s=60)
    world.stack(SLOW)

    assert world.orch("up", "-d", "--wait-timeout", "20").code == 0
    assert world.orch("up", "-d", "--wait", "--wait-timeout", "0.3").code == 1


def test_up_takes_services_scale_and_force_recreate(shop: World) -> None:
    before = shop.orch("ps", "-q", "db").out

    said = shop.orch("up", "db", "--scale", "db=1", "--force-recreate")

    assert said.code == 0, said.err
    after = shop.orch("ps", "-q", "db").out
    assert after != before
    assert len(after.split()) == 1


def test_orphans_are_told_of_and_removed_when_asked(shop: World) -> None:
    shop.stack("services: {web: {image: 'web:1'}}")

    said = shop.orch("up")
    assert "shop-db-1" in said.err
    assert "--remove-orphans" in said.err

    shop.orch("up", "--remove-orphans")
    assert running(shop) == ["shop-web-1"]


def test_down_removes_containers_and_networks_and_keeps_volumes(shop: World) -> None:
    said = shop.orch("down")

    assert (said.code, said.out) == (0, "shop: removed\n")
    steps = [line.rpartition(" (")[0] for line in said.err.splitlines()]
    assert steps.index("web.1 stopped") < steps.index("db.1 stopped")
    assert running(shop) == []
    assert "shop_data" in shop.local._volumes
    assert "shop_default" not in shop.local._networks


def test_down_of_nothing_is_no_error_and_says_so(world: World) -> None:
    said = world.orch("-p", "mall", "down")

    assert said.code == 0
    assert 'nothing to remove: no stack "mall" has been declared' in said.err


def test_down_with_volumes_names_them_and_wants_a_yes(shop: World) -> None:
    said = shop.orch("down", "-v")

    assert said.code == 2
    assert '  volume "shop_data" on local\n' in said.err
    assert "fix: add --yes" in said.err
    assert running(shop) == ["shop-db-1", "shop-web-1"]


def test_down_with_volumes_and_yes_destroys_them(shop: World) -> None:
    assert shop.orch("down", "-v", "-y").code == 0
    assert "shop_data" not in shop.local._volumes


def test_down_with_volumes_does_not_ask_when_there_are_none(world: World) -> None:
    world.stack("services: {web: {image: 'web:1'}}")
    world.orch("up")

    assert world.orch("down", "-v").code == 0


def test_rmi_removes_the_images_of_the_stack(shop: World) -> None:
    assert shop.orch("down", "--rmi", "all").code == 0
    assert {"web:1", "db:1"} & set(shop.local.held_images) == set()


def test_scale_changes_one_number(shop: World) -> None:
    said = shop.orch("scale", "db=3")

    assert said.code == 0, said.err
    assert running(shop) == ["shop-db-1", "shop-db-2", "shop-db-3", "shop-web-1"]
    assert shop.orch("scale", "nothing=1").code == 1


def test_stop_rests_start_wakes_and_rm_takes_what_rests(shop: World) -> None:
    assert shop.orch("stop", "web").code == 0
    assert running(shop) == ["shop-db-1"]

    refused = shop.orch("rm")
    assert refused.code == 2
    assert "shop-web-1 on local" in refused.err
    assert "fix: add --force" in refused.err

    removed = shop.orch("rm", "-f")
    assert removed.out == "shop-web-1 removed\n"
    assert shop.orch("rm", "-f").err == "no stopped containers\n"

    assert shop.orch("start", "web").code == 0
    assert running(shop) == ["shop-db-1", "shop-web-1"]


def test_restart_gives_the_same_container_another_run(shop: World) -> None:
    before = {each["id"]: each["started_at"] for each in shop.orch("ps", "--format", "json").json()}

    assert shop.orch("restart", "web", "-t", "1").code == 0

    after = {each["id"]: each["started_at"] for each in shop.orch("ps", "--format", "json").json()}
    assert before.keys() == after.keys()
    assert sum(before[id] != after[id] for id in before) == 1


def test_an_engine_that_is_away_is_an_error_with_its_name(shop: World) -> None:
    shop.local.unplug()

    said = shop.orch("up", "--force-recreate")

    assert said.code == 1
    assert "local" in said.err
    assert "internal error" not in said.err


def test_build_and_pull_say_when_there_is_nothing_to_do(world: World) -> None:
    world.stack("services: {web: {image: 'web:1'}}")
    assert world.orch("build").err == "nothing to build: no service here has a build\n"

    world.stack("services: {web: {build: .}}")
    assert world.orch("pull").err == "nothing to pull: all images of these services are built here\n"


def test_pull_asks_the_registry_for_each_image(world: World) -> None:
    world.local.offers("web:1", "db:1")
    world.stack(SHOP)

    said = world.orch("pull")

    assert (said.code, said.out) == (0, "shop: 2 images pulled\n"), said.err
    assert {about for call, about in world.local.calls if call == "pull"} == {"web:1", "db:1"}


def test_build_makes_the_image_of_each_service_that_has_a_build(world: World) -> None:
    (world.folder / "Dockerfile").write_text("FROM scratch\n")
    world.stack("services: {web: {build: .}, db: {image: 'db:1'}}")

    said = world.orch("build")

    assert (said.code, said.out) == (0, "shop: 1 image built\n"), said.err
    assert {about for call, about in world.local.calls if call == "build"} == {"shop-web"}


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
def test_verbs_on_an_unknown_service_change_nothing(shop: World, verb: str) -> None:
    said = shop.orch(verb, "wep")

    assert said.code == 1
    assert "wep" in said.err
    assert running(shop) == ["shop-db-1", "shop-web-1"]
