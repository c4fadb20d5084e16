"""The loop on engines in memory: what begins when, what holds up what, how a run ends."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.engine import Behaviour
from orchestrator.errors import LeaseLost, Refused, Unreachable
from orchestrator.model.cluster import ContainerState
from orchestrator.model.operations import CreateContainer, CreateVolume, StartContainer, StopContainer
from orchestrator.model.plan import Blocked, Phase, Plan, Severity
from orchestrator.model.spec import Intent
from orchestrator.planner import Slots, plan_slots
from orchestrator.reconciler.events import OperationFailed, StatusChanged
from orchestrator.reconciler.loop import is_hopeless
from tests.reconciler.cluster import N1, N2, N3, Cluster, Slow, changes, eventually, made, only, running

HEALTHY_DB = {
    "db": {"image": "db:1", "healthcheck": {"test": "check", "interval": "1s"}},
    "web": {"depends_on": {"db": {"condition": "service_healthy"}}},
}


async def test_a_first_deploy_goes_in_the_order_of_the_graph() -> None:
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=0.0)
    async with running(cluster, made(HEALTHY_DB)) as run:
        assert (await run.until_end()).converged

    done = cluster.done()
    assert sorted(done) == [
        "create db.1 on n1",
        "create network shop_default on n1",
        "create web.1 on n1",
        "start db.1 on n1",
        "start web.1 on n1",
    ]
    assert done[0] == "create network shop_default on n1"
    assert done[-2:] == ["start db.1 on n1", "start web.1 on n1"]
    assert {c.state for c in await cluster.containers()} == {ContainerState.RUNNING}


async def test_an_operation_begins_as_soon_as_what_it_waited_for_is_there() -> None:
    """web.1 is made and started while the image of the other service is still on its way."""
    cluster = Cluster()
    cluster.n1.offers("late:1")
    slow = Slow(cluster.n1)
    slow.held["pull"] = asyncio.Event()
    async with running(cluster, made({"web": None, "late": {"image": "late:1"}}), slow={N1: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: "start web.1 on n1" in cluster.done())
        assert slow.under_way["pull"] == 1
        slow.held["pull"].set()
        assert (await working).converged

    assert cluster.done()[-1] == "start late.1 on n1"


async def test_a_failure_on_one_node_holds_up_no_other() -> None:
    cluster = Cluster(N1, N2)
    cluster.n2.fail("create_container", Refused("no", why="disk full"), times=50)
    stack = made({"web": {"deploy": {"mode": "global"}}})
    async with running(cluster, stack) as run:
        verdict = await run.until_end()

    assert not verdict.converged
    assert await cluster.names() == ["shop-web-1"]
    assert [(b.subject, b.reason, b.severity) for b in verdict.blocked] == [("web.2", "no: disk full", Severity.FAILED)]
    assert len([call for call in changes(cluster.n2) if call[0] == "create_container"]) == 1


async def test_a_temporary_failure_is_tried_again_after_its_pause() -> None:
    cluster = Cluster()
    cluster.n1.fail("create_container", Unreachable("can't create", why="no answer"), times=1)
    async with running(cluster, made({"web": None})) as run:
        assert (await run.until_end()).converged

    failed = only(cluster.events, OperationFailed)
    assert [(e.what, e.temporary) for e in failed] == [("can't create", True)]
    started = [e for e in cluster.events if getattr(e, "operation", None) and isinstance(e.operation, CreateContainer)]
    assert started[-1].at - failed[0].at >= timedelta(seconds=1)
    assert run.observer.failures == {}


async def test_what_waits_for_a_failure_is_told_with_its_cause() -> None:
    cluster = Cluster()
    cluster.n1.behaviours["db"] = Behaviour(refuses_start="exec: not found")
    async with running(cluster, made(HEALTHY_DB)) as run:
        verdict = await run.until_end()

    assert not verdict.converged
    assert {b.subject: (b.severity, b.causes) for b in verdict.blocked} == {
        "db.1": (Severity.FAILED, ()),
        "web.1": (Severity.WAITING, ("db.1",)),
    }
    assert only(cluster.events, StatusChanged)[-1].services[0].phase is Phase.FAILED


@pytest.mark.usefixtures("settling")
async def test_a_container_that_dies_at_once_makes_the_run_fail() -> None:
    cluster = Cluster()
    cluster.n1.behaviours["web"] = Behaviour(exits_after_s=0.1, exit_code=3)
    async with running(cluster, made({"web": None})) as run:
        verdict = await run.until_end()

    assert not verdict.converged
    assert [(b.subject, b.reason) for b in verdict.blocked] == [("web.1", "exited with 3")]


async def test_a_death_during_the_run_is_noticed() -> None:
    """web runs long since when db is still starting; it dies, and the run does not end well."""
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=60.0)
    stack = made({"web": None, "db": {"image": "db:1", "healthcheck": {"test": "check", "interval": "60s"}}})
    async with running(cluster, stack) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: len([t for t in cluster.done() if t.startswith("start")]) == 2)
        cluster.n1.die("shop-web-1", code=9)
        await eventually(lambda: any(b.subject == "web.1" for b in run.loop.blocked))
        assert [b.reason for b in run.loop.blocked if b.subject == "web.1"] == ["exited with 9"]
        assert not working.done(), "db may still become healthy"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def test_a_run_is_hopeless_when_all_that_is_left_has_failed_or_waits_for_that() -> None:
    failed = Blocked(subject="db.1", reason="", severity=Severity.FAILED)
    waits = Blocked(subject="web.1", reason="", causes=("db.1",))
    follows = Blocked(subject="proxy.1", reason="", causes=("web.1",))
    alone = Blocked(subject="job.1", reason="")

    assert is_hopeless((failed, waits, follows))
    assert not is_hopeless((failed, waits, alone))
    assert not is_hopeless((alone,))
    assert not is_hopeless(())


async def test_cancelling_gives_up_what_is_under_way_and_the_next_run_goes_on() -> None:
    cluster = Cluster()
    slow = Slow(cluster.n1)
    slow.after_s["start"] = (0.0, 30.0)
    stack = made({"web": {"deploy": {"replicas": 2}}})
    async with running(cluster, stack, slow={N1: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["start"] == 2)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert slow.under_way["start"] == 0
        assert run.observer.busy == set()

    async with running(cluster, stack) as run:
        assert (await run.until_end()).converged
    assert await cluster.names() == ["shop-web-1", "shop-web-2"]
    assert [call for call, _ in changes(cluster.n1)].count("create_container") == 2


async def test_a_run_on_the_same_observer_knows_what_became_of_what_was_given_up() -> None:
    """A start is given up after the engine has carried it out: its event came while we listened to nobody."""
    cluster = Cluster()
    slow = Slow(cluster.n1)
    slow.after_s["start"] = (0.0, 30.0)
    async with running(cluster, made({"web": None}), slow={N1: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["start"] == 1)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

        await eventually(lambda: [c.state for c in run.observer.state().containers] == [ContainerState.RUNNING])


async def test_without_leave_to_write_no_engine_is_changed() -> None:
    def refuse() -> None:
        raise LeaseLost("the lock was lost")

    cluster = Cluster()
    async with running(cluster, made({"web": None}), may_write=refuse) as run:
        with pytest.raises(LeaseLost):
            await run.until_end()

    assert changes(cluster.n1) == []


async def test_the_lock_is_looked_at_again_when_an_operation_that_waited_gets_its_turn() -> None:
    cluster, has_lock = Cluster(), [True]

    def check() -> None:
        if not has_lock[0]:
            raise LeaseLost("the lock was lost")

    job = {"image": "job:1"}
    assert (await cluster.up(made({"job": job}))).converged
    slow = Slow(cluster.n1)
    slow.held["create_container"] = asyncio.Event()
    after = {"depends_on": {"job": {"condition": "service_completed_successfully"}}, "deploy": {"replicas": 9}}
    stack = made({"job": job, "web": after})
    async with running(cluster, stack, slow={N1: slow}, may_write=check) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["create_container"] == 4)
        has_lock[0] = False
        slow.held["create_container"].set()
        with pytest.raises(LeaseLost):
            await working

    assert slow.asked["create_container"] == 4


async def test_an_operation_that_waited_for_its_turn_and_is_not_wanted_any_more_is_left_out() -> None:
    """The node falls silent while starts queue up: none of them is sent to it."""
    cluster = Cluster()
    slow = Slow(cluster.n1)
    slow.held["start"] = asyncio.Event()
    stack = made({"web": {"deploy": {"replicas": 8}}})
    async with running(cluster, stack, slow={N1: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["start"] == 4)
        run.observer._silent(N1, Unreachable("no answer"))
        await asyncio.sleep(0.02)
        slow.held["start"].set()
        await eventually(lambda: slow.under_way["start"] == 0)
        await asyncio.sleep(0.02)

        assert len([c for c in changes(cluster.n1) if c[0] == "start"]) == 4
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_an_error_of_our_own_ends_the_run_and_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()

    def break_down(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(cluster.n1, "create_container", break_down)
    async with running(cluster, made({"web": None})) as run:
        with pytest.raises(ZeroDivisionError):
            await run.until_end()


async def test_an_error_of_our_own_in_a_check_or_an_event_ends_the_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=60.0)

    def break_down(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a mistake of ours")

    async with running(cluster, made(HEALTHY_DB)) as run:
        monkeypatch.setattr(cluster.n1, "exec", break_down)
        with pytest.raises(ZeroDivisionError):
            await run.until_end()
    async with running(cluster, made(HEALTHY_DB)) as run:
        monkeypatch.undo()
        monkeypatch.setattr(cluster.n1, "ping", break_down)
        run.observer.doubt(N1)
        with pytest.raises(ZeroDivisionError):
            await run.until_end()


async def test_at_most_four_quick_calls_at_once_on_a_node_and_stops_are_not_among_them() -> None:
    cluster = Cluster(N1, N2)
    slow = {node: Slow(engine) for node, engine in cluster.engines.items()}
    for engine in slow.values():
        engine.after_s = {"create_container": (0.01, 0.0), "start": (0.01, 0.0), "stop": (0.05, 0.0)}
    stack = made(
        {"web": {"deploy": {"replicas": 24}}, "db": {"image": "db:1", "volumes": ["data:/d"]}}, volumes={"data": {}}
    )
    async with running(cluster, stack, slow=slow) as run:
        assert (await run.until_end()).converged
    async with running(cluster, Intent(stack=stack, removed=True), slow=slow) as run:
        assert (await run.until_end()).converged

    for engine in slow.values():
        if engine.most["start"]:
            assert engine.most["create_container"] <= 4
            assert engine.most["start"] <= 4
            assert engine.most["stop"] > 4
    assert await cluster.names() == []


async def test_a_slot_is_made_once_though_the_next_plan_would_place_it_elsewhere() -> None:
    """web.1 takes long on n1, which has more of web than the others by then: the others would be better for it."""
    cluster = Cluster(N1, N2, N3)
    slow = {node: Slow(engine) for node, engine in cluster.engines.items()}
    slow[N2].after_s["create_container"] = slow[N3].after_s["create_container"] = (0.03, 0.0)
    create = cluster.n1.create_container

    async def create_container(request: Any) -> Any:
        await asyncio.sleep(0.1 if request.slot == 1 else 0.0)
        return await create(request)

    cluster.n1.create_container = create_container  # type: ignore[method-assign]  # slow for one of them
    stack = made({"web": {"network_mode": "none", "deploy": {"replicas": 12}}})
    async with running(cluster, stack, slow=slow) as run:
        assert (await run.until_end()).converged

    slots = [op.slot for op in cluster.began() if isinstance(op, CreateContainer)]
    assert sorted(slots) == list(range(1, 13))


async def test_a_volume_is_made_once_though_the_next_plan_finds_another_node_better(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster(N1, N2)
    slow = Slow(cluster.n1)
    slow.held["create_volume"] = asyncio.Event()
    stack = made({"db": {"image": "db:1", "volumes": ["data:/data"]}}, volumes={"data": {}})

    def fickle(slots: Slots) -> Plan:
        """Once n1's volume is under way, n2 is the better place, until the volume is there."""
        node = N2 if slow.under_way["create_volume"] else N1
        make = CreateVolume(node=node, name="shop_data", key="data", cause="db mounts it")
        return Plan(operations=() if slots.world.cluster.volumes else (make,))

    monkeypatch.setattr("orchestrator.reconciler.loop.plan_slots", fickle)
    async with running(cluster, stack, slow={N1: slow}) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: slow.under_way["create_volume"])
        run.loop.wake()
        await asyncio.sleep(0.02)
        slow.held["create_volume"].set()
        assert (await working).converged

    assert run.homes == [("shop_data", N1)]
    assert "shop_data" not in cluster.n2._volumes


