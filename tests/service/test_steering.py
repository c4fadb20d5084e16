"""scale, stop, start, restart, rm, down: to the end."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import (
    NoSuchThing,
)
from orchestrator.model.cluster import NodeStatus
from orchestrator.model.names import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    COMPOSE_VOLUME,
    STACK,
    StackName,
)
from orchestrator.model.operations import StopContainer
from orchestrator.model.plan import Severity
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import ServiceSpec
from orchestrator.service.request import UpRequest
from orchestrator.store import Stacks, hold
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, eventually, made
from tests.service.shop import DB, EXITED, RUNNING, WEB, pair, states

# -- scale, stop, start, restart, rm ----------------------------------------------------------------------------------


async def test_scale_up_and_down() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    kept = {c.id for c in await cluster.containers()}
    await cluster.run(lambda control: control.scale(SHOP, {WEB: 3}))
    assert await cluster.names() == ["shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"]
    await cluster.run(lambda control: control.scale(SHOP, {WEB: 1}))

    assert {c.id for c in await cluster.containers()} == kept


async def test_stop_and_start_keep_the_containers() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    ids = {c.id for c in await cluster.containers()}
    cluster.events.clear()
    assert (await cluster.run(lambda control: control.stop(SHOP))).converged
    assert await states(cluster) == {"shop-db-1": EXITED, "shop-web-1": EXITED}
    assert [o.subject for o in cluster.began() if isinstance(o, StopContainer)] == ["web.1", "db.1"]
    assert (await cluster.run(lambda control: control.start(SHOP))).converged

    assert await states(cluster) == {"shop-db-1": RUNNING, "shop-web-1": RUNNING}
    assert {c.id for c in await cluster.containers()} == ids


async def test_restart_runs_the_same_containers_anew() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    before = {c.id: c.started_mark for c in await cluster.containers()}
    assert (await cluster.run(lambda control: control.restart(SHOP, (WEB,)))).converged
    after = {c.id: c.started_mark for c in await cluster.containers()}

    changed = [(await cluster.container(n)).service for n in await cluster.names()]
    assert changed == [DB, WEB]
    assert before.keys() == after.keys()
    assert [id for id in before if before[id] != after[id]] == [(await cluster.container("shop-web-1")).id]


async def test_rm_takes_the_stopped_ones_and_leaves_their_siblings_alone() -> None:
    cluster = Cluster()
    await cluster.up(pair(deploy={"replicas": 2}))
    cluster.n1.die("shop-web-2")
    async with cluster.control() as control:
        assert [c.name for c in await control.removable(SHOP)] == ["shop-web-2"]
        removed = await control.remove_stopped(SHOP)

    assert [c.name for c in removed] == ["shop-web-2"]
    assert (await cluster.run(lambda control: control.start(SHOP, (DB,)))).converged
    assert (await states(cluster))["shop-web-1"] is RUNNING


async def test_rm_with_stop_takes_all_of_a_service_and_lets_it_rest() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as control:
        await control.remove_stopped(SHOP, (WEB,), stop=True)
    assert (await cluster.converge()).converged
    assert await cluster.names() == ["shop-db-1"]

    assert (await cluster.run(lambda control: control.start(SHOP))).converged
    assert await cluster.names() == ["shop-db-1", "shop-web-1"]


async def test_rm_waits_for_whoever_works_on_the_stack() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.stop(SHOP))
    async with cluster.control() as control, hold(cluster.store, "locks/shop", owner="orch up"):
        removing = asyncio.create_task(control.remove_stopped(SHOP))
        await asyncio.sleep(0.05)
        assert await cluster.names() == ["shop-db-1", "shop-web-1"]
        removing.cancel()
        await asyncio.gather(removing, return_exceptions=True)


# -- down -------------------------------------------------------------------------------------------------------------


async def test_down_leaves_the_data_and_down_with_volumes_does_not() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert await cluster.names() == []
    assert ("shop_data" in cluster.n1._volumes, "shop_default" in cluster.n1._networks) == (True, False)
    assert await cluster.homes() == {"shop_data": N1}
    assert await Stacks(cluster.store).names() == ()

    assert (await cluster.run(lambda control: control.down(SHOP, volumes=True))).converged
    assert "shop_data" not in cluster.n1._volumes
    assert await cluster.homes() == {}


async def test_down_of_what_nobody_declared_and_nobody_runs_is_an_error() -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        with pytest.raises(NoSuchThing, match='no stack "shop" has been declared'):
            await control.down(SHOP, volumes=True)


async def test_down_takes_a_stack_that_docker_compose_started() -> None:
    cluster = Cluster()
    labels = {COMPOSE_PROJECT: "alien", COMPOSE_SERVICE: "web"}
    request = ContainerRequest(name="alien-web-1", service=ServiceSpec(name=WEB, image="web:1"), labels=labels)
    await cluster.n1.start(await cluster.n1.create_container(request))
    alien = StackName("alien")
    assert (await cluster.run(lambda control: control.down(alien), alien)).converged

    assert await cluster.names() == []


async def test_a_stack_that_is_going_down_can_only_go_down_or_come_up() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as control:
        await control.down(SHOP)
        for verb in (
            control.scale(SHOP, {WEB: 2}),
            control.start(SHOP),
            control.stop(SHOP),
            control.restart(SHOP),
            control.remove_stopped(SHOP),
        ):
            with pytest.raises(NoSuchThing, match="is being taken down"):
                await verb
        assert (await control.intent(SHOP)).removed
    assert (await cluster.up(pair())).converged


@pytest.mark.usefixtures("quick_heart")
async def test_down_is_not_done_while_a_node_with_some_of_it_is_silent() -> None:
    cluster = Cluster(N1, N2)
    stack = made({"web": {"network_mode": "none", "deploy": {"replicas": 2}}})
    await cluster.up(stack)
    async with cluster.control() as control:
        await control.up(UpRequest(stack=stack))
        await control.down(SHOP)
        cluster.n2.hang()
        await eventually(lambda: control._watched[SHOP].nodes[N2].status is not NodeStatus.READY)
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=3)
    assert (outcome.converged, outcome.timed_out, [b.node for b in outcome.blocked]) == (False, False, [N2])
    assert await cluster.names() == ["shop-web-2"]
    assert await Stacks(cluster.store).names() == (SHOP,)

    cluster.n2.unhang()
    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert await cluster.names() == []
    assert await Stacks(cluster.store).names() == ()


async def test_a_stack_stays_declared_while_a_node_is_down_that_may_have_some_of_it() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    cluster.n2.unplug()
    outcome = await cluster.run(lambda control: control.down(SHOP))

    assert not outcome.converged
    assert [(entry.subject, entry.severity) for entry in outcome.blocked] == [("node n2", Severity.FAILED)]
    assert "it stays declared" in outcome.blocked[0].reason
    assert await Stacks(cluster.store).names() == (SHOP,)

    cluster.n2.plug()
    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert await Stacks(cluster.store).names() == ()


@pytest.mark.usefixtures("quick_heart")
async def test_removing_a_volume_on_one_node_forgets_no_home_on_another() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    await cluster.n2.create_volume(VolumeSpec(key="data", name="shop_data"), {STACK: SHOP, COMPOSE_VOLUME: "data"})
    cluster.n1.unplug()
    async with cluster.control() as control:
        await control.down(SHOP, volumes=True)
        await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert "shop_data" not in cluster.n2._volumes
    assert await cluster.homes() == {"shop_data": N1}
