"""Slots as they are: which container holds each one, which are on their way out, which are too many."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property

import msgspec

from orchestrator.model.cluster import Container, ContainerState, Health
from orchestrator.model.names import NodeName, ServiceName, SlotNumber, slot_name
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
    def subject(self) -> str:
        """`web.2`, under which it is blocked."""
        return slot_name(self.service, self.number)

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
        self.world = world

    @cached_property
    def _judged(self) -> tuple[Judgement, ...]:
        return tuple(judge(self.world, container) for container in self.world.containers)

    def state(self, service: ServiceName, number: SlotNumber) -> SlotState:
        """A wanted slot."""
        return self._by_number[service, number]

    @cached_property
    def _by_number(self) -> dict[tuple[ServiceName, SlotNumber], SlotState]:
        return {(state.service, state.number): state for states in self.wanted.values() for state in states}

    @cached_property
    def wanted(self) -> dict[ServiceName, tuple[SlotState, ...]]:
        return {
            name: tuple(self._state(name, number) for number in numbers) for name, numbers in self.world.slots.items()
        }

    def _state(self, service: ServiceName, number: SlotNumber) -> SlotState:
        inside = self._by_slot[service, number]
        holders = [j for j in inside if j.verdict in HOLDERS]
        if len(holders) > 1:
            seat = self._seat(service)
            holders.sort(key=lambda j: (not j.container.is_ready, j.container.node != seat, *_merit(j.container)))
        leaving = sorted((j for j in inside if j.verdict is Verdict.REPLACE), key=lambda j: _merit(j.container))
        return SlotState(service=service, number=number, holder=holders[0] if holders else None, leaving=tuple(leaving))

    def _seat(self, service: ServiceName) -> NodeName | None:
        """The node on which most of its group serves: a group that was lost and came back must not be split."""
        group = self.groups[service]
        serving = Counter(
            j.container.node
            for j in self._judged
            if j.container.service in group and j.verdict is Verdict.KEEP and j.container.is_ready
        )
        best = serving.most_common(2)
        is_clear = len(group) > 1 and bool(best) and best[0][1] > sum(count for _, count in best[1:])
        return best[0][0] if is_clear else None

    @property
    def groups(self) -> dict[ServiceName, frozenset[ServiceName]]:
        return self.world.groups

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
    def evicted(self) -> tuple[Judgement, ...]:
        """Running containers that have to stop before their successors are made: their network is made anew."""
        stale = self.world.stale_networks
        outdated = (j for j in self._judged if j.verdict is Verdict.REPLACE and j.container.is_running)
        return tuple(j for j in outdated if any((j.container.node, n) in stale for n in j.container.networks))

    def on(self, node: NodeName) -> list[Judgement]:
        """All containers of the stack that run on the node; a second one in a slot counts as surplus."""
        return self._running[node]

    @cached_property
    def _running(self) -> dict[NodeName, list[Judgement]]:
        found: dict[NodeName, list[Judgement]] = defaultdict(list)
        last = {judgement.container.id: judgement for judgement in (*self._judged, *self.unwanted)}
        for judgement in last.values():
            if judgement.container.is_running:
                found[judgement.container.node].append(judgement)
        return found

    @cached_property
    def unreachable(self) -> tuple[Judgement, ...]:
        """Containers that nobody wants, where nothing can be done about it now."""
        silent = (j for j in self._judged if j.verdict in (Verdict.WAIT, Verdict.LOST))
        return tuple(j for j in silent if self._is_unwanted(j))

    def _is_unwanted(self, judgement: Judgement) -> bool:
        """Of what is lost with its node only a removal of the whole stack has to know."""
        c, intent = judgement.container, self.world.intent
        if c.service not in self.world.stack.services:
            return intent.remove_orphans and (intent.removed or judgement.verdict is Verdict.WAIT)
        return intent.removed or (judgement.verdict is Verdict.WAIT and c.slot not in self.world.slots[c.service])

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


def _merit(c: Container) -> tuple[bool, bool, bool, float, str]:
    """Sorts the container that serves best to the front; the newest of equals: it took over from the others."""
    age = -c.created_at.timestamp() if c.created_at else 0.0
    return not c.is_ready, not c.is_running, c.state is not ContainerState.CREATED, age, c.id


def is_unhealthy(container: Container) -> bool:
    return container.state is ContainerState.RUNNING and container.health is Health.UNHEALTHY
