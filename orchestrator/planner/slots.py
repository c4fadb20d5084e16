"""Slots as they are: which container holds each one, which are on their way out, which are too many."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property

import msgspec

from orchestrator.model.cluster import Container, ContainerState, Health
from orchestrator.model.names import ServiceName, SlotNumber
from orchestrator.model.plan import Verdict
from orchestrator.planner.classify import Judgement, judge
from orchestrator.planner.world import World

HOLDERS = frozenset(
    {Verdict.KEEP, Verdict.START, Verdict.RESTART, Verdict.REST, Verdict.DONE, Verdict.FAILED, Verdict.WAIT}
)
"""Verdicts of a container that can hold its slot."""


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted slot. `holder` is of today's configuration; `leaving` are outdated, the best (running) first."""

    service: ServiceName
    number: SlotNumber
    holder: Judgement | None = None
    leaving: tuple[Judgement, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Traffic can go to its holder."""
        return self.holder is not None and self.holder.verdict is Verdict.KEEP and self.holder.container.is_ready

    @property
    def is_settled(self) -> bool:
        """Its holder needs nothing more: it is ready, done, or at rest."""
        return self.is_ready or (self.holder is not None and self.holder.verdict in (Verdict.DONE, Verdict.REST))


class Slots:
    """All containers of the stack, judged and sorted into their slots."""

    def __init__(self, world: World) -> None:
        self._world = world

    @cached_property
    def _judged(self) -> tuple[Judgement, ...]:
        return tuple(judge(self._world, container) for container in self._world.containers)

    @cached_property
    def wanted(self) -> dict[ServiceName, tuple[SlotState, ...]]:
        return {
            name: tuple(self._state(name, number) for number in numbers) for name, numbers in self._world.slots.items()
        }

    def _state(self, service: ServiceName, number: SlotNumber) -> SlotState:
        inside = self._by_slot[service, number]
        holders = sorted((j for j in inside if j.verdict in HOLDERS), key=_merit)
        leaving = sorted((j for j in inside if j.verdict is Verdict.REPLACE), key=_merit)
        return SlotState(service=service, number=number, holder=holders[0] if holders else None, leaving=tuple(leaving))

    @cached_property
    def _by_slot(self) -> dict[tuple[ServiceName, SlotNumber], list[Judgement]]:
        found: dict[tuple[ServiceName, SlotNumber], list[Judgement]] = defaultdict(list)
        for judgement in self._judged:
            found[judgement.container.service, judgement.container.slot].append(judgement)
        return found

    @cached_property
    def unwanted(self) -> tuple[Judgement, ...]:
        """Containers that have to go, whatever becomes of their slot."""
        direct = [j for j in self._judged if j.verdict in (Verdict.REMOVE, Verdict.SURPLUS)]
        return tuple(direct + self._doubles)

    @cached_property
    def orphans(self) -> tuple[Judgement, ...]:
        return tuple(j for j in self._judged if j.verdict is Verdict.ORPHAN)

    @cached_property
    def _doubles(self) -> list[Judgement]:
        doubles = []
        for states in self.wanted.values():
            for state in states:
                for other in self._by_slot[state.service, state.number]:
                    if other.verdict in HOLDERS - {Verdict.WAIT} and other is not state.holder:
                        doubles.append(
                            msgspec.structs.replace(
                                other, verdict=Verdict.SURPLUS, reason="another container has this slot"
                            )
                        )
        return doubles


def _merit(judgement: Judgement) -> tuple[bool, bool, bool, str, str]:
    """Sorts the container that serves best to the front; the oldest of equals, which has had the most traffic."""
    c = judgement.container
    return (not c.is_ready, not c.is_running, c.state is not ContainerState.CREATED, _moment(c), c.id)


def _moment(container: Container) -> str:
    return container.created_at.isoformat() if container.created_at else ""


def is_unhealthy(container: Container) -> bool:
    return container.state is ContainerState.RUNNING and container.health is Health.UNHEALTHY