async def test_a_global_service_has_a_volume_of_its_own_on_each_node() -> None:
    cluster = Cluster(N1, N2)
    stack = made(
        {"agent": {"network_mode": "none", "volumes": ["data:/data"], "deploy": {"mode": "global"}}},
        volumes={"data": {}},
    )
    outcome = await cluster.up(stack)

    assert outcome.converged, outcome
    assert {c.node for c in await cluster.containers()} == {N1, N2}
    assert list(await cluster.homes()) == ["shop_data"]
    outcome = await cluster.run(lambda control: control.down(stack.name, volumes=True))
    assert outcome.converged
    assert await cluster.homes() == {}
    assert "shop_data" not in {**cluster.n1._volumes, **cluster.n2._volumes}


async def test_an_operation_that_stops_first_is_not_overtaken() -> None:
    """An update of what has data: the old one has stopped before the new one starts."""
    cluster = Cluster()
    old, new = (
        made({"db": {"image": "db:1", "volumes": ["data:/d"], "environment": {"V": v}}}, volumes={"data": {}})
        for v in "12"
    )
    assert (await cluster.up(old)).converged
    cluster.events.clear()
    assert (await cluster.up(new)).converged

    steps = [type(op) for op in cluster.began()]
    assert steps.index(StopContainer) < steps.index(StartContainer)
    assert await cluster.names() == ["shop-db-1"]


async def test_one_plan_answers_all_that_happened_while_a_slow_one_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan for 1000 containers takes tens of milliseconds; one for each event would take minutes."""
    plans = 0

    def slowly(slots: Slots) -> Plan:
        nonlocal plans
        plans += 1
        time.sleep(0.03)
        return plan_slots(slots)

    monkeypatch.setattr("orchestrator.reconciler.loop.plan_slots", slowly)
    cluster = Cluster(N1, N2)
    slow = {node: Slow(engine) for node, engine in cluster.engines.items()}
    for engine in slow.values():
        engine.after_s = {"create_container": (0.002, 0.0), "start": (0.002, 0.0)}
    stack = made({"web": {"network_mode": "none", "deploy": {"replicas": 60}}})
    async with running(cluster, stack, slow=slow) as run:
        assert (await run.until_end()).converged

    assert plans <= 12
