"""Where a new container goes: filters that explain themselves, then scorers, over the nodes that may be used.

A slot stays on the node where it is. A group of services (see `groups`) goes to one node: to the home of its volumes,
else to where most of it is, else to the best node. Source: DESIGN section 5; ties are broken by name. The filters are
in `filters`, what is where already in `occupancy`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from orchestrator.model.cluster import Container, NodeStatus
from orchestrator.model.names import NodeName, ServiceName, SlotNumber, slot_name
from orchestrator.model.plan import Verdict
from orchestrator.model.spec import Mode, ServiceSpec, Strategy
from orchestrator.planner.constraints import values
from orchestrator.planner.filters import FILTERS, PORTS, Filters, Refusal
from orchestrator.planner.groups import borrowed, is_confined
from orchestrator.planner.occupancy import Occupancy
from orchestrator.planner.ports import PortBook
from orchestrator.planner.slots import Slots, SlotState
from orchestrator.planner.world import World

__all__ = ["PORTS", "Placement", "Unplaceable", "lender"]


class Unplaceable(msgspec.Struct, frozen=True, kw_only=True):
    """No node can take the slot. `is_hopeless`: time alone won't change that."""

    reason: str
    fix: str = ""
    is_hopeless: bool = True


class Placement:
    """Places the slots of one plan, one after the other; what was placed before counts."""

    def __init__(self, world: World, slots: Slots) -> None:
        self._world, self._slots = world, slots
        self.ports, self._occupancy = PortBook(world, slots), Occupancy(world, slots)
        self._filters = Filters(world, self.ports, self._occupancy)
        self._homes: dict[frozenset[ServiceName], dict[str, NodeName]] = {}
        self._pins: dict[frozenset[ServiceName], NodeName] = {}
        for name, slot, node in world.creating:
            self._take(world.stack.services[name], slot, node)

    def place(self, service: ServiceSpec, slot: SlotNumber) -> NodeName | Unplaceable:
        """The node that should hold the slot, or why none can. One that is being made stays where that is."""
        if making := self._world.cluster.creating.get(slot_name(service.name, slot)):
            return making
        pinned = self._pinned(service, slot)
        if isinstance(pinned, Unplaceable):
            return pinned
        candidates = [pinned] if pinned else list(self._world.usable_nodes)
        found = {node: self._filters.refusal(service, slot, node) for node in candidates}
        fitting = [node for node in candidates if found[node] is None]
        if not fitting:
            return self._unplaceable({node: refusal for node, refusal in found.items() if refusal}, pinned)
        best = min(fitting, key=lambda node: self._score(service, node))
        self._take(service, slot, best)
        return best

    def _pinned(self, service: ServiceSpec, slot: SlotNumber) -> NodeName | Unplaceable | None:
        """The one node that comes into question, or None: any."""
        if service.mode is Mode.GLOBAL:
            node = self._world.global_nodes[service.name][slot]
            return node if self._is_usable(node) else self._unusable(node, "its place is")
        group = self._slots.groups[service.name]
        homes = self._homes_of(group, service, slot)
        if len(set(homes.values())) > 1:
            return Unplaceable(reason="its volumes are on different nodes: " + _pairs(homes), fix=ONE_HOME)
        for volume, home in homes.items():
            return home if self._is_usable(home) else self._unusable(home, f"the data of volume {volume} is")
        lenders = (lender(state) for name in borrowed(service) for state in self._slots.wanted[name])
        lent = next((c.node for c in lenders if c is not None and self._is_usable(c.node)), None)
        return lent or self._stays(service, slot) or self._group_node(group, service)

    def _is_usable(self, node: NodeName) -> bool:
        return node in self._world.usable_nodes

    def _unusable(self, node: NodeName, what: str) -> Unplaceable:
        """Of a node that has just fallen silent time will tell."""
        host = self._world.nodes.get(node)
        is_hopeless = host is None or host.status is not NodeStatus.SUSPECT
        return Unplaceable(reason=f"{what} on {node}, {_plight(self._world, node)}", is_hopeless=is_hopeless)

    def _homes_of(self, group: frozenset[ServiceName], service: ServiceSpec, slot: SlotNumber) -> dict[str, NodeName]:
        """Volume -> home, of the local volumes that have one: the slot's own, and all of a group that shares a node."""
        if len(group) == 1:
            return self._homes_at([(service, slot)])
        if group not in self._homes:
            services = (self._world.stack.services[name] for name in sorted(group))
            members = [(each, number) for each in services for number in self._world.slots[each.name]]
            self._homes[group] = self._homes_at([*members, (service, slot)])
        return self._homes[group]

    def _homes_at(self, members: list[tuple[ServiceSpec, SlotNumber]]) -> dict[str, NodeName]:
        volumes = {name: volume for member in members for name, volume in self._world.mounted(*member).items()}
        found = ((name, self._world.home(name)) for name, volume in sorted(volumes.items()) if volume.is_local)
        return {name: home for name, home in found if home is not None}

    def _stays(self, service: ServiceSpec, slot: SlotNumber) -> NodeName | None:
        """Where it is, unless the file has it go elsewhere now."""
        nodes = [judgement.container.node for judgement in self._slots.state(service.name, slot).leaving]
        usable = (node for node in nodes if node in self._world.usable_nodes)
        return next((node for node in usable if not self._filters.is_unfit(service, slot, node)), None)

    def _group_node(self, group: frozenset[ServiceName], service: ServiceSpec) -> NodeName | Unplaceable | None:
        if not is_confined(self._world.stack, group):
            return None
        if group not in self._pins:
            seat = self._seat(group)
            if seat is not None and not self._is_usable(seat):
                return self._unusable(seat, f"what it shares a network or volume with ({_others(group, service)}) is")
            if not self._world.usable_nodes:
                return None
            self._pins[group] = min(self._world.usable_nodes, key=lambda node: self._group_score(group, node))
        return self._pins[group]

    def _seat(self, group: frozenset[ServiceName]) -> NodeName | None:
        """Where most of the group is, also if that node can't be used just now; None while it is nowhere."""
        places = Counter(c.node for name in group for c in self._world.by_service[name] if self._may_return(c.node))
        places.update(node for name, _, node in self._world.creating if name in group)
        return min(places, key=lambda node: (-places[node], not self._is_usable(node), node), default=None)

    def _may_return(self, node: NodeName) -> bool:
        return node in self._world.nodes and self._world.nodes[node].status is not NodeStatus.DOWN

    def _group_score(self, group: frozenset[ServiceName], node: NodeName) -> tuple[object, ...]:
        """Its seat; else where all of it may go, it has begun, its ports are free, least is, and its images are."""
        services = [self._world.stack.services[name] for name in sorted(group)]
        wanted = [service for service in services if service.replicas]
        unfit = sum(self._filters.is_unfit(service, SlotNumber(1), node) for service in wanted)
        clashes = sum(bool(self.ports.clash(service, SlotNumber(1), node)) for service in wanted)
        images = sum((node, s.image) in self._world.images for s in services)
        begun = sum(self._has_network(node, name) for s in services for name in self._world.network_names(s))
        is_cramped = self._filters.is_too_small(services, node)
        fills = any(service.placement.strategy is Strategy.BINPACK for service in services)
        room = self._room(node, fills=fills)
        return node != self._seat(group), unfit, is_cramped, -begun, clashes, *room, -images, node

    def _room(self, node: NodeName, *, fills: bool) -> tuple[float, int]:
        """What is reserved there and how many containers run, or the opposite where nodes are to be filled."""
        sign = -1 if fills else 1
        return sign * self._occupancy.share(node), sign * self._occupancy.load[node]

    def _has_network(self, node: NodeName, name: str) -> bool:
        return (node, name) in self._world.networks or self._world.cluster.creating.get(f"network {name}") == node

    def _score(self, service: ServiceSpec, node: NodeName) -> tuple[object, ...]:
        """Even over what is to be spread; then fewest of this service, room, the image is there, and the name.

        Where nodes are to be filled, the fullest comes first, however many of this service it has.
        """
        fills = service.placement.strategy is Strategy.BINPACK
        count = 0 if fills else self._occupancy.containers[node, service.name]
        absent = (node, service.image) not in self._world.images
        return *self._spread(service, node), count, *self._room(node, fills=fills), absent, node

    def _spread(self, service: ServiceSpec, node: NodeName) -> Iterator[int]:
        """For each level: slots of the service on nodes with the same values, here and at the levels above."""
        alike = list(self._world.nodes.values())
        for key in service.placement.spread:
            own = values(self._world.nodes[node], key)
            alike = [other for other in alike if values(other, key) == own]
            yield sum(self._occupancy.slots(service.name, other.name) for other in alike)

    def _take(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> None:
        self._occupancy.take(service, slot, node)
        self.ports.take(service.name, slot, node)

    def _unplaceable(self, refusals: dict[NodeName, Refusal], pinned: NodeName | None) -> Unplaceable:
        if not refusals:
            silent = ", ".join(f"{n.name} {_plight(self._world, n.name)}" for n in self._world.nodes.values())
            return Unplaceable(reason=f"no node can be used: {silent or 'there is none'}")
        reasons = {node: refusal.reason for node, refusal in refusals.items()}
        why = "; ".join(sorted(f"{_nodes(reasons, reason)}: {reason}" for reason in set(reasons.values())))
        fixes = {refusal.fix for refusal in refusals.values()}
        fix = ", or ".join(fix for fix in dict.fromkeys(fix for *_, fix in FILTERS) if fix and fix in fixes)
        if pinned and len(self._world.usable_nodes) > 1:
            return Unplaceable(reason=f"it can only be on {why}", fix=fix)
        return Unplaceable(reason=f"no node can take it: {why}", fix=fix)


ONE_HOME = "keep what shares volumes on one node: move the data, or name a volume anew"


def lender(state: SlotState, node: NodeName | None = None) -> Container | None:
    """The slot's container of today's configuration, on that node, so that another one can live in its namespaces."""
    holder = state.holder
    if holder is None or holder.verdict in (Verdict.WAIT, Verdict.REST) or node not in (None, holder.container.node):
        return None
    return holder.container


def _plight(world: World, node: NodeName) -> str:
    if node not in world.nodes:
        return "which is no node of this cluster"
    status = world.nodes[node].status
    if status is NodeStatus.READY:
        return f"which is on {world.nodes[node].availability}"
    return "which does not answer" + (f" ({world.nodes[node].trouble})" if world.nodes[node].trouble else "")


def _others(group: frozenset[ServiceName], service: ServiceSpec) -> str:
    return ", ".join(sorted(group - {service.name})) or "its other containers"


def _nodes(reasons: dict[NodeName, str], why: str) -> str:
    return ", ".join(sorted(node for node, reason in reasons.items() if reason == why))


def _pairs(homes: dict[str, NodeName]) -> str:
    return ", ".join(f"{volume} on {node}" for volume, node in sorted(homes.items()))
