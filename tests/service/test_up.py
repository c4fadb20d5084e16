"""What `up` makes of files, of what runs already, and of checks."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.model.cluster import NodeStatus
from orchestrator.model.names import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    COMPOSE_VOLUME,
)
from orchestrator.model.operations import CreateContainer
from orchestrator.model.shared import VolumeSpec
from orchestrator.reconciler.events import Noticed
from orchestrator.service.request import UpRequest
from orchestrator.store import MemoryStore
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, eventually, made, only
from tests.service.shop import DB, RUNNING, counted, pair, states


async def test_up_makes_it_true_and_a_second_up_does_nothing() -> None:
    cluster = Cluster()
    first = await cluster.up(pair())
    before = await counted(cluster)
    second = await cluster.up(pair())

    assert (first.converged, second.converged, second.revision) == (True, True, 1)
    assert await states(cluster) == {"shop-db-1": RUNNING, "shop-web-1": RUNNING}
    assert await counted(cluster) == before


async def test_up_of_a_changed_file_replaces_only_what_changed() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    db = (await cluster.container("shop-db-1")).id
    outcome = await cluster.up(pair("2"))

    assert (outcome.converged, outcome.revision) == (True, 2)
    assert (await cluster.container("shop-db-1")).id == db
    assert await cluster.names() == ["shop-db-1", "shop-web-1"]


async def test_up_runs_a_failed_container_again() -> None:
    cluster = Cluster()
    cluster.behaves("web", exits_after_s=0.0, exit_code=3)
    first = await cluster.up(pair())
    cluster.behaves("web")
    for box in cluster.n1._boxes.values():
        box.behaviour = cluster.n1.behaviours["web"]
    second = await cluster.up(pair())

    assert [b.reason for b in first.blocked] == ["exited with 3"]
    assert second.converged


async def test_force_recreate_replaces_each_container_once() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    before = {c.id for c in await cluster.containers()}
    cluster.events.clear()
    assert (await cluster.up(pair(), force_recreate=True)).converged

    assert not before & {c.id for c in await cluster.containers()}
    assert sorted(o.subject for o in cluster.began() if isinstance(o, CreateContainer)) == ["db.1", "web.1"]
    assert (await cluster.converge()).converged
    assert sorted(o.subject for o in cluster.began() if isinstance(o, CreateContainer)) == ["db.1", "web.1"]


async def test_orphans_are_told_and_go_when_it_is_said() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    alone = made({"db": {"image": "db:1", "volumes": ["data:/data"]}}, volumes={"data": {}})
    cluster.events.clear()
    await cluster.up(alone)
    assert [e.text for e in only(cluster.events, Noticed)] == [
        "containers of services that are not in the file are left alone: shop-web-1 (--remove-orphans removes them)"
    ]
    assert await cluster.names() == ["shop-db-1", "shop-web-1"]

    await cluster.up(alone, remove_orphans=True)
    assert await cluster.names() == ["shop-db-1"]


async def test_what_runs_of_a_stack_whose_store_was_lost_is_found_and_ended_ones_run_again() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    cluster.n1.die("shop-web-1")
    ids = {c.id for c in await cluster.containers()}
    cluster.store = MemoryStore()
    assert (await cluster.up(pair())).converged

    assert {c.id for c in await cluster.containers()} == ids
    assert await cluster.homes() == {"shop_data": N1}


async def test_a_directory_that_ran_under_docker_compose_is_taken_over_with_its_volume() -> None:
    cluster = Cluster()
    labels = {COMPOSE_PROJECT: SHOP, COMPOSE_SERVICE: "db"}
    volume = VolumeSpec(key="data", name="shop_data")
    await cluster.n1.create_volume(volume, {COMPOSE_PROJECT: SHOP, COMPOSE_VOLUME: "data"})
    service = msgspec.structs.replace(pair().services[DB])
    request = ContainerRequest(name="shop-db-1", service=service, labels=labels, volumes={"data": "shop_data"})
    await cluster.n1.start(await cluster.n1.create_container(request))
    assert (await cluster.up(pair())).converged

    assert await cluster.names() == ["shop-db-1", "shop-web-1"]
    db = await cluster.container("shop-db-1")
    assert (db.config != "", [v.name for v in db.volumes]) == (True, ["shop_data"])
    assert await cluster.homes() == {"shop_data": N1}


async def test_detach_waits_for_no_check_that_nothing_depends_on() -> None:
    cluster = Cluster()
    cluster.behaves("web", healthy_after_s=60.0)
    stack = made({"web": {"healthcheck": {"test": "check", "interval": "60s"}}})
    async with asyncio.timeout(2):
        outcome = await cluster.run(lambda control: control.up(UpRequest(stack=stack)), detach=True)

    assert outcome.converged
    assert await states(cluster) == {"shop-web-1": RUNNING}


async def test_detach_waits_for_a_check_that_something_depends_on() -> None:
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=0.2)
    health = {"test": "check", "interval": "60s"}
    stack = made({"db": {"healthcheck": health}, "web": {"depends_on": {"db": {"condition": "service_healthy"}}}})
    outcome = await cluster.run(lambda control: control.up(UpRequest(stack=stack)), detach=True)

    assert outcome.converged
    assert await states(cluster) == {"shop-db-1": RUNNING, "shop-web-1": RUNNING}


async def test_detach_waits_until_the_old_ones_have_gone() -> None:
    cluster = Cluster()
    await cluster.up(made({"web": {"environment": {"V": "1"}}}))
    new = made({"web": {"environment": {"V": "2"}}})
    outcome = await cluster.run(lambda control: control.up(UpRequest(stack=new)), detach=True)

    assert outcome.converged
    assert await cluster.names() == ["shop-web-1"]


@pytest.mark.usefixtures("quick_heart")
async def test_detach_waits_for_nothing_on_a_node_that_is_down() -> None:
    cluster = Cluster(N1, N2)
    health = {"test": "check", "interval": "60s"}
    stack = made({"web": {"network_mode": "none", "healthcheck": health, "deploy": {"replicas": 2}}})
    await cluster.up(stack)
    cluster.behaves("web", healthy_after_s=60.0)
    async with cluster.control() as control:
        await control.up(UpRequest(stack=stack))
        cluster.n2.hang()
        await eventually(lambda: control._watched[SHOP].nodes[N2].status is NodeStatus.DOWN)
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2, detach=True)

    assert outcome.converged
    assert await cluster.names(N1) == ["shop-web-1", "shop-web-2"]


async def test_the_wait_ends_and_says_what_it_waited_for() -> None:
    cluster = Cluster()
    cluster.behaves("web", healthy_after_s=60.0)
    stack = made({"web": {"healthcheck": {"test": "check", "interval": "60s"}}})
    outcome = await cluster.up(stack, wait_s=0.2)

    assert (outcome.converged, outcome.timed_out) == (False, True)
    assert [(b.subject, b.reason) for b in outcome.blocked] == [("web.1", "has no passed health check yet")]
    assert await states(cluster) == {"shop-web-1": RUNNING}
