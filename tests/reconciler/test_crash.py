"""A crash of orch at any change of the world, before or after it took place: the next run ends in the same world.

The k-th mutating call is carried out, or not, and from then on the process does nothing more: its engines and its store
don't hear it. Then another process, on the same store and engines, converges.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec
import pytest

from orchestrator.engine import MemoryEngine
from orchestrator.errors import LeaseLost
from orchestrator.model.names import ServiceName
from orchestrator.model.spec import StackSpec
from orchestrator.service.control import Control
from orchestrator.service.converge import Outcome
from orchestrator.service.request import UpRequest
from orchestrator.store import Delete, Owner, Put, Stacks, Store
from tests.reconciler.cluster import CALLS_THAT_LOOK, SHOP, Cluster, made

DB, WEB = ServiceName("db"), ServiceName("web")


class Crash:
    """The end of a process at its `at`-th change, carried out or not; 0 is never."""

    def __init__(self, at: int, is_carried_out: bool) -> None:
        self.at, self.is_carried_out = at, is_carried_out
        self.count = 0
        self.happened = asyncio.Event()

    async def call(self, name: str, work: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        if self.happened.is_set():
            await asyncio.Event().wait()
        if name in CALLS_THAT_LOOK:
            return await work(*args, **options)
        self.count += 1
        if self.count != self.at:
            return await work(*args, **options)
        if self.is_carried_out:
            await work(*args, **options)
        self.happened.set()
        return await asyncio.Event().wait()


class MortalEngine:
    """An engine as a process that may crash sees it. It watches how many run in each slot."""

    def __init__(self, engine: MemoryEngine, crash: Crash, most: Counter[tuple[str, int]]) -> None:
        self._engine, self._crash, self._most = engine, crash, most

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name in ("events", "logs", "save", "close") or not callable(found):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            result = await self._crash.call(name, found, *args, **options)
            self._count()
            return result

        return call

    def _count(self) -> None:
        views = [box.view(self._engine.node) for box in self._engine._boxes.values()]
        running = Counter((c.service, c.slot) for c in views if c.is_running)
        self._most |= running


class MortalStore:
    """The store as a process that may crash sees it: deaf afterwards; leases are not revoked by the dead."""

    def __init__(self, store: Store, crash: Crash) -> None:
        self._store, self._crash = store, crash

    def __getattr__(self, name: str) -> Any:
        if self._crash.happened.is_set():
            raise LeaseLost("the process is dead")
        return getattr(self._store, name)

    async def write(self, *changes: Put | Delete) -> int:
        """What is written of the world counts as a change of it; the lock does not."""
        if any(change.key.startswith("locks/") for change in changes):
            return await self._store.write(*changes)
        revision: int = await self._crash.call("write", self._store.write, *changes)
        return revision


@cache
def stack(version: str = "1", replicas: int = 2) -> StackSpec:
    """db is updated stop-first (it has data), web start-first, and starts when db is healthy."""
    health = {"test": "check", "interval": "1s"}
    return made(
        {
            "db": {"volumes": ["data:/data"], "environment": {"V": version}, "healthcheck": health},
            "web": {
                "environment": {"V": version},
                "depends_on": {"db": {"condition": "service_healthy"}},
                "deploy": {"replicas": replicas},
            },
        },
        volumes={"data": {}},
    )


Verb = Callable[[Control], Awaitable[object]]
VERBS: dict[str, Verb] = {
    "deploy": lambda control: control.up(UpRequest(stack=stack())),
    "update": lambda control: control.up(UpRequest(stack=stack("2"))),
    "scale-down": lambda control: control.scale(SHOP, {WEB: 1}),
    "restart": lambda control: control.restart(SHOP),
    "stop": lambda control: control.stop(SHOP),
    "recreate": lambda control: control.up(UpRequest(stack=stack(), force_recreate=True)),
    "down": lambda control: control.down(SHOP),
    "down-v": lambda control: control.down(SHOP, volumes=True),
}


def world() -> Cluster:
    cluster = Cluster()
    cluster.behaves("db", healthy_after_s=0.0)
    return cluster


async def crashed(cluster: Cluster, crash: Crash, most: Counter[tuple[str, int]]) -> bool:
    """Converges until the crash; False: it came to its end before."""
    engines = {node: MortalEngine(engine, crash, most) for node, engine in cluster.engines.items()}
    async with cluster.control(engines, MortalStore(cluster.store, crash)) as control:
        working = asyncio.create_task(control.converge(SHOP, cluster.events.append, wait_timeout_s=5.0))
        dying = asyncio.create_task(crash.happened.wait())
        await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        working.cancel() if crash.happened.is_set() else None
        outcome, *_ = await asyncio.gather(working, dying, return_exceptions=True)
    if not crash.happened.is_set():
        assert isinstance(outcome, Outcome), outcome
        assert outcome.converged, outcome
        return False
    await leave_the_lock_of_a_dead_process(cluster.store)
    return True


async def leave_the_lock_of_a_dead_process(store: Store) -> None:
    entry = await store.get(f"locks/{SHOP}")
    assert entry is not None, "a process that is killed revokes nothing"
    owner = msgspec.structs.replace(msgspec.json.decode(entry.value, type=Owner), started="long ago")
    await store.write(Put(key=entry.key, value=msgspec.json.encode(owner)))


async def shape(cluster: Cluster) -> dict[str, Any]:
    """All that people can see of the end of a run; ids and times left out."""
    containers = await cluster.containers()
    return {
        "containers": [
            (c.name, c.node, c.slot, c.state, c.config, sorted(c.networks), sorted(v.name for v in c.volumes))
            for c in containers
        ],
        "networks": {node: sorted(engine._networks) for node, engine in cluster.engines.items()},
        "volumes": {node: sorted(engine._volumes) for node, engine in cluster.engines.items()},
        "homes": await cluster.homes(),
        "declared": await Stacks(cluster.store).names(),
    }


async def run_through(verb: str, at: int, is_carried_out: bool) -> tuple[bool, dict[str, Any]]:
    cluster, most = world(), Counter[tuple[str, int]]()
    if verb != "deploy":
        assert (await cluster.up(stack())).converged
    runs = {c.name: c.started_mark for c in await cluster.containers()}
    async with cluster.control() as control:
        await VERBS[verb](control)
    has_crashed = await crashed(cluster, Crash(at, is_carried_out), most)
    if has_crashed and SHOP in await Stacks(cluster.store).names():
        assert not await crashed(cluster, Crash(0, False), most)
    assert most["db", 1] <= 1, "two containers at once on the data of db"
    if verb == "restart":
        assert all(c.started_mark != runs[c.name] for c in await cluster.containers())
    return has_crashed, await shape(cluster)


@pytest.mark.parametrize("verb", VERBS)
async def test_the_next_run_goes_on_where_a_crash_left_the_world(verb: str) -> None:
    _, expected = await run_through(verb, 0, False)
    crashes = 0
    for at in range(1, 100):
        ends = [await run_through(verb, at, is_carried_out) for is_carried_out in (True, False)]
        if not any(has_crashed for has_crashed, _ in ends):
            break
        for has_crashed, found in ends:
            crashes += has_crashed
            assert found == expected, f"after a crash at change {at}"
    assert crashes >= 4, "the verb changes nothing that could be crashed"
