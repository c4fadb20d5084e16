"""What the observer makes of answers, events and silence; and what the loop does when nodes go and come back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.errors import Refused, Unreachable
from orchestrator.model.cluster import Container, ContainerState, NodeStatus
from orchestrator.model.names import ContainerId, NodeName
from orchestrator.reconciler.observe import Observer
from orchestrator.service.request import UpRequest
from tests.reconciler.cluster import N1, N2, N3, Cluster, Run, Slow, changes, eventually, made, running

SPREAD = {"web": {"network_mode": "none", "deploy": {"replicas": 2}}}


def seen(observer: Observer) -> dict[str, ContainerState]:
    return {c.name: c.state for c in observer.state().containers}


def status(run: Run, node: NodeName) -> NodeStatus:
    return run.observer.nodes[node].status


async def started(cluster: Cluster, name: str = "shop-web-1") -> ContainerId:
    return (await cluster.container(name)).id


# -- answers that overtake each other ------------------------------------------------------------------------------


async def test_an_older_answer_does_not_overwrite_a_newer_one() -> None:
    """The inspect for an event is on its way back while the container changes and is inspected again."""
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    slow = Slow(cluster.n1)
    async with running(cluster, made({"web": None}), slow={N1: slow}) as run:
        id = await started(cluster)
        slow.after_s["container"] = (0.0, 0.05)
        older = asyncio.create_task(run.observer.refresh_container(N1, id))
        await asyncio.sleep(0.01)
        slow.after_s["container"] = (0.0, 0.0)
        run.observer.busy.add(id)
        await cluster.n1.stop(id)
        await run.observer.refresh_container(N1, id)
        await older

        assert seen(run.observer) == {"shop-web-1": ContainerState.EXITED}


async def test_a_listing_forgets_nothing_that_came_while_it_was_on_its_way() -> None:
    cluster = Cluster()
    slow = Slow(cluster.n1)
    stack = made({"web": None})
    async with running(cluster, stack, slow={N1: slow}) as run:
        slow.after_s["containers"] = (0.0, 0.1)
        listing = asyncio.create_task(run.observer.relist(N1))
        await asyncio.sleep(0.01)
        assert (await run.until_end()).converged
        await listing

        assert seen(run.observer) == {"shop-web-1": ContainerState.RUNNING}


async def test_a_listing_brings_back_nothing_that_went_while_it_was_on_its_way() -> None:
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    slow = Slow(cluster.n1)
    async with running(cluster, made({"web": None}), slow={N1: slow}) as run:
        slow.after_s["containers"] = (0.0, 0.05)
        listing = asyncio.create_task(run.observer.relist(N1))
        await asyncio.sleep(0.01)
        await cluster.n1.remove(await started(cluster), force=True)
        await listing

        assert seen(run.observer) == {}


async def test_volumes_made_at_the_same_time_are_all_known_though_their_listings_cross(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first listing has only one of them; were it kept, the other would look lost, with its data."""
    cluster = Cluster()
    volumes, make = cluster.n1.volumes, cluster.n1.create_volume

    async def create(volume: Any, labels: Any) -> None:
        await asyncio.sleep(0.02 if volume.key == "two" else 0.0)
        await make(volume, labels)

    async def listing() -> Any:
        found = await volumes()
        await asyncio.sleep(0.05 if len(found) == 1 else 0.0)
        return found

    monkeypatch.setattr(cluster.n1, "create_volume", create)
    monkeypatch.setattr(cluster.n1, "volumes", listing)
    stack = made({"db": {"volumes": ["one:/a", "two:/b"]}}, volumes={"one": {}, "two": {}})
    async with running(cluster, stack) as run:
        assert (await run.until_end()).converged
        await asyncio.sleep(0.06)
        assert {v.name for v in run.observer.state().volumes} == {"shop_one", "shop_two"}


# -- events --------------------------------------------------------------------------------------------------------


async def test_events_of_a_container_that_we_work_on_are_left_to_the_result() -> None:
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    async with running(cluster, made({"web": None})) as run:
        id = await started(cluster)
        run.observer.busy.add(id)
        looks = len([c for c in cluster.n1.calls if c[0] == "container"])
        await cluster.n1.stop(id)
        await asyncio.sleep(0.02)
        assert len([c for c in cluster.n1.calls if c[0] == "container"]) == looks
        assert seen(run.observer) == {"shop-web-1": ContainerState.RUNNING}

        run.observer.busy.discard(id)
        await cluster.n1.start(id)
        await cluster.n1.stop(id)
        await eventually(lambda: seen(run.observer) == {"shop-web-1": ContainerState.EXITED})


