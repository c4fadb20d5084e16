"""Where slots go, and in which words they are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.model.cluster import ClusterState, Container, Node, Swarm
from orchestrator.model.names import NodeName, ServiceName, SlotNumber
from orchestrator.model.operations import CreateContainer
from orchestrator.model.spec import Constraint, Intent, Mode, PlacementRules, Port, Resources, ServiceSpec, StackSpec
from orchestrator.planner import plan
from orchestrator.planner.constraints import unmet
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


NODE = cluster_of(
    stack_of({"services": {"a": LONE}}),
    {"nodes": {"n1": "ready labels.Disk=SSD engine.rack=r1 arch=x86_64 manager address=192.0.2.7"}},
).nodes[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node.id", "ENGINE-n1"),
        ("node.hostname", "host-n1"),
        ("node.hostname", "n1"),
        ("node.ip", "192.0.2.7"),
        ("node.ip", "192.0.2.0/24"),
        ("node.role", "Manager"),
        ("node.platform.os", "linux"),
        ("node.platform.arch", "amd64"),
        ("node.platform.arch", "X86_64"),
        ("node.labels.Disk", "ssd"),
        ("engine.labels.rack", "R1"),
    ],
)
def test_a_node_is_what_it_says_in_any_case(key: str, value: str) -> None:
    assert unmet(NODE, [Constraint(key=key, value=value)]) == ""
    assert unmet(NODE, [Constraint(key=key, value=value, is_equal=False)]).startswith(f"{key} is ")
    assert unmet(NODE, [Constraint(key=key, value="else")]).endswith(", and has to be else")
    assert unmet(NODE, [Constraint(key=key, value="else", is_equal=False)]) == ""


@pytest.mark.parametrize("key", ["node.labels.disk", "engine.labels.zone"])
def test_a_missing_label_differs_from_everything(key: str) -> None:
    assert unmet(NODE, [Constraint(key=key, value="x", is_equal=False)]) == ""
    assert unmet(NODE, [Constraint(key=key, value="x")]) == f"{key} is not set, and has to be x"


def test_all_constraints_have_to_be_met() -> None:
    met, other = Constraint(key="node.labels.Disk", value="ssd"), Constraint(key="node.role", value="worker")

    assert unmet(NODE, [met, other]) == "node.role is manager, and has to be worker"


def test_a_node_that_nothing_is_known_of_meets_no_equation() -> None:
    assert unmet(Node(name=NodeName("n9"), endpoint="ssh://h"), [Constraint(key="node.role", value="worker")])


def deployed(**deploy: Any) -> dict[str, Any]:
    return {**LONE, "deploy": deploy}


def test_what_has_ended_for_good_reserves_nothing() -> None:
    reserving = {"resources": {"reservations": {"memory": "1G"}}}
    services = {"a": deployed(**reserving), "b": deployed(**reserving)}
    nodes = {"n1": "ready memory_gib=1", "n2": "down memory_gib=1"}

    assert placed(services, nodes=nodes, containers={"a.1": "exited code=0 on=n1"}) == {"b.1": "n1"}


def test_the_slot_that_is_updated_makes_room_for_itself() -> None:
    services = {"a": deployed(resources={"reservations": {"memory": "3G"}}, placement={"max_replicas_per_node": 1})}
    nodes = {"n1": "ready memory_gib=4", "n2": "ready memory_gib=4"}

    assert placed(services, nodes=nodes, containers={"a.1": "running outdated on=n1"}) == {"a.1": "n1"}


def test_least_reserved_comes_before_fewest_containers() -> None:
    services = {"a": LONE, "b": deployed(resources={"reservations": {"cpus": "2"}}), "c": {**LONE, "scale": 2}}
    there = {"b.1": "running on=n1", "c.1": "running on=n2", "c.2": "running on=n2"}

    assert placed(services, nodes={"n1": "ready cpus=4", "n2": "ready cpus=4"}, containers=there) == {"a.1": "n2"}


def test_a_node_that_can_t_carry_networks_across_hosts_is_named() -> None:
    services = {"a": {"image": "tool", "networks": ["wide"], "scale": 2}}
    stack = stack_of({"services": services, "networks": {"wide": {"driver": "overlay"}}})
    cluster = cluster_of(stack, {"nodes": {"n1": "ready cpus=4", "n2": "ready cpus=4"}})
    foreign = Swarm(state="active", member="m", cluster_id="somebody's")
    nodes = tuple(replace(n, facts=replace(n.facts, swarm=foreign)) for n in cluster.nodes if n.facts)

    told = plan(intent_of(stack, {}), replace(cluster, nodes=nodes), now=NOW).blocked
    assert "no node can take it: n1, n2: it is part of another swarm" in {entry.reason for entry in told}


def test_a_refusal_says_what_helps_against_each_reason() -> None:
    services = {
        "a": deployed(placement={"constraints": ["node.labels.x == y"]}, resources={"reservations": {"cpus": "9"}})
    }
    stack = stack_of({"services": services})
    decided = plan(
        intent_of(stack, {}),
        cluster_of(stack, {"nodes": {"n1": "ready labels.x=y cpus=1", "n2": "ready"}}),
        now=NOW,
    )

    assert decided.blocked[0].reason == (
        "no node can take it: n1: needs 9 CPUs, 1 CPU is free; n2: node.labels.x is not set, and has to be y"
    )
    assert "--label-add" in decided.blocked[0].fix
    assert "reserve less" in decided.blocked[0].fix


NAMES = [NodeName(f"n{number}") for number in range(1, 5)]
LABELS = st.sampled_from(["", "a", "b"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Intent, ClusterState]:
    """Services that are tied to none, of all kinds of rules, on two to four nodes; some of their slots are there."""
    services = {name: draw(_services(name)) for name in (ServiceName("a"), ServiceName("b"))}
    stack = StackSpec(name=stack_of({"services": {"a": LONE}}).name, services=services)
    words = {
        name: f"ready labels.zone={draw(LABELS)} cpus={draw(st.integers(1, 3))} memory_gib={draw(st.integers(1, 4))}"
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=2, unique=True))
    }
    slots = [(name, slot) for name, s in services.items() if s.mode is Mode.REPLICATED for slot in range(1, s.replicas)]
    there = draw(st.sets(st.sampled_from(slots))) if slots else set()
    containers = {
        f"{name}.{slot}": f"running on={draw(st.sampled_from(sorted(words)))}" for name, slot in sorted(there)
    }
    return Intent(stack=stack), cluster_of(stack, {"nodes": words, "containers": containers})


@st.composite
def _services(draw: st.DrawFn, name: ServiceName) -> ServiceSpec:
    zone = st.builds(Constraint, key=st.just("node.labels.zone"), value=st.sampled_from("ab"), is_equal=st.booleans())
    return ServiceSpec(
        name=name,
        image="tool",
        network_mode="none",
        mode=draw(st.sampled_from([Mode.REPLICATED, Mode.REPLICATED, Mode.GLOBAL])),
        replicas=draw(st.integers(1, 6)),
        placement=PlacementRules(
            constraints=tuple(draw(st.lists(zone, max_size=1))),
            max_replicas_per_node=draw(st.integers(0, 2)),
            spread=draw(st.sampled_from([(), ("node.labels.zone",)])),
        ),
        resources=Resources(
            reserved_nano_cpus=draw(st.sampled_from([0, 5 * 10**8, 10**9])),
            reserved_memory_bytes=draw(st.sampled_from([0, 2**29, 2**30])),
        ),
    )


Seat = tuple[str, int, NodeName]


def _wrongs(services: dict[str, ServiceSpec], node: Node, seats: set[Seat], name: str) -> Iterator[str]:
    """What is wrong with `seats`, as far as service `name` on the node goes. Written from the words of Docker Swarm."""
    rules, facts = services[name].placement, node.facts
    assert facts is not None
    here = [services[each] for each, _, at in seats if at == node.name]
    for constraint in rules.constraints:
        if (node.labels["zone"] == constraint.value) is not constraint.is_equal:
            yield str(constraint)
    if 0 < rules.max_replicas_per_node < sum(service.name == name for service in here):
        yield "max_replicas_per_node"
    wanted = services[name].resources
    if wanted.reserved_nano_cpus and sum(s.resources.reserved_nano_cpus for s in here) > facts.cpus * 10**9:
        yield "cpus"
    if wanted.reserved_memory_bytes and sum(s.resources.reserved_memory_bytes for s in here) > facts.memory_bytes:
        yield "memory"


def _seat(found: Container | CreateContainer) -> Seat:
    return found.service, found.slot, found.node


@given(worlds(), st.randoms(use_true_random=False))
def test_no_filter_is_violated_what_fits_is_placed_and_equal_worlds_agree(
    case: tuple[Intent, ClusterState], chance: Any
) -> None:
    intent, cluster = case
    decided = plan(intent, cluster, now=NOW)
    services = {str(name): service for name, service in intent.stack.services.items()}
    made = {_seat(o) for o in decided.operations if isinstance(o, CreateContainer)}
    leaving = {(service, slot) for service, slot, _ in made}
    seats = made | {seat for c in cluster.containers if (seat := _seat(c))[:2] not in leaving}

    nodes = {node.name: node for node in cluster.nodes}
    assert [(seat, w) for seat in sorted(made) for w in _wrongs(services, nodes[seat[2]], seats, seat[0])] == []
    assert not [e for e in decided.blocked if "only be on" in e.reason and "node.labels" in e.reason]
    for entry in decided.blocked:
        name, _, slot = entry.subject.rpartition(".")
        if "no node can take it" in entry.reason:
            options = [node for node in nodes.values() if node.name in entry.reason]
            taken = {*made, *map(_seat, cluster.containers)}  # what leaves in this very pass had its seat still
            more = {node.name: {*taken, (name, SlotNumber(int(slot)), node.name)} for node in options}
            assert len(options) == len(nodes)
            assert all(any(_wrongs(services, node, more[node.name], name)) for node in options)
    again = replace(
        cluster,
        nodes=tuple(chance.sample(cluster.nodes, len(cluster.nodes))),
        containers=tuple(chance.sample(cluster.containers, len(cluster.containers))),
    )
    assert plan(intent, again, now=NOW) == decided


def test_slots_are_even_over_the_values_of_what_they_are_spread_over() -> None:
    spread = {"preferences": [{"spread": "engine.labels.rack"}]}
    nodes = {
        "n1": "ready engine.rack=a",
        "n2": "ready engine.rack=b",
        "n3": "ready engine.rack=b",
        "n4": "ready cpus=1",
    }
    found = placed({"a": deployed(replicas=6, placement=spread)}, nodes=nodes)

    assert Counter(found.values()) == {"n1": 2, "n2": 1, "n3": 1, "n4": 2}
