"""The imagined host's own knobs: its clock, its faults, its log. What it promises as an engine is in `conformance/`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.engine import Behaviour, MemoryEngine
from orchestrator.engine.protocol import ContainerRequest, EventKind
from orchestrator.errors import Conflict, NotFound, Unreachable
from orchestrator.model.cluster import ContainerState, Health, HeldVolume
from orchestrator.model.names import ContainerId, Digest, NodeName, ServiceName, SlotNumber, StackName, container_labels
from orchestrator.model.spec import Healthcheck, RestartCondition, RestartPolicy, ServiceSpec

SHOP = StackName("shop")


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> MemoryEngine:
    made = MemoryEngine(NodeName("n1"), clock, deadline_s=0.05)
    made.has("web:1")
    return made


def request(name: str = "web", **service: Any) -> ContainerRequest:
    spec = ServiceSpec(name=ServiceName(name), **{"image": "web:1", **service})
    labels = container_labels(SHOP, spec.name, SlotNumber(1), 1, Digest("h"))
    return ContainerRequest(name=f"shop-{name}-1", service=spec, labels=labels)


async def run(engine: MemoryEngine, *args: Any, **service: Any) -> ContainerId:
    id = await engine.create_container(request(*args, **service))
    await engine.start(id)
    return id


async def test_it_is_healthy_after_the_scripted_time(engine: MemoryEngine, clock: Clock) -> None:
    engine.behaviours["web"] = Behaviour(healthy_after_s=3.0)
    check = Healthcheck(test=("CMD", "ok"), interval_s=30)
    id = await run(engine, healthcheck=check)
    clock.forward(2.9)
    before = (await engine.container(id)).health, (await engine.exec(id, ["ok"])).exit_code
    clock.forward(0.2)
    after = (await engine.container(id)).health, (await engine.exec(id, ["ok"])).exit_code

    assert (before, after) == ((Health.STARTING, 1), (Health.HEALTHY, 0))


async def test_an_image_brings_its_check(engine: MemoryEngine, clock: Clock) -> None:
    engine.has("web:1", has_check=True, volumes=("/data",))
    id = await run(engine)
    clock.forward(29)
    early = await engine.container(id)
    clock.forward(2)

    assert early.health is Health.STARTING
    assert [v.target for v in early.volumes] == ["/data"]
    assert (await engine.container(id)).health is Health.HEALTHY


async def test_behaviour_is_by_container_before_service_before_image(engine: MemoryEngine) -> None:
    engine.behaviours |= {
        "web:1": Behaviour(exits_after_s=0, exit_code=1),
        "api": Behaviour(exits_after_s=0, exit_code=2),
    }
    engine.behaviours["shop-cron-1"] = Behaviour(exits_after_s=0, exit_code=3)
    codes = [(await engine.container(await run(engine, name))).exit_code for name in ("web", "api", "cron")]

    assert codes == [1, 2, 3]


async def test_restarts_come_with_growing_pauses(engine: MemoryEngine, clock: Clock) -> None:
    engine.behaviours["web"] = Behaviour(exits_after_s=0, exit_code=1)
    id = await run(engine, restart=RestartPolicy(condition=RestartCondition.ALWAYS))
    counts = []
    for _ in range(5):
        counts.append((await engine.container(id)).restart_count)
        clock.forward(0.4)

    assert counts == [0, 2, 3, 3, 4]
    assert (await engine.container(id)).state is ContainerState.RESTARTING


async def test_stopping_between_two_tries_ends_them(engine: MemoryEngine, clock: Clock) -> None:
    engine.behaviours["web"] = Behaviour(exits_after_s=0, exit_code=1)
    id = await run(engine, restart=RestartPolicy(condition=RestartCondition.ALWAYS))
    await engine.stop(id)
    clock.forward(100)

    found = await engine.container(id)
    assert (found.state, found.restart_count) == (ContainerState.EXITED, 0)


async def test_two_runs_at_one_moment_have_two_marks(engine: MemoryEngine) -> None:
    id = await run(engine)
    first = (await engine.container(id)).started_mark
    await engine.stop(id)
    await engine.start(id)

    assert (await engine.container(id)).started_mark != first


async def test_a_fault_comes_as_often_as_asked(engine: MemoryEngine) -> None:
    engine.fail("create_container", Conflict("no"), times=2)
    for _ in range(2):
        with pytest.raises(Conflict, match="no"):
            await engine.create_container(request())
    await engine.create_container(request())

    assert [c.name for c in await engine.containers(SHOP)] == ["shop-web-1"]


async def test_a_hung_engine_is_unreachable_at_the_deadline(engine: MemoryEngine) -> None:
    engine.hang()
    with pytest.raises(Unreachable, match=r"no answer within 0\.05 s"):
        await engine.networks()
    with pytest.raises(Unreachable, match=r"no answer within 0\.01 s"):
        await engine.ping(timeout_s=0.01)
    engine.unhang()

    assert {n.name for n in await engine.networks()} == {"bridge", "host", "none"}


async def test_one_call_may_hang_alone(engine: MemoryEngine) -> None:
    id = await engine.create_container(request())
    engine.hang("start")

    with pytest.raises(Unreachable):
        await engine.start(id)
    assert (await engine.container(id)).state is ContainerState.CREATED


async def test_unplugged_everything_fails_and_streams_break_while_containers_go_on(engine: MemoryEngine) -> None:
    id = await run(engine)
    events = engine.events()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    engine.unplug()
    with pytest.raises(Unreachable):
        await engine.containers()
    with pytest.raises(Unreachable):
        await asyncio.wait_for(waiting, 1)
    engine.plug()

    assert (await engine.container(id)).is_running


async def test_a_reboot_restarts_what_has_a_policy(engine: MemoryEngine, clock: Clock) -> None:
    plain = await run(engine, "web")
    lasting = await run(engine, "db", restart=RestartPolicy(condition=RestartCondition.UNLESS_STOPPED))
    engine.reboot()
    clock.forward(1)

    assert (await engine.container(plain)).exit_code == 255
    assert (await engine.container(lasting)).is_running


async def test_events_come_by_the_clock_with_nobody_calling(engine: MemoryEngine, clock: Clock) -> None:
    engine.behaviours["web"] = Behaviour(exits_after_s=5, exit_code=4)
    id = await run(engine)
    waiting = asyncio.ensure_future(anext(engine.events()))
    await asyncio.sleep(0.03)
    clock.forward(6)

    event = await asyncio.wait_for(waiting, 1)
    assert (event.id, event.kind, event.detail) == (id, EventKind.DIE, "4")


async def test_a_test_can_kill_and_turn(engine: MemoryEngine) -> None:
    id = await run(engine, healthcheck=Healthcheck(test=("CMD", "ok")))
    engine.turn("shop-web-1", Health.UNHEALTHY)
    ill = (await engine.container(id)).health
    engine.die("shop-web-1", code=9)

    assert ill is Health.UNHEALTHY
    assert (await engine.container(id)).exit_code == 9


async def test_the_registry_is_the_tests(engine: MemoryEngine) -> None:
    engine.offers("db:1", has_check=True)
    await engine.pull("db:1")

    assert (await engine.image("db:1")).has_check  # type: ignore[union-attr]
    with pytest.raises(NotFound, match="pull access denied for nobody:1"):
        await engine.pull("nobody:1")


async def test_a_refused_start_leaves_its_reason(engine: MemoryEngine) -> None:
    engine.behaviours["web"] = Behaviour(refuses_start="no space left on device")
    id = await engine.create_container(request())
    with pytest.raises(Exception, match="no space left on device") as caught:
        await engine.start(id)

    assert "docker system prune" in caught.value.fix  # type: ignore[attr-defined]
    assert (await engine.container(id)).error == "no space left on device"


async def test_each_call_is_noted(engine: MemoryEngine) -> None:
    id = await run(engine)
    await engine.remove(id, force=True)

    assert engine.calls == [("create_container", "shop-web-1"), ("start", "shop-web-1"), ("remove", "shop-web-1")]


async def test_inherited_volumes_are_held(engine: MemoryEngine) -> None:
    held = HeldVolume(name="old", target="/data")
    asked = request()
    id = await engine.create_container(
        ContainerRequest(name=asked.name, service=asked.service, labels=asked.labels, inherits=(held,))
    )

    assert (await engine.container(id)).volumes == (held,)