async def test_events_of_other_stacks_change_nothing() -> None:
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    other = made({"web": None})
    async with running(cluster, other) as run:
        run.observer.stack = type(other)(name=type(other.name)("another"))
        woken: list[int] = []
        run.observer.changed = lambda: woken.append(1)
        cluster.n1.die("shop-web-1")
        await asyncio.sleep(0.03)

        assert woken == []


@pytest.mark.usefixtures("quick_heart")
async def test_an_event_whose_container_could_not_be_looked_at_is_not_forgotten() -> None:
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    async with running(cluster, made({"web": None})) as run:
        cluster.n1.fail("container", Unreachable("no answer"), times=1)
        cluster.n1.die("shop-web-1")

        await eventually(lambda: seen(run.observer) == {"shop-web-1": ContainerState.EXITED})


@pytest.mark.usefixtures("quick_heart")
async def test_a_stream_that_breaks_while_the_node_answers_is_opened_anew() -> None:
    """The engine was restarted between two heartbeats: nobody tells what happened meanwhile, nor what will."""
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    async with running(cluster, made({"web": None})) as run:
        await asyncio.sleep(0.03)
        cluster.n1.unplug()
        cluster.n1.die("shop-web-1")
        cluster.n1.plug()
        await eventually(lambda: seen(run.observer) == {"shop-web-1": ContainerState.EXITED})
        assert status(run, N1) is NodeStatus.READY

        await cluster.n1.start(await started(cluster))
        await eventually(lambda: seen(run.observer) == {"shop-web-1": ContainerState.RUNNING})
        assert len(cluster.n1._listeners) == 1


@pytest.mark.usefixtures("quick_heart")
async def test_an_engine_that_tells_no_events_is_listed_at_each_heartbeat_and_not_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.reconciler.observe.PING_EVERY_S", 0.1)
    cluster = Cluster()
    cluster.n1.fail("events", Refused("no", why="403"), times=1000)
    async with running(cluster, made({"web": None})) as run:
        await asyncio.sleep(0.25)
        listings = len([c for c in cluster.n1.calls if c[0] == "containers"])
        assert 2 <= listings <= 4

        assert (await run.until_end()).converged


# -- silence -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_heart")
async def test_a_node_that_falls_silent_is_suspect_then_down_and_its_slots_go_elsewhere() -> None:
    cluster = Cluster(N1, N2)
    stack = made(SPREAD)
    assert (await cluster.up(stack)).converged
    assert {c.node for c in await cluster.containers()} == {N1, N2}
    async with running(cluster, stack) as run:
        cluster.n2.hang()
        await eventually(lambda: status(run, N2) is NodeStatus.SUSPECT)
        run.loop.wake()
        assert not [call for call in changes(cluster.n1) if call[0] == "create_container"][1:]
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: status(run, N2) is NodeStatus.DOWN)
        assert (await working).converged
        assert await cluster.names(N1) == ["shop-web-1", "shop-web-2"]

        cluster.n2.unhang()
        await eventually(lambda: status(run, N2) is NodeStatus.READY)
        assert (await run.until_end()).converged
    assert await cluster.names(N1) == ["shop-web-1", "shop-web-2"]
    assert await cluster.names(N2) == []


@pytest.mark.usefixtures("quick_heart")
async def test_calls_to_a_node_that_has_gone_down_are_given_up() -> None:
    cluster = Cluster(N1, N2)
    cluster.n2.deadline_s = 60.0
    async with running(cluster, made(SPREAD)) as run:
        cluster.n2.hang("create_container", "ping", "containers")

        assert (await run.until_end()).converged

    assert await cluster.names(N1) == ["shop-web-1", "shop-web-2"]


