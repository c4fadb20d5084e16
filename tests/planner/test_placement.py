"""Where slots go, and in which words they are refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from orchestrator.model.plan import CreateContainer
from orchestrator.model.spec import Port
from orchestrator.planner import plan
from orchestrator.planner.ports import published_port
from tests.planner.worlds import NOW, cluster_of, intent_of, stack_of

LONE = {"image": "tool", "network_mode": "none"}
"""A service that is tied to no other."""


def placed(services: dict[str, Any], **world: Any) -> dict[str, str]:
    """Slot -> node, for all that would be made at once."""
    stack = stack_of({"services": services})
    decided = plan(intent_of(stack, {}), cluster_of(stack, world), now=NOW)
    return {o.subject: o.node for o in decided.operations if isinstance(o, CreateContainer)}


def refusal(services: dict[str, Any], subject: str, **world: Any) -> str:
    stack = stack_of({"services": services})
    decided = plan(intent_of(stack, {}), cluster_of(stack, world), now=NOW)
    return next(entry.reason for entry in decided.blocked if entry.subject == subject)


THREE = {"n1": "ready", "n2": "ready", "n3": "ready"}


def test_replicas_spread_over_the_nodes() -> None:
    assert placed({"a": {**LONE, "scale": 4}}, nodes=THREE) == {"a.1": "n1", "a.2": "n2", "a.3": "n3", "a.4": "n1"}


def test_fewest_of_the_service_come_before_fewest_containers() -> None:
    there = {"a.1": "running on=n1", "b.1": "running on=n2", "b.2": "running on=n2"}
    services = {"a": {**LONE, "scale": 2}, "b": {**LONE, "scale": 2}}

    assert placed(services, nodes={"n1": "ready", "n2": "ready"}, containers=there) == {"a.2": "n2"}


def test_a_node_with_the_image_is_preferred_among_equals() -> None:
    assert placed({"a": LONE}, nodes=THREE, images={"n2": ["tool"]}) == {"a.1": "n2"}


@pytest.mark.parametrize("trouble", ["pause", "drain", "suspect", "down"])
def test_a_node_that_can_t_be_used_gets_nothing(trouble: str) -> None:
    assert placed({"a": {**LONE, "scale": 2}}, nodes={"n1": trouble, "n2": "ready"}) == {"a.1": "n2", "a.2": "n2"}


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({}, "no node can be used: there is none"),
        ({"n1": "pause"}, "no node can be used: n1 which is on pause"),
        (
            {"n1": "down", "n2": "drain"},
            "no node can be used: n1 which does not answer (no answer within 3 s), n2 which is on drain",
        ),
    ],
)
def test_without_a_node_the_plight_of_each_is_told(nodes: dict[str, str], reason: str) -> None:
    assert refusal({"a": LONE}, "a.1", nodes=nodes) == reason


def test_a_refusal_names_each_node_with_its_reason() -> None:
    reason = refusal(
        {"a": {"image": "tool", "ports": ["53:53/udp"]}},
        "a.1",
        nodes=THREE,
        held_ports={"n1": ["53/udp"], "n2": ["53/udp"], "n3": ["53/udp"]},
    )

    assert reason == "no node can take it: n1, n2, n3: a container of another stack has port 53/udp"


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("80:80", "80:81", True),
        ("80:80", "80:80/udp", False),
        ("127.0.0.1:80:80", "80:80", True),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", False),
        ("127.0.0.1:80:80", "127.0.0.1:80:80", True),
        ("80", "80", False),
    ],
)
def test_ports_clash_by_number_protocol_and_address(one: str, other: str, clash: bool) -> None:
    services = {name: {"image": "tool", "ports": [port]} for name, port in (("a", one), ("b", other))}
    there = placed(services, networks={"n1": ["shop_default"]})

    assert ("b.1" not in there) is clash


@pytest.mark.parametrize(
    ("published", "slot", "port"), [("80", 1, 80), ("80", 3, 80), ("80-82", 1, 80), ("80-82", 3, 82), ("80-82", 4, 82)]
)
def test_a_slot_takes_its_own_port_of_a_range(published: str, slot: Any, port: int) -> None:
    assert published_port(Port(target=80, published=published), slot) == port


def test_a_slot_that_is_being_made_is_not_made_elsewhere() -> None:
    stack = stack_of(yaml.safe_load("services: {a: {image: tool, scale: 2, ports: ['80:80']}}"))
    world = cluster_of(stack, {"nodes": {"n1": "ready", "n2": "ready"}, "networks": {"n1": [], "n2": ["shop_default"]}})
    making = type(world)(**{**{f: getattr(world, f) for f in world.__struct_fields__}, "creating": {"a.1": "n2"}})
    decided = plan(intent_of(stack, {}), making, now=NOW)

    assert {(o.subject, o.node) for o in decided.operations} == {("a.1", "n2"), ("network shop_default", "n1")}
