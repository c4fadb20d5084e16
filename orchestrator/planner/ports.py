"""Ports of the hosts: which ones a slot wants, and who has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from orchestrator.model.cluster import HeldPort
from orchestrator.model.names import NodeName, ServiceName, SlotNumber, slot_name
from orchestrator.model.spec import Port, ServiceSpec
from orchestrator.planner.slots import Slots
from orchestrator.planner.world import World

EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def wanted_ports(service: ServiceSpec, slot: SlotNumber) -> Iterator[HeldPort]:
    """The ports of the host that this slot will hold; those that the engine chooses are left out."""
    for port in service.ports:
        if port.published:
            yield HeldPort(port=published_port(port, slot), protocol=port.protocol, host_ip=port.host_ip)


def published_port(port: Port, slot: SlotNumber) -> int:
    """The slot-th port of a published range; beyond its end the last one, which is taken and says so."""
    first, _, last = port.published.partition("-")
    return min(int(first) + (slot - 1 if last else 0), int(last or first))


class PortBook:
    """Who has, or is promised, which port of which node."""

    def __init__(self, world: World, slots: Slots) -> None:
        self._world = world
        self._holders: dict[tuple[NodeName, int, str], list[tuple[HeldPort, str]]] = defaultdict(list)
        for node in world.nodes:
            for port in world.held_ports(node):
                self._note(node, port, "a container of another stack")
        for orphan in slots.orphans:
            for port in orphan.container.ports if orphan.container.is_running else ():
                self._note(orphan.container.node, port, orphan.container.name)
        for states in slots.wanted.values():
            for state in states:
                if state.holder is not None:
                    self.take(state.service, state.number, state.holder.container.node)

    def take(self, service: ServiceName, slot: SlotNumber, node: NodeName) -> None:
        """The slot will be on the node."""
        for port in wanted_ports(self._world.stack.services[service], slot):
            self._note(node, port, slot_name(service, slot))

    def clash(self, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> str:
        """Who has one of its ports there (`api.1 has port 80/tcp`), or empty."""
        own = slot_name(service.name, slot)
        for port in wanted_ports(service, slot):
            for held, holder in self._holders.get((node, port.port, port.protocol), ()):
                if holder != own and _share_address(port, held):
                    return f"{holder} has port {port.port}/{port.protocol}"
        return ""

    def _note(self, node: NodeName, port: HeldPort, holder: str) -> None:
        self._holders[node, port.port, port.protocol].append((port, holder))


def _share_address(a: HeldPort, b: HeldPort) -> bool:
    return a.host_ip == b.host_ip or a.host_ip in EVERYWHERE or b.host_ip in EVERYWHERE