@pytest.mark.usefixtures("quick_heart")
async def test_a_copy_from_a_node_that_has_gone_down_is_given_up() -> None:
    cluster = Cluster(N1, N2)
    cluster.n1.has("only:1")
    cluster.n2.offers("only:1")
    slow = Slow(cluster.n2)
    slow.held["load"] = asyncio.Event()
    stack = made({"web": {"image": "only:1", "network_mode": "none", "deploy": {"replicas": 2}}})
    async with running(cluster, stack, slow={N2: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["load"])
        cluster.n1.hang()
        await eventually(lambda: not slow.under_way["load"])
        assert (await working).converged

    assert await cluster.names(N2) == ["shop-web-1", "shop-web-2"]


@pytest.mark.usefixtures("quick_heart")
async def test_a_node_that_is_away_for_a_moment_keeps_its_slots() -> None:
    cluster = Cluster(N1, N2)
    stack = made(SPREAD)
    await cluster.up(stack)
    before = len(changes(cluster.n1)) + len(changes(cluster.n2))
    async with running(cluster, stack) as run:
        cluster.n2.unplug()
        await eventually(lambda: status(run, N2) is NodeStatus.SUSPECT)
        working = asyncio.create_task(run.until_end())
        await asyncio.sleep(0.02)
        cluster.n2.plug()
        assert (await working).converged

    assert len(changes(cluster.n1)) + len(changes(cluster.n2)) == before


@pytest.mark.usefixtures("quick_heart")
async def test_a_frozen_host_is_listened_to_by_one_stream_after_it_thaws() -> None:
    cluster = Cluster()
    async with running(cluster, made({"web": None})) as run:
        for _ in range(3):
            cluster.n1.hang()
            await eventually(lambda: status(run, N1) is not NodeStatus.READY)
            cluster.n1.unhang()
            await eventually(lambda: status(run, N1) is NodeStatus.READY)
        await asyncio.sleep(0.01)

        assert len(cluster.n1._listeners) == 1


@pytest.mark.usefixtures("quick_heart")
async def test_a_node_that_is_down_at_the_start_costs_one_heartbeat_and_joins_when_it_is_back() -> None:
    cluster = Cluster(N1, N2, N3)
    cluster.n2.hang()
    cluster.engines[N3].unplug()
    cluster.n2.deadline_s = 30.0
    async with asyncio.timeout(2), running(cluster, made(SPREAD)) as run:
        assert (status(run, N1), status(run, N2), status(run, N3)) == (
            NodeStatus.READY,
            NodeStatus.DOWN,
            NodeStatus.DOWN,
        )
        assert run.observer.nodes[N3].trouble == "no route to host"
        cluster.n2.unhang()
        await eventually(lambda: status(run, N2) is NodeStatus.READY)


@pytest.mark.usefixtures("quick_heart")
async def test_a_call_without_an_answer_has_the_node_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.reconciler.observe.PING_EVERY_S", 60.0)
    cluster = Cluster()
    async with running(cluster, made({"web": None})) as run:
        cluster.n1.hang()
        run.observer.doubt(N1)

        await eventually(lambda: status(run, N1) is NodeStatus.SUSPECT, within_s=1.0)


@pytest.mark.parametrize("call", ["create_container", "create_network", "start", "create_volume"])
async def test_what_was_done_though_no_answer_came_is_found_and_not_done_twice(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """And no event tells of it."""
    monkeypatch.setattr("orchestrator.reconciler.observe.PAUSE_S", 0.001)
    cluster = Cluster()
    cluster.n1.fail("events", Refused("no", why="403"), times=1000)
    work, calls = getattr(cluster.n1, call), 0

    async def mute(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        await work(*args, **options)
        raise Unreachable("no answer within 30 s")

    monkeypatch.setattr(cluster.n1, call, mute)
    stack = made({"db": {"image": "db:1", "volumes": ["data:/data"]}}, volumes={"data": {}})
    async with running(cluster, stack) as run:
        assert (await run.until_end(within_s=0.9)).converged

    assert calls == 1
    assert await cluster.names() == ["shop-db-1"]


async def test_nothing_listens_to_an_engine_after_the_end() -> None:
    cluster = Cluster(N1, N2)
    async with running(cluster, made({"web": None})) as run:
        await run.until_end()
        assert [len(engine._listeners) for engine in cluster.engines.values()] == [1, 1]

    assert [len(engine._listeners) for engine in cluster.engines.values()] == [0, 0]


# -- checks of our own ---------------------------------------------------------------------------------------------


async def test_a_check_of_ours_counts_until_the_engine_says_otherwise() -> None:
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=60.0)
    stack = made({"db": {"healthcheck": {"test": "check", "interval": "60s"}}})
    async with running(cluster, stack) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: run.observer.unchecked())
        c: Container = run.observer.unchecked()[0]
        run.observer.check_passed(c)
        assert [c.is_ready for c in run.observer.state().containers] == [True]
        assert (await working).converged

        cluster.n1.turn("shop-db-1", type(c.health)("unhealthy"))
        await eventually(lambda: [c.is_ready for c in run.observer.state().containers] == [False])
        await cluster.n1.stop(c.id)
        await cluster.n1.start(c.id)
        await eventually(lambda: len(run.observer.unchecked()) == 1)


async def test_a_new_run_forgets_what_failed_in_the_last_one() -> None:
    """The same process: a port was taken, somebody freed it, and `up` is asked again."""
    cluster = Cluster()
    cluster.n1.fail("start", Refused("no", why="port is already allocated"))
    stack = made({"web": None})
    async with cluster.control() as control:
        await control.up(UpRequest(stack=stack))
        first = await control.converge(stack.name, cluster.events.append, wait_timeout_s=5)
        await control.up(UpRequest(stack=stack))
        second = await control.converge(stack.name, cluster.events.append, wait_timeout_s=5)

    assert [b.reason for b in first.blocked] == ["no: port is already allocated"]
    assert second.converged
