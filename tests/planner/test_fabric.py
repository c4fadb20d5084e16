"""Networks across hosts: who joins, who manages, what is made, pinned and let go, and what is said without a quorum."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.model.cluster import (
    ClusterState,
    EngineFacts,
    Fabric,
    Failure,
    Image,
    Member,
    Network,
    Node,
    NodeStatus,
    Swarm,
)
from orchestrator.model.names import NodeName
from orchestrator.model.operations import (
    AnyOperation,
    CreateNetwork,
    InitFabric,
    JoinFabric,
    LeaveFabric,
    PromoteMember,
    RemoveMember,
    RemoveNetwork,
    UnpinNetwork,
)
from orchestrator.model.plan import Severity
from orchestrator.model.spec import Intent
from orchestrator.planner import plan, preview, simulate
from orchestrator.planner.fabric import Fabric as Rules
from orchestrator.planner.links import free_subnet
from orchestrator.planner.spanning import spanning
from orchestrator.planner.world import World
from tests.planner.worlds import NOW, stack_of

NONE, NO_FABRIC = Swarm(), Fabric()
WEB = stack_of({"services": {"web": {"image": "web", "deploy": {"replicas": 3}}, "api": {"image": "api"}}})
WANTED = Intent(stack=WEB, revision=1, spanning=True)


def node(name: str, swarm: Swarm = NONE, **more: object) -> Node:
    facts = EngineFacts(
        engine_id=name, hostname=name, version="26", api_version=(1, 45), os="linux", arch="amd64", cpus=2,
        memory_bytes=2**32, swarm=swarm, live_restore=bool(more.pop("live_restore", False)),
    )  # fmt: skip
    status = NodeStatus(str(more.pop("status", "ready")))
    return Node(name=NodeName(name), endpoint=f"tcp://10.0.0.{name[1:]}:2376", facts=facts, status=status)


def member(name: str, *, manages: bool = False) -> Swarm:
    return Swarm(state="active", member=f"member-{name}", is_manager=manages, cluster_id="ours" if manages else "")


def world(*nodes: Node, fabric: Fabric = NO_FABRIC, **more: object) -> ClusterState:
    images = tuple(Image(ref=ref, id=f"sha256:{ref}", node=n.name) for n in nodes for ref in ("web", "api"))
    return ClusterState(nodes=nodes, images=images, fabric=fabric, **more)  # type: ignore[arg-type]  # fields by name


def of_three(*managers: str, quorum: bool = True) -> Fabric:
    names = ("n1", "n2", "n3")
    members = tuple(Member(id=f"member-{n}", hostname=n, is_manager=n in managers) for n in names)
    expected = {NodeName(n): f"member-{n}" for n in names}
    return Fabric(cluster_id="ours", expected=expected, members=members if quorum else None)


def steps(cluster: ClusterState, intent: Intent = WANTED) -> list[AnyOperation]:
    return [step.operation for step in preview(intent, cluster, now=NOW).steps]


def titles(cluster: ClusterState, kind: type) -> list[str]:
    return [op.title for op in steps(cluster) if isinstance(op, kind)]


def test_three_nodes_become_three_managers_one_after_another() -> None:
    ops = steps(world(node("n1"), node("n2"), node("n3")))
    fabric = [op for op in ops if isinstance(op, InitFabric | JoinFabric | PromoteMember)]
    assert [(type(op), op.node) for op in fabric] == [(InitFabric, "n1"), (JoinFabric, "n2"), (JoinFabric, "n3")]
    assert all(op.as_manager for op in fabric if isinstance(op, JoinFabric))
    assert fabric[0].address == "10.0.0.1"  # type: ignore[union-attr]  # the first is an InitFabric


def test_two_nodes_have_one_manager() -> None:
    joins = [op for op in steps(world(node("n1"), node("n2"))) if isinstance(op, JoinFabric)]
    assert [(op.node, op.as_manager) for op in joins] == [("n2", False)]


def test_slots_spread_and_each_node_that_has_one_holds_the_network() -> None:
    cluster = world(node("n1"), node("n2"), node("n3"))
    while (decided := plan(WANTED, cluster, now=NOW)).operations:
        cluster = simulate(WANTED, cluster, decided.operations, NOW)
    assert {c.node for c in cluster.containers if c.service == "web"} == {"n1", "n2", "n3"}
    assert {n.node for n in cluster.networks if n.pin} == {"n1", "n2", "n3"}
    assert decided.is_converged


def test_a_third_node_brings_two_more_managers_never_two_in_all() -> None:
    two = replace(of_three("n1"), members=of_three("n1").members[:2])  # type: ignore[index]  # it has members
    cluster = world(node("n1", member("n1", manages=True)), node("n2", member("n2")), node("n3"), fabric=two)
    kinds = [type(op) for op in steps(cluster) if isinstance(op, JoinFabric | PromoteMember)]
    assert kinds == [JoinFabric, PromoteMember]


def test_a_manager_that_is_no_node_any_more_is_forgotten_and_another_one_promoted() -> None:
    four = of_three("n1", "n2", "n3")
    gone = Member(id="member-n9", hostname="n9", is_manager=True, is_ready=False)
    members = (*(replace(m, is_manager=m.hostname != "n3") for m in four.members or ()), gone)
    nodes = (node("n1", member("n1", manages=True)), node("n2", member("n2", manages=True)), node("n3", member("n3")))
    ops = steps(world(*nodes, fabric=replace(four, members=members)))
    assert [(type(op), getattr(op, "member", "")) for op in ops[:2]] == [
        (RemoveMember, "n9"),
        (PromoteMember, "n3"),
    ] or {(type(op), getattr(op, "member", "")) for op in ops if isinstance(op, RemoveMember | PromoteMember)} == {
        (RemoveMember, "n9"),
        (PromoteMember, "n3"),
    }


def test_who_was_forgotten_by_the_others_leaves_and_joins_again() -> None:
    known = of_three("n1", "n2", "n3")
    without = replace(known, members=tuple(m for m in known.members or () if m.hostname != "n3"))
    nodes = [node(n, member(n, manages=n != "n3")) for n in ("n1", "n2", "n3")]
    ops = steps(world(*nodes, fabric=without))
    kinds = [(type(op), op.node) for op in ops if isinstance(op, LeaveFabric | JoinFabric)]
    assert kinds == [(LeaveFabric, "n3"), (JoinFabric, "n3")]


def test_without_a_quorum_nothing_is_tried_and_it_says_why_and_what_to_do() -> None:
    nodes = (
        node("n1", member("n1", manages=True)),
        node("n2", member("n2", manages=True), status="down"),
        node("n3", member("n3", manages=True), status="down"),
    )
    decided = plan(WANTED, world(*nodes, fabric=of_three("n1", "n2", "n3", quorum=False)), now=NOW)
    assert not [op for op in decided.operations if isinstance(op, InitFabric | JoinFabric | CreateNetwork)]
    told = next(b for b in decided.blocked if b.subject == "the networks across hosts")
    assert told.severity is Severity.FAILED
    assert "n2, which is down" in told.reason
    assert "orch cluster repair" in told.fix


def test_a_manager_that_has_just_fallen_silent_is_waited_for() -> None:
    nodes = (node("n1", member("n1", manages=True), status="suspect"), node("n2", member("n2")))
    known = replace(of_three("n1", quorum=False), expected={NodeName("n1"): "member-n1", NodeName("n2"): "member-n2"})
    told = next(b for b in plan(WANTED, world(*nodes, fabric=known), now=NOW).blocked if "networks" in b.subject)
    assert told.severity is Severity.WAITING


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (node("n2", Swarm(state="active", member="x", cluster_id="theirs", is_manager=True)), "another swarm"),
        (node("n2", live_restore=True), "live-restore"),
        (node("n2", Swarm(state="locked")), "locked"),
    ],
)
def test_a_node_that_cannot_take_part_is_left_out(other: Node, reason: str) -> None:
    cluster = world(node("n1"), other)
    assert reason in Rules(World(WANTED, cluster, NOW)).refusal(NodeName("n2"))
    assert not any(op.node == "n2" for op in steps(cluster) if isinstance(op, InitFabric | JoinFabric))


def test_a_range_that_any_host_reaches_is_not_taken() -> None:
    there = Network(id="x", name="x", node=NodeName("n1"), subnets=("10.99.0.0/20",))
    one = node("n1")
    routed = replace(one, facts=replace(one.facts, routes=("10.99.16.0/24", "fd00::/64")))  # type: ignore[type-var]
    assert free_subnet(World(WANTED, world(routed, networks=(there,)), NOW)) == "10.99.20.0/22"


def test_no_free_range_is_told_not_tried() -> None:
    there = Network(id="x", name="x", node=NodeName("n1"), subnets=("10.99.0.0/16",))
    nodes = [node(n, member(n, manages=True)) for n in ("n1", "n2", "n3")]
    told = plan(WANTED, world(*nodes, fabric=of_three("n1", "n2", "n3"), networks=(there,)), now=NOW).blocked
    assert any("no range of 10.99.0.0/16 is free" in b.reason for b in told)


def test_down_lets_go_of_the_network_everywhere_then_removes_it_once() -> None:
    cluster = world(node("n1"), node("n2"), node("n3"))
    while (decided := plan(WANTED, cluster, now=NOW)).operations:
        cluster = simulate(WANTED, cluster, decided.operations, NOW)
    ops = steps(cluster, replace(WANTED, removed=True))
    network = [op for op in ops if isinstance(op, UnpinNetwork | RemoveNetwork)]
    assert [type(op) for op in network] == [UnpinNetwork, UnpinNetwork, UnpinNetwork, RemoveNetwork]


@pytest.mark.parametrize(
    ("services", "spans"),
    [
        ({"web": {"image": "x"}}, True),
        ({"web": {"image": "x", "volumes": ["data:/d"]}}, False),
        ({"a": {"image": "x", "volumes": ["data:/d"]}, "b": {"image": "x", "volumes": ["data:/d"]}}, False),
        ({"a": {"image": "x", "volumes": ["data:/d"]}, "b": {"image": "x"}}, True),
        ({"a": {"image": "x"}, "b": {"image": "x", "network_mode": "service:a"}}, False),
        ({"agent": {"image": "x", "deploy": {"mode": "global"}}}, True),
    ],
)
def test_a_network_whose_services_are_on_one_node_anyway_ends_there(services: dict[str, object], spans: bool) -> None:
    stack = stack_of({"services": services, "volumes": {"data": {}}})
    assert bool(spanning(Intent(stack=stack, spanning=True))) is spans
    assert not spanning(Intent(stack=stack))


def test_a_failed_join_keeps_slots_off_the_node() -> None:
    failure = Failure(target="n2/fabric", node=NodeName("n2"), what="can't join", why="2377/tcp is shut", at=NOW)
    cluster = replace(world(node("n1"), node("n2")), failures={"n2/fabric": failure})
    assert "2377/tcp is shut" in Rules(World(WANTED, cluster, NOW)).refusal(NodeName("n2"))
