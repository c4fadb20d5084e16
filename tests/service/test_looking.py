"""Looking at stacks, images and nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import (
    Conflict,
    EngineError,
    NoSuchThing,
    Refused,
    StoreError,
    TooOld,
    Unreachable,
)
from orchestrator.model.cluster import Availability, Node, NodeStatus
from orchestrator.model.names import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    NodeName,
    SlotNumber,
)
from orchestrator.model.spec import ServiceSpec
from orchestrator.reconciler.events import Noticed, OperationFailed
from orchestrator.service.control import Control
from orchestrator.service.hosts import Hosts
from orchestrator.service.request import UpRequest
from orchestrator.store import Nodes, Vault
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, changes, made, only
from tests.service.shop import DB, WEB, counted, pair

# -- looking ----------------------------------------------------------------------------------------------------------


async def test_ls_tells_of_declared_stacks_and_of_those_that_only_run() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair(deploy={"replicas": 2}))
    labels = {COMPOSE_PROJECT: "alien", COMPOSE_SERVICE: "web"}
    request = ContainerRequest(name="alien-web-1", service=ServiceSpec(name=WEB, image="web:1"), labels=labels)
    await cluster.n2.create_container(request)
    async with cluster.control() as control:
        alien, shop = await control.stacks()

    assert (alien.name, alien.revision, alien.running, alien.state, alien.nodes) == (
        "alien",
        0,
        0,
        "created(1)",
        (N2,),
    )
    assert (shop.name, shop.revision, shop.running, shop.wanted, shop.state) == ("shop", 1, 3, 3, "running(3)")


async def test_locate_gives_the_slot_that_runs() -> None:
    cluster = Cluster()
    await cluster.up(pair(deploy={"replicas": 2}))
    cluster.n1.die("shop-web-1")
    async with cluster.control() as control:
        engine, c = await control.locate(SHOP, WEB, None)
        assert (engine.node, c.name) == (N1, "shop-web-2")
        assert (await control.locate(SHOP, WEB, SlotNumber(2)))[1].name == "shop-web-2"
        with pytest.raises(NoSuchThing) as caught:
            await control.locate(SHOP, WEB, SlotNumber(1))

    assert (caught.value.what, caught.value.fix) == (
        '"web.1" of stack "shop" does not run',
        "running: db.1, web.2",
    )


# -- images -----------------------------------------------------------------------------------------------------------


async def test_pull_asks_all_active_nodes_and_tells_each_failure() -> None:
    cluster = Cluster(N1, N2)
    cluster.n1.offers("web:1", "db:1")
    cluster.n2.offers("web:1")
    async with cluster.control() as control:
        with pytest.raises(EngineError, match="db:1"):
            await control.images.pull(pair(), (), cluster.events.append)
        await control.images.pull(pair(), (WEB,), cluster.events.append)

    assert [(e.operation.node, e.operation.subject) for e in only(cluster.events, OperationFailed)] == [
        (N2, "image db:1")
    ]
    assert [c for c in changes(cluster.n1) if c[0] == "pull"] == [
        ("pull", "db:1"),
        ("pull", "web:1"),
        ("pull", "web:1"),
    ]


async def test_pull_leaves_nodes_alone_that_are_not_to_be_given_anything() -> None:
    cluster = Cluster(N1, N2)
    for engine in cluster.engines.values():
        engine.offers("web:1")
    async with cluster.control() as control:
        paused = msgspec.structs.replace(control._hosts.nodes[N2], availability=Availability.PAUSE)
        control._hosts.nodes[N2] = paused
        await control.images.pull(pair(), (WEB,), cluster.events.append)

    assert (changes(cluster.n1), changes(cluster.n2)) == ([("pull", "web:1")], [])


async def test_build_makes_the_images_that_have_a_recipe(tmp_path: Any) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    cluster = Cluster(N1, N2)
    stack = made({"web": {"build": {"context": str(tmp_path)}}, "db": None})
    async with cluster.control() as control:
        await control.images.build(stack, (), cluster.events.append, no_cache=True)
        with pytest.raises(NoSuchThing):
            await control.images.build(stack, (DB,), cluster.events.append, no_cache=False)

    assert changes(cluster.n1) == [("build", "web:1")]
    assert changes(cluster.n2) == []


async def test_images_that_are_in_use_stay_with_a_word() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.scale(SHOP, {WEB: 0}))
    cluster.events.clear()
    async with cluster.control() as control:
        await control.images.remove(pair(), cluster.events.append, local_only=False)

    assert sorted(cluster.n1.held_images) == ["db:1", "job:1", "web:2"]
    assert [e.text.partition(":")[0] for e in only(cluster.events, Noticed)] == ["image db"]


# -- nodes ------------------------------------------------------------------------------------------------------------


class Registered:
    """A control whose nodes are in its registry; engines by endpoint."""

    def __init__(self, cluster: Cluster, *known: NodeName) -> None:
        self.cluster, self.registry = cluster, Nodes(cluster.store)
        self.known = known

    async def control(self) -> Control:
        for name in self.known:
            await self.registry.add(Node(name=name, endpoint=f"memory://{name}"))
        hosts = Hosts(await self.registry.list(), lambda _, endpoint: self.engine(endpoint), self.registry)
        store = self.cluster.store
        return Control(store, Vault(store, f"{self.cluster.folder.name}/key"), hosts, self.cluster.n1.clock)

    def engine(self, endpoint: str) -> Any:
        return self.cluster.engines[NodeName(endpoint.removeprefix("memory://"))]


async def test_a_node_that_answers_is_registered_once() -> None:
    cluster = Cluster(N1, N2)
    control = await Registered(cluster, N1).control()
    added = await control.add_node(N2, "memory://n2", {"disk": "ssd"})
    with pytest.raises(StoreError, match="already"):
        await control.add_node(N2, "memory://n2", {})
    with pytest.raises(Conflict) as caught:
        await control.add_node(NodeName("again"), "memory://n1", {})

    assert (added.name, added.labels, added.facts is not None) == (N2, {"disk": "ssd"}, True)
    assert caught.value.what == 'node "again" is there already, as "n1"'


async def test_a_node_that_is_silent_or_too_old_is_not_registered() -> None:
    cluster = Cluster(N1, N2)
    control = await Registered(cluster, N1).control()
    cluster.n2.known_facts = msgspec.structs.replace(cluster.n2.known_facts, version="19.03", api_version=(1, 40))
    with pytest.raises(TooOld, match="is too old"):
        await control.add_node(N2, "memory://n2", {})
    cluster.n2.unplug()
    with pytest.raises(Unreachable):
        await control.add_node(N2, "memory://n2", {})

    assert [node.name for node in await Nodes(cluster.store).list()] == [N1]


async def test_a_node_in_use_is_removed_only_by_force() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    control = await Registered(cluster, N1, N2).control()
    with pytest.raises(Conflict) as caught:
        await control.remove_node(N1)
    assert caught.value.why == ("it has containers shop-db-1, shop-web-1 and the data of volumes shop_data")
    await control.remove_node(N2, force=True)
    await control.remove_node(N1, force=True)

    assert await Nodes(cluster.store).list() == ()
    with pytest.raises(NoSuchThing, match='there is no node "n1"'):
        await control.remove_node(N1)


async def test_a_dead_node_is_removed_by_force_and_says_so() -> None:
    cluster = Cluster(N1, N2)
    control = await Registered(cluster, N1, N2).control()
    cluster.n2.unplug()
    with pytest.raises(Conflict) as caught:
        await control.remove_node(N2)
    assert (caught.value.why, "--force n2" in caught.value.fix) == ("no route to host", True)

    await control.remove_node(N2, force=True)
    assert [node.name for node in await Nodes(cluster.store).list()] == [N1]


async def test_after_its_node_was_removed_by_force_the_data_is_not_made_anew() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    before = await counted(cluster)
    async with cluster.control({N2: cluster.n2}) as control:
        await control.up(UpRequest(stack=pair()))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert not outcome.converged
    assert any("is on n1, which is no node of this cluster" in b.reason for b in outcome.blocked)
    assert await counted(cluster) == before


async def test_nodes_that_do_not_answer_are_down_with_the_reason() -> None:
    cluster = Cluster(N1, N2)
    cluster.n2.unplug()
    async with cluster.control() as control:
        one, two = await control.nodes()

    assert (one.status, one.availability, two.status, two.trouble) == (
        NodeStatus.READY,
        Availability.ACTIVE,
        NodeStatus.DOWN,
        "no route to host",
    )


async def test_refusals_of_the_engine_reach_the_outcome_in_its_words() -> None:
    cluster = Cluster()
    cluster.n1.fail("create_container", Refused("can't create", why="no space left on device"))
    outcome = await cluster.up(made({"web": None}))

    assert [(b.subject, b.reason) for b in outcome.blocked] == [("web.1", "can't create: no space left on device")]
