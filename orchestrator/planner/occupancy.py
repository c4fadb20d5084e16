"""What is where, and what was promised since: containers, the slots of each service, what they reserve."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from orchestrator.model.names import NodeName, ServiceName, SlotNumber
from orchestrator.model.plan import Verdict
from orchestrator.model.spec import Resources, ServiceSpec
from orchestrator.planner.slots import Slots
from orchestrator.planner.world import World


class Room(NamedTuple):
    """What nobody has reserved."""

    nano_cpus: int
    memory_bytes: int


class Occupancy:
    """The nodes as one plan fills them. A slot has a seat from the moment that its container is planned."""

    def __init__(self, world: World, slots: Slots) -> None:
        self._world = world
        there = [c for c in world.containers if world.answers(c.node)]
        self.containers: Counter[tuple[NodeName, ServiceName]] = Counter((c.node, c.service) for c in there)
        self.load: Counter[NodeName] = Counter(c.node for c in there)
        self._seats: dict[tuple[ServiceName, SlotNumber], NodeName] = {}
        self._slots: Counter[tuple[NodeName, ServiceName]] = Counter()
        self._nano_cpus: Counter[NodeName] = Counter()
        self._memory: Counter[NodeName] = Counter()
        for states in slots.wanted.values():
            for state in states:
                found = (state.holder, *state.leaving)
                seats = (j.container.node for j in found if j is not None and j.verdict is not Verdict.DONE)
                if (node := next(seats, None)) is not None:
                    self._sit(world.stack.services[state.service], state.number, node)

    def take(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> None:
        """A container of the slot is going to be on the node."""
        self.containers[node, service.name] += 1
        self.load[node] += 1
        if before := self._seats.get((service.name, slot)):
            self._change(service, before, -1)
        self._sit(service, slot, node)

    def _sit(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> None:
        self._seats[service.name, slot] = node
        self._change(service, node, 1)

    def _change(self, service: ServiceSpec, node: NodeName, by: int) -> None:
        self._slots[node, service.name] += by
        self._nano_cpus[node] += by * service.resources.reserved_nano_cpus
        self._memory[node] += by * service.resources.reserved_memory_bytes

    def slots(self, service: ServiceName, node: NodeName) -> int:
        """How many slots of the service have their seat there."""
        return self._slots[node, service]

    def others(self, service: ServiceName, slot: SlotNumber, node: NodeName) -> int:
        """The same without this slot."""
        return self._slots[node, service] - (self._seats.get((service, slot)) == node)

    def free(self, node: NodeName, *, but: tuple[tuple[ServiceName, SlotNumber], ...]) -> Room | None:
        """What nobody has reserved of the node; `but`: slots that do not count. None: its size is not known."""
        facts = self._world.nodes[node].facts
        if facts is None:
            return None
        own = [self._resources(name) for name, slot in but if self._seats.get((name, slot)) == node]
        return Room(
            nano_cpus=facts.cpus * 10**9 - self._nano_cpus[node] + sum(each.reserved_nano_cpus for each in own),
            memory_bytes=facts.memory_bytes - self._memory[node] + sum(each.reserved_memory_bytes for each in own),
        )

    def _resources(self, service: ServiceName) -> Resources:
        return self._world.stack.services[service].resources

    def share(self, node: NodeName) -> float:
        """How much of the node is reserved, 0 to 1: of its CPUs or of its memory, whichever is scarcer."""
        facts = self._world.nodes[node].facts
        if facts is None or not facts.cpus or not facts.memory_bytes:
            return 0.0
        return max(self._nano_cpus[node] / (facts.cpus * 10**9), self._memory[node] / facts.memory_bytes)
