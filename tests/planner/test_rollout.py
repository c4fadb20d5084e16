"""Which incarnation goes first, and how far each service is told to be."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.model.names import ServiceName
from orchestrator.model.operations import CreateContainer, StartContainer, StopContainer
from orchestrator.model.plan import Phase
from orchestrator.planner import Slots, World, plan, plan_slots, statuses
from tests.planner.worlds import NOW, cluster_of, intent_of, stack_of

WEB = ServiceName("web")


def first_to_go(service: dict[str, Any], newcomer: str = "created interim") -> str:
    """`stop` or `start`: what happens when a newcomer stands beside a running container."""
    stack = stack_of({"services": {"web": {"image": "nginx", **service}}, "volumes": {"data": {}}})
    world = cluster_of(stack, {"containers": {"web.1": ["running outdated", newcomer]}})
    (operation,) = plan(intent_of(stack, {}), world, now=NOW).operations
    return "stop" if isinstance(operation, StopContainer) else "start"


@pytest.mark.parametrize(
    ("service", "first"),
    [
        ({}, "start"),
        ({"expose": ["80"]}, "start"),
        ({"ports": ["80"]}, "start"),
        ({"tmpfs": ["/tmp"]}, "start"),
        ({"volumes": ["data:/srv:ro"]}, "start"),
        ({"ports": ["80:80"]}, "stop"),
        ({"container_name": "front"}, "stop"),
        ({"network_mode": "host"}, "stop"),
        ({"volumes": ["data:/srv"]}, "stop"),
        ({"volumes": ["/srv"]}, "stop"),
        ({"networks": {"default": {"ipv4_address": "10.0.0.9"}}}, "stop"),
        ({"networks": {"default": {"mac_address": "02:42:ac:11:00:09"}}}, "stop"),
        ({"deploy": {"update_config": {"order": "stop-first"}}}, "stop"),
        ({"volumes": ["data:/srv"], "deploy": {"update_config": {"order": "start-first"}}}, "stop"),
        ({"volumes": ["data:/srv:ro"], "deploy": {"update_config": {"order": "start-first"}}}, "start"),
        ({"volumes": ["./:/srv"], "deploy": {"update_config": {"order": "start-first"}}}, "start"),
        ({"ports": ["80:80"], "deploy": {"update_config": {"order": "start-first"}}}, "stop"),
    ],
)
def test_stop_first_where_two_can_t_live_side_by_side(service: dict[str, Any], first: str) -> None:
    assert first_to_go(service) == first


@pytest.mark.parametrize("mount", ["data:/srv", "./:/srv", "/srv"])
def test_many_may_write_where_the_file_says_so(mount: str) -> None:
    stack = stack_of({"services": {"web": {"image": "nginx", "volumes": [mount]}}, "volumes": {"data": {}}})
    web = replace(stack.services[WEB], many_writers=True)
    stack = replace(stack, services={WEB: web})
    world = cluster_of(stack, {"containers": {"web.1": ["running outdated", "created interim"]}})
    (operation,) = plan(intent_of(stack, {}), world, now=NOW).operations

    assert isinstance(operation, StartContainer)


def test_stop_first_where_the_image_declares_a_volume() -> None:
    assert first_to_go({}, newcomer="created interim volumes=4ac1:/data") == "stop"


def test_only_volumes_that_nobody_has_named_are_inherited() -> None:
    """The image declares two; the file names one of them now, and the third was of an older image."""
    stack = stack_of({"services": {"db": {"image": "pg", "volumes": ["data:/named"]}}, "volumes": {"data": {}}})
    old = "running outdated volumes=4ac1:/named,77fe:/scratch,9b0d:/gone"
    images = {"n1": ["pg volume=/named volume=/scratch"]}
    world = cluster_of(stack, {"containers": {"db.1": old}, "volumes": {"n1": ["shop_data"]}, "images": images})
    decided = plan(intent_of(stack, {}), world, now=NOW)

    (made,) = [operation for operation in decided.operations if isinstance(operation, CreateContainer)]
    assert [(volume.name, volume.target) for volume in made.inherits] == [("77fe", "/scratch")]


def told(containers: dict[str, Any], intent: dict[str, Any] | None = None) -> tuple[Phase, int, int, int, str]:
    """(phase, wanted, running, ready, detail) of db."""
    stack = stack_of(
        {
            "services": {
                "db": {"image": "pg", "scale": 2, "depends_on": {"job": {"condition": "service_started"}}},
                "job": {"image": "app"},
            }
        }
    )
    wanted, cluster = intent_of(stack, intent or {}), cluster_of(stack, {"containers": containers})
    slots = Slots(World(wanted, cluster, NOW))
    lines = statuses(slots, plan_slots(slots))
    assert [line.service for line in lines] == ["job", "db"]
    return lines[1].phase, lines[1].wanted, lines[1].running, lines[1].ready, lines[1].detail


@pytest.mark.parametrize(
    ("containers", "line"),
    [
        ({}, (Phase.PREPARING, 2, 0, 0, "needs network shop_default on n1")),
        (
            {"db.1": "created", "db.2": "created", "job.1": "created"},
            (Phase.WAITING, 2, 0, 0, "job.1 has to start first (it has not been started)"),
        ),
        (
            {"db.1": "running", "db.2": "created", "job.1": "running"},
            (Phase.STARTING, 2, 1, 1, "is being started"),
        ),
        (
            {"db.1": "running", "db.2": "running starting", "job.1": "running"},
            (Phase.CHECKING, 2, 2, 1, "has no passed health check yet"),
        ),
        ({"db.1": "running", "db.2": "running", "job.1": "exited"}, (Phase.READY, 2, 2, 2, "")),
        ({"db.1": "exited", "db.2": "exited", "job.1": "exited"}, (Phase.DONE, 2, 0, 2, "")),
        (
            {"db.1": "running", "db.2": "exited code=3", "job.1": "exited"},
            (Phase.FAILED, 2, 1, 1, "exited with 3"),
        ),
    ],
)
def test_a_service_is_as_far_as_the_slot_that_is_furthest_behind(
    containers: dict[str, Any], line: tuple[Phase, int, int, int, str]
) -> None:
    assert told(containers) == line


def test_a_service_that_was_stopped_by_request_is_stopped() -> None:
    there = {"db.1": "exited code=143", "db.2": "exited code=143", "job.1": "exited"}

    assert told(there, {"stopped": ["db"]}) == (Phase.STOPPED, 2, 0, 2, "")
