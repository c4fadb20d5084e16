"""`preview`: a plan followed to its end by folding it over `simulate`, so that people see a rollout as waves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import TypeGuard

from orchestrator.model.cluster import ClusterState
from orchestrator.model.names import NodeName, ServiceName, slot_name
from orchestrator.model.operations import (
    AnyOperation,
    ConnectNetwork,
    CreateContainer,
    MoveVolume,
    PinNetwork,
    RemoveContainer,
    RemoveCopy,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
)
from orchestrator.model.plan import Preview, Step
from orchestrator.model.spec import Intent
from orchestrator.planner.plan import plan
from orchestrator.planner.simulate import settle, simulate
from orchestrator.planner.world import World

MOST_WAVES = 10_000
"""A plan that has not ended by then never will: a broken promise of the planner."""


def preview(intent: Intent, cluster: ClusterState, *, now: datetime) -> Preview:
    """All steps that lead from `cluster` to what is wanted, if each one goes well, with what each waits for."""
    steps: list[Step] = []
    wave = 0
    for _ in range(MOST_WAVES):
        decided = plan(intent, cluster, now=now)
        if not decided.operations:
            later = settle(intent, cluster, now)
            if later == cluster:
                return Preview(steps=tuple(steps), blocked=decided.blocked)
            cluster = later
            continue
        wave += 1
        after = _Predecessors(World(intent, cluster, now), steps)
        steps += [
            Step(number=len(steps) + at, wave=wave, operation=operation, after=after.of(operation))
            for at, operation in enumerate(decided.operations, start=1)
        ]
        cluster = simulate(intent, cluster, decided.operations, now)
    raise AssertionError(f"the plan of {intent.stack.name} does not come to an end")


class _Predecessors:
    """Which earlier steps an operation waits for: the last ones on what it works on and on what it needs."""

    def __init__(self, world: World, steps: list[Step]) -> None:
        self._world = world
        self._last: dict[str, int] = {}
        self._exits: dict[NodeName, dict[str, int]] = defaultdict(dict)
        self._stops: dict[ServiceName, set[int]] = defaultdict(set)
        for step in steps:
            self._last |= dict.fromkeys(_brings(step.operation), step.number)
            if _is_stop(step.operation):
                self._stops[step.operation.service].add(step.number)
            if isinstance(step.operation, StopContainer | RemoveContainer):
                self._exits[step.operation.node][step.operation.container] = step.number

    def of(self, operation: AnyOperation) -> tuple[int, ...]:
        if isinstance(operation, RemoveNetwork | RemoveVolume):
            return tuple(sorted(self._exits[operation.node].values()))
        if isinstance(operation, MoveVolume):
            return tuple(sorted(self._exits[operation.source].values()))
        needs = {operation.target, _place(operation), *self._needs(operation)}
        known = {self._last[key] for key in needs if key in self._last}
        return tuple(sorted(known | self._stops_before(operation)))

    def _stops_before(self, operation: AnyOperation) -> set[int]:
        """On the way down dependents go first."""
        if not _is_stop(operation) or operation.service not in self._world.stack.services:
            return set()
        users = self._world.graph.dependents[operation.service]
        return {number for user in users for number in self._stops[user]}

    def _needs(self, operation: AnyOperation) -> Iterator[str]:
        if isinstance(operation, RemoveCopy):
            yield f"{self._world.home(operation.name)}/volume/{operation.name}"
        elif isinstance(operation, CreateContainer):
            service = self._world.stack.services[operation.service]
            yield f"{operation.node}/image/{service.image}"
            names = self._world.network_names(service)
            yield from (f"{node}/network/{name}" for name in names for node in (operation.node, self._maker(name)))
            yield from (f"{operation.node}/volume/{name}" for name in self._world.mounted(service, operation.slot))
            yield from (f"start {slot_name(name, n)}" for name in operation.lenders for n in self._world.slots[name])
        elif isinstance(operation, ConnectNetwork):
            yield f"{operation.node}/network/{operation.network}"
        elif isinstance(operation, PinNetwork):
            yield f"{self._maker(operation.name)}/network/{operation.name}"
        elif isinstance(operation, StartContainer):
            service = self._world.stack.services[operation.service]
            yield from (f"{operation.node}/pin/{name}" for name in self._world.network_names(service))
            for dependency in self._world.graph.dependencies[operation.service]:
                yield from (f"start {slot_name(dependency, n)}" for n in self._world.slots[dependency])

    def _maker(self, network: str) -> NodeName:
        """Where a network that spans hosts was made."""
        found = self._world.overlays.get(network)
        return found.node if found else NodeName("")


def _brings(operation: AnyOperation) -> Iterator[str]:
    """What later steps may have to wait for."""
    yield operation.target
    yield _place(operation)
    if isinstance(operation, StartContainer):
        yield f"start {operation.subject}"


def _is_stop(operation: AnyOperation) -> TypeGuard[StopContainer | RemoveContainer]:
    return isinstance(operation, StopContainer) or (isinstance(operation, RemoveContainer) and operation.force)


def _place(operation: AnyOperation) -> str:
    """A slot on its node, whichever of its containers is meant."""
    return f"{operation.node}/{operation.subject}"
