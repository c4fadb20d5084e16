"""The verbs on engines in memory: what people ask, to the end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import (
    Conflict,
    EngineError,
    LeaseLost,
    NoSuchThing,
    Refused,
    RevisionConflict,
    StoreError,
    TooOld,
    Unreachable,
)
from orchestrator.model.cluster import Availability, ContainerState, Node, NodeStatus
from orchestrator.model.names import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    COMPOSE_VOLUME,
    STACK,
    NodeName,
    ServiceName,
    SlotNumber,
    StackName,
    content_digest,
)
from orchestrator.model.plan import CreateContainer, StopContainer
from orchestrator.model.spec import FileGrant, FileSpec, ServiceSpec, StackSpec, VolumeSpec
from orchestrator.reconciler.events import Noticed, OperationFailed
from orchestrator.service.control import Control, UpRequest
from orchestrator.service.hosts import Hosts
from orchestrator.store import MemoryStore, Nodes, Owner, Put, Stacks, Vault, hold
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, changes, eventually, made, only

WEB, DB = ServiceName("web"), ServiceName("db")
RUNNING, EXITED = ContainerState.RUNNING, ContainerState.EXITED


def pair(version: str = "1", **web: Any) -> StackSpec:
    return made(
        {
            "web": {"depends_on": ["db"], "environment": {"V": version}, **web},
            "db": {"image": "db:1", "volumes": ["data:/data"]},
        },
        volumes={"data": {}},
    )


async def states(cluster: Cluster) -> dict[str, ContainerState]:
    return {c.name: c.state for c in await cluster.containers()}


async def counted(cluster: Cluster) -> int:
    return sum(len(changes(engine)) for engine in cluster.engines.values())


# -- up ------------------------------------------------------------------------------------------------------------


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


# -- scale, stop, start, restart, rm -------------------------------------------------------------------------------


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


# -- down ----------------------------------------------------------------------------------------------------------


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
    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert await Stacks(cluster.store).names() == (SHOP,)
    assert "shop stays declared" in only(cluster.events, Noticed)[-1].text

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


# -- homes ---------------------------------------------------------------------------------------------------------


async def test_of_two_volumes_of_one_name_the_one_that_is_held_is_the_home() -> None:
    """The store was lost; an empty volume of the same name stands on the node that answers first."""
    cluster = Cluster(N1, N2)
    volume = VolumeSpec(key="data", name="shop_data")
    cluster.n1.hang("containers", "volumes")
    cluster.n1.unhang()
    await cluster.n2.create_volume(volume, {STACK: SHOP, COMPOSE_VOLUME: "data"})
    async with cluster.control({N2: cluster.n2}) as control:
        await control.up(UpRequest(stack=pair()))
        assert (await control.converge(SHOP, cluster.events.append)).converged
    await cluster.n1.create_volume(volume, {STACK: SHOP, COMPOSE_VOLUME: "data"})
    cluster.store = MemoryStore()
    assert (await cluster.up(pair())).converged

    assert await cluster.homes() == {"shop_data": N2}
    assert {c.node for c in await cluster.containers()} == {N2}


async def test_a_volume_whose_home_is_down_is_not_made_anew_elsewhere() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    cluster.n1.unplug()
    outcome = await cluster.up(pair("2"), wait_s=2)

    assert not outcome.converged
    assert "shop_data" not in cluster.n2._volumes
    assert any("the data of volume shop_data is on n1" in b.reason for b in outcome.blocked)


async def test_a_volume_that_was_removed_by_hand_is_made_anew_only_by_name() -> None:
    """Decision 0006."""
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.down(SHOP))
    await cluster.n1.remove_volume("shop_data")
    outcome = await cluster.up(pair())
    assert any("volume shop_data had its data on n1 and is gone from there" in b.reason for b in outcome.blocked)

    assert (await cluster.up(pair(), new_volumes=("shop_data",))).converged
    assert await cluster.homes() == {"shop_data": N1}


async def test_a_preview_with_a_volume_given_up_is_not_blocked_by_it() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.down(SHOP))
    await cluster.n1.remove_volume("shop_data")
    async with cluster.control() as control:
        blocked = await control.preview_up(UpRequest(stack=pair()))
        free = await control.preview_up(UpRequest(stack=pair(), new_volumes=("shop_data",)))

    assert blocked.blocked != ()
    assert free.blocked == ()
    assert await cluster.homes() == {"shop_data": N1}


# -- several at the same time --------------------------------------------------------------------------------------


async def test_of_two_that_declare_at_the_same_time_one_is_told() -> None:
    cluster = Cluster()
    async with cluster.control() as one, cluster.control() as two:
        results = await asyncio.gather(
            one.up(UpRequest(stack=pair("1"))), two.up(UpRequest(stack=pair("2"))), return_exceptions=True
        )

    losers = [result for result in results if isinstance(result, BaseException)]
    assert [type(loser) for loser in losers] == [RevisionConflict]
    assert "was changed by somebody else meanwhile" in str(losers[0])


async def test_the_loser_gives_up_no_volume() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as one, cluster.control() as two:
        lose = UpRequest(stack=pair("2"), new_volumes=("shop_data",))
        results = await asyncio.gather(one.up(UpRequest(stack=pair("3"))), two.up(lose), return_exceptions=True)

    assert isinstance(results[1], RevisionConflict)
    assert await cluster.homes() == {"shop_data": N1}


async def test_a_run_that_is_superseded_ends_and_the_other_goes_on() -> None:
    cluster = Cluster()
    cluster.behaves("web", healthy_after_s=60.0)
    slow = made({"web": {"healthcheck": {"test": "check", "interval": "60s"}}})
    async with cluster.control() as one, cluster.control() as two:
        await one.up(UpRequest(stack=slow))
        waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append))
        await eventually(lambda: cluster.began())
        await two.up(UpRequest(stack=pair("2")))
        second = await two.converge(SHOP, cluster.events.append, wait_timeout_s=5)
        first = await waiting

    assert (first.converged, first.revision, first.superseded_by) == (False, 1, 2)
    assert (second.converged, second.revision) == (True, 2)
    assert await cluster.names() == ["shop-db-1", "shop-web-1"]


async def test_what_was_superseded_while_it_waited_for_the_lock_is_not_begun() -> None:
    cluster = Cluster()
    async with cluster.control() as one, cluster.control() as two:
        await one.up(UpRequest(stack=pair("1")))
        async with hold(cluster.store, "locks/shop", owner="orch other"):
            waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append, wait_timeout_s=5))
            await asyncio.sleep(0.05)
            await two.up(UpRequest(stack=pair("2")))
        outcome = await waiting

    assert (outcome.converged, outcome.superseded_by) == (False, 2)
    assert await counted(cluster) == 0


async def test_a_stack_that_was_taken_down_while_we_waited_for_the_lock_is_not_begun() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as one:
        async with hold(cluster.store, "locks/shop", owner="orch other"):
            waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append, wait_timeout_s=5))
            await asyncio.sleep(0.05)
            stored = await Stacks(cluster.store).get(SHOP)
            assert stored is not None
            await Stacks(cluster.store).forget(SHOP, replaces=stored)
        outcome = await waiting

    assert (outcome.converged, outcome.superseded_by) == (False, 1)


async def test_a_lock_of_a_process_that_lives_is_waited_for_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(UpRequest(stack=pair()))
        async with hold(cluster.store, "locks/shop", owner="orch serve"):
            monkeypatch.setattr("orchestrator.service.converge.hold", lambda *a, **k: hold(*a, **{**k, "wait_s": 0.05}))
            with pytest.raises(LeaseLost) as caught:
                await control.converge(SHOP, cluster.events.append)

    assert '"orch serve" (process ' in caught.value.why
    assert await counted(cluster) == 0


async def test_a_lock_of_a_process_that_was_killed_is_free_at_once() -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(UpRequest(stack=pair()))
    async with hold(cluster.store, "locks/shop", owner="orch up"):
        entry = await cluster.store.get("locks/shop")
        assert entry is not None
        dead = msgspec.structs.replace(msgspec.json.decode(entry.value, type=Owner), started="before")
        await cluster.store.write(Put(key=entry.key, value=msgspec.json.encode(dead)))
        async with asyncio.timeout(1):
            assert (await cluster.converge()).converged


# -- preview -------------------------------------------------------------------------------------------------------


async def test_a_preview_makes_no_change_and_says_what_would_be_done() -> None:
    cluster = Cluster(N1, N2)
    async with cluster.control() as control:
        preview = await control.preview_up(UpRequest(stack=pair()))

    assert [step.operation.title for step in preview.steps][-1] == "start web.1 on n1"
    assert await counted(cluster) == 0
    assert await Stacks(cluster.store).names() == ()
    assert await cluster.store.revision() == 0


async def test_the_preview_of_what_is_true_is_empty() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as control:
        preview = await control.preview_up(UpRequest(stack=pair()))

    assert (preview.steps, preview.blocked) == ((), ())


# -- silence -------------------------------------------------------------------------------------------------------


async def test_when_no_node_answers_it_is_the_node_that_says_why() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    for engine in cluster.engines.values():
        engine.unplug()
    async with cluster.control() as control:
        for ask in (
            control.up(UpRequest(stack=pair())),
            control.preview_up(UpRequest(stack=pair())),
            control.converge(SHOP, cluster.events.append),
            control.containers(SHOP),
            control.stacks(),
        ):
            with pytest.raises(Unreachable) as caught:
                await ask
            assert caught.value.why == "no route to host"


async def test_a_silent_node_among_others_is_told_and_holds_up_nothing() -> None:
    cluster = Cluster(N1, N2)
    cluster.n2.unplug()
    outcome = await cluster.up(pair())

    assert outcome.converged
    assert [e.text for e in only(cluster.events, Noticed)] == ['node "n2" does not answer: no route to host']


# -- secrets -------------------------------------------------------------------------------------------------------


def with_secret(content: bytes) -> UpRequest:
    digest = content_digest(content)
    stack = made({"web": None})
    service = msgspec.structs.replace(
        stack.services[WEB], secrets=(FileGrant(source="pw", target="/run/secrets/pw", uid="7", mode=0o400),)
    )
    secret = FileSpec(key="pw", name="shop_pw", digest=digest)
    stack = msgspec.structs.replace(stack, services={WEB: service}, secrets={"pw": secret})
    return UpRequest(stack=stack, contents={digest: content})


async def test_a_secret_is_in_its_container_and_nowhere_else() -> None:
    cluster, content = Cluster(), b"correct horse battery staple"
    async with cluster.control() as control:
        await control.up(with_secret(content))
        assert (await control.converge(SHOP, cluster.events.append)).converged

    file = cluster.n1.files("shop-web-1")["/run/secrets/pw"]
    assert (file.content, file.uid, file.mode) == (content, 7, 0o400)
    stored = b"".join(entry.value for entry in await cluster.store.list(""))
    told = b"".join(msgspec.json.encode(event) for event in cluster.events)
    for hidden in (content, content.hex().encode()):
        assert hidden not in stored
        assert hidden not in told
    containers = msgspec.json.encode(await cluster.containers())
    assert content not in containers


async def test_another_content_of_a_secret_replaces_the_container() -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(with_secret(b"old"))
        assert (await control.converge(SHOP, cluster.events.append)).converged
        await control.up(with_secret(b"new"))
        assert (await control.converge(SHOP, cluster.events.append)).converged

    assert cluster.n1.files("shop-web-1")["/run/secrets/pw"].content == b"new"


async def test_a_secret_that_the_store_has_lost_is_a_failure_that_says_what_to_do() -> None:
    cluster = Cluster()
    request = with_secret(b"gone")
    async with cluster.control() as control:
        await control.up(msgspec.structs.replace(request, contents={}))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert not outcome.converged
    assert any("up" in b.fix for b in outcome.blocked)


async def test_an_id_that_is_no_number_is_a_failure_and_no_mistake_of_ours() -> None:
    cluster = Cluster()
    request = with_secret(b"x")
    grant = FileGrant(source="pw", target="/run/secrets/pw", uid="postgres")
    service = msgspec.structs.replace(request.stack.services[WEB], secrets=(grant,))
    stack = msgspec.structs.replace(request.stack, services={WEB: service})
    async with cluster.control() as control:
        await control.up(msgspec.structs.replace(request, stack=stack))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert any('"postgres"' in b.reason for b in outcome.blocked)


# -- looking -------------------------------------------------------------------------------------------------------


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


# -- images --------------------------------------------------------------------------------------------------------


async def test_pull_asks_all_active_nodes_and_tells_each_failure() -> None:
    cluster = Cluster(N1, N2)
    cluster.n1.offers("web:1", "db:1")
    cluster.n2.offers("web:1")
    async with cluster.control() as control:
        with pytest.raises(EngineError, match="db:1"):
            await control.pull(pair(), (), cluster.events.append)
        await control.pull(pair(), (WEB,), cluster.events.append)

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
        await control.pull(pair(), (WEB,), cluster.events.append)

    assert (changes(cluster.n1), changes(cluster.n2)) == ([("pull", "web:1")], [])


async def test_build_makes_the_images_that_have_a_recipe(tmp_path: Any) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    cluster = Cluster(N1, N2)
    stack = made({"web": {"build": {"context": str(tmp_path)}}, "db": None})
    async with cluster.control() as control:
        await control.build(stack, (), cluster.events.append, no_cache=True)
        with pytest.raises(NoSuchThing):
            await control.build(stack, (DB,), cluster.events.append, no_cache=False)

    assert changes(cluster.n1) == [("build", "web:1")]
    assert changes(cluster.n2) == []


async def test_images_that_are_in_use_stay_with_a_word() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.scale(SHOP, {WEB: 0}))
    cluster.events.clear()
    async with cluster.control() as control:
        await control.remove_images(pair(), local_only=False, emit=cluster.events.append)

    assert sorted(cluster.n1.images) == ["db:1", "job:1", "web:2"]
    assert [e.text.partition(":")[0] for e in only(cluster.events, Noticed)] == ["image db"]


# -- nodes ---------------------------------------------------------------------------------------------------------


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
    await control.remove_node(N2)
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
    async with cluster.control({N2: cluster.n2}) as control:
        await control.up(UpRequest(stack=pair()))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert not outcome.converged
    assert any("is on n1, which is no node of this cluster" in b.reason for b in outcome.blocked)
    assert await counted(cluster) == len(changes(cluster.n1))


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
