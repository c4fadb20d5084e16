"""Which nodes can take a slot: rules in a table, each with words of its own and with what a person can do about it.

On the only node of a cluster placement and reservations are not asked for: there Docker Compose runs the same file, and
asks for neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from orchestrator.model.names import NodeName, ServiceName, SlotNumber
from orchestrator.model.spec import ServiceSpec
from orchestrator.planner.occupancy import Occupancy
from orchestrator.planner.ports import PortBook
from orchestrator.planner.world import World

Asks = Callable[[World, ServiceSpec], bool]
"""Whether a service wants something of a node that the rule looks at."""

Rule = Callable[["Filters", ServiceSpec, SlotNumber, NodeName], str]
"""Why the node can't take the slot, in words that complete "node1: ...", or empty."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node can't take a slot. `filter`: the name of the rule; `fix`: what helps against it."""

    filter: str
    reason: str
    fix: str = ""


class Filters:
    """The rules of `FILTERS`, applied to the nodes as they are filled so far."""

    def __init__(self, world: World, ports: PortBook, occupancy: Occupancy) -> None:
        self.world, self.ports, self.occupancy = world, ports, occupancy
        self._rules: dict[ServiceName, list[tuple[str, Rule, str]]] = {}

    def refusal(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> Refusal | None:
        """The first that refuses, or None."""
        return next(self.verdicts(service, slot, node), None)

    def verdicts(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> Iterator[Refusal]:
        """All that refuse, in the order of the table."""
        for name, rule, fix in self._rules_of(service):
            if reason := rule(self, service, slot, node):
                yield Refusal(filter=name, reason=reason, fix=fix)

    def _rules_of(self, service: ServiceSpec) -> list[tuple[str, Rule, str]]:
        if service.name not in self._rules:
            asked = [(name, rule, fix) for name, asks, rule, fix in FILTERS if asks(self.world, service)]
            self._rules[service.name] = asked
        return self._rules[service.name]

    def is_unfit(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> bool:
        """Something refuses other than a port, which the next step may free."""
        return any(refusal.filter != PORT for refusal in self.verdicts(service, slot, node))

    def is_too_small(self, services: Iterable[ServiceSpec], node: NodeName) -> bool:
        """All slots of the services together would reserve more than is free there."""
        members = [(service, slot) for service in services for slot in self.world.slots[service.name]]
        free = self.occupancy.free(node, but=tuple((service.name, slot) for service, slot in members))
        if free is None or self.world.is_lone:
            return False
        cpus = sum(service.resources.reserved_nano_cpus for service, _ in members)
        memory = sum(service.resources.reserved_memory_bytes for service, _ in members)
        return (cpus > 0 and cpus > free.nano_cpus) or (memory > 0 and memory > free.memory_bytes)


def _constraints(filters: Filters, service: ServiceSpec, _slot: SlotNumber, node: NodeName) -> str:
    return filters.world.unmet(service, node)


def _network(filters: Filters, _service: ServiceSpec, _slot: SlotNumber, node: NodeName) -> str:
    return filters.world.fabric.refusal(node)


def _limit(filters: Filters, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> str:
    most = service.placement.max_replicas_per_node
    if filters.occupancy.others(service.name, slot, node) < most:
        return ""
    return f"it has {most} of {service.name}, and max_replicas_per_node is {most}"


def _cpus(filters: Filters, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> str:
    wanted = service.resources.reserved_nano_cpus
    room = filters.occupancy.free(node, but=((service.name, slot),))
    if room is None or wanted <= room.nano_cpus:
        return ""
    left = _cpu(max(room.nano_cpus, 0))
    return f"needs {_cpu(wanted)}, {left} {'is' if left == '1 CPU' else 'are'} free"


def _memory(filters: Filters, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> str:
    wanted = service.resources.reserved_memory_bytes
    room = filters.occupancy.free(node, but=((service.name, slot),))
    if room is None or wanted <= room.memory_bytes:
        return ""
    return f"needs {_size(wanted)} of memory, {_size(max(room.memory_bytes, 0))} are free"


def _port(filters: Filters, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> str:
    return filters.ports.clash(service, slot, node)


def _of_many(asks: Callable[[ServiceSpec], object]) -> Asks:
    """Not asked on the only node of a cluster."""
    return lambda world, service: not world.is_lone and bool(asks(service))


PORT = "port"
PORTS = 'publish a range ("8080-8089:80"), or write "80" to let the engine choose, or stop what holds the port'
LABELS = 'label a node ("orch node update NODE --label-add KEY=VALUE"), or change deploy.placement.constraints'
LIMIT = "raise max_replicas_per_node, ask for fewer replicas, or add a node"
RESERVE = "reserve less (deploy.resources.reservations), or add a node"

FILTERS: tuple[tuple[str, Asks, Rule, str], ...] = (
    ("constraints", _of_many(lambda s: s.placement.constraints), _constraints, LABELS),
    ("network", lambda world, service: world.spans(service), _network, ""),
    ("cpus", _of_many(lambda s: s.resources.reserved_nano_cpus), _cpus, RESERVE),
    ("memory", _of_many(lambda s: s.resources.reserved_memory_bytes), _memory, RESERVE),
    ("replicas per node", _of_many(lambda s: s.placement.max_replicas_per_node), _limit, LIMIT),
    (PORT, lambda _, service: bool(service.ports), _port, PORTS),
)
"""(name, which services it is asked for, rule, fix), in the order in which they are asked."""


def _cpu(nano: int) -> str:
    amount = f"{nano / 10**9:.2f}".rstrip("0").rstrip(".")
    return f"{amount} CPU" if amount == "1" else f"{amount} CPUs"


def _size(amount: int) -> str:
    """`1.2 GiB`: down, so that what is free never looks like enough."""
    unit, factor = next((u, f) for u, f in UNITS if amount >= f or f == 1)
    tenths = amount * 10 // factor
    return f"{tenths // 10}.{tenths % 10} {unit}".replace(".0 ", " ")


UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("bytes", 1))
