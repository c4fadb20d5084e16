"""World: one pass's snapshot, indexed once, with the questions that every part of the planner asks of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from functools import cached_property

from orchestrator.graph import ServiceGraph
from orchestrator.model.cluster import (
    Availability,
    ClusterState,
    Container,
    HeldPort,
    Image,
    Network,
    Node,
    NodeStatus,
    Volume,
)
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber
from orchestrator.model.spec import Intent, Mode, ServiceSpec
from orchestrator.planner.hashes import is_named, network_hash, service_hash, volume_hash


class World:
    """Intent, cluster and time of one pass. Every listing is sorted, so equal worlds answer equally."""

    def __init__(self, intent: Intent, cluster: ClusterState, now: datetime) -> None:
        self.intent, self.cluster, self.now = intent, cluster, now
        self.stack = intent.stack
        self.nodes: dict[NodeName, Node] = {node.name: node for node in sorted(cluster.nodes, key=lambda n: n.name)}

    @cached_property
    def graph(self) -> ServiceGraph:
        return ServiceGraph.of(self.stack)

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The stack's, oldest first within a slot."""
        ours = (c for c in self.cluster.containers if c.stack == self.stack.name)
        return tuple(sorted(ours, key=_age))

    @cached_property
    def by_service(self) -> dict[ServiceName, list[Container]]:
        found: dict[ServiceName, list[Container]] = defaultdict(list)
        for container in self.containers:
            found[container.service].append(container)
        return found

    @cached_property
    def images(self) -> dict[tuple[NodeName, str], Image]:
        return {(image.node, image.ref): image for image in self.cluster.images}

    @cached_property
    def networks(self) -> dict[tuple[NodeName, str], Network]:
        return {(network.node, network.name): network for network in self.cluster.networks}

    @cached_property
    def volumes(self) -> dict[tuple[NodeName, str], Volume]:
        return {(volume.node, volume.name): volume for volume in self.cluster.volumes}

    @cached_property
    def hashes(self) -> dict[ServiceName, Digest]:
        return {name: service_hash(self.stack, service) for name, service in self.stack.services.items()}

    @cached_property
    def network_hashes(self) -> dict[str, Digest]:
        """By the engine's name of the network."""
        return {network.name: network_hash(network) for network in self.stack.networks.values()}

    @cached_property
    def volume_hashes(self) -> dict[str, Digest]:
        """By the engine's name of the volume."""
        return {volume.name: volume_hash(volume) for volume in self.stack.volumes.values()}

    @cached_property
    def names(self) -> dict[NodeName, set[str]]:
        """Container names that the stack holds on each node."""
        found: dict[NodeName, set[str]] = defaultdict(set)
        for container in self.containers:
            found[container.node].add(container.name)
        return found

    def answers(self, node: NodeName) -> bool:
        """Operations may be sent to it."""
        return node in self.nodes and self.nodes[node].status is NodeStatus.READY

    @cached_property
    def usable_nodes(self) -> tuple[NodeName, ...]:
        """Those that may be given new containers."""
        active = (n for n in self.nodes.values() if n.availability is Availability.ACTIVE)
        return tuple(node.name for node in active if self.answers(node.name))

    def volume_names(self, service: ServiceSpec) -> tuple[str, ...]:
        """The engine's names of the stack's volumes that the service mounts."""
        names = {self.stack.volumes[m.source].name for m in service.mounts if is_named(self.stack, m)}
        return tuple(sorted(names))

    def network_names(self, service: ServiceSpec) -> tuple[str, ...]:
        """The engine's names of the service's networks, highest priority first."""
        joins = sorted(service.networks, key=lambda join: (-join.priority, join.network))
        return tuple(self.stack.networks[join.network].name for join in joins)

    def home(self, volume: str) -> NodeName | None:
        """The node that has the data of a volume: as remembered, or as seen."""
        if remembered := self.cluster.homes.get(volume):
            return remembered
        return next((node for node, name in sorted(self.volumes) if name == volume), None)

    def held_ports(self, node: NodeName) -> tuple[HeldPort, ...]:
        return self.cluster.held_ports.get(node, ())

    @cached_property
    def awaited(self) -> frozenset[ServiceName]:
        """Services whose successful end another one waits for."""
        return frozenset(
            edge.dependency for edge in self.graph.edges if edge.how.condition == "service_completed_successfully"
        )

    @cached_property
    def slots(self) -> dict[ServiceName, tuple[SlotNumber, ...]]:
        """The slots that each service should have. A global service's are assigned to nodes by `global_nodes`."""
        if self.intent.removed:
            return dict.fromkeys(self.stack.services, ())
        return {name: self._slots_of(service) for name, service in self.stack.services.items()}

    def _slots_of(self, service: ServiceSpec) -> tuple[SlotNumber, ...]:
        if service.mode is Mode.GLOBAL:
            return tuple(sorted(self.global_nodes(service.name)))
        return tuple(SlotNumber(number) for number in range(1, service.replicas + 1))

    def global_nodes(self, service: ServiceName) -> dict[SlotNumber, NodeName]:
        """Slot -> node of a global service: nodes that have one keep its number, the others take free numbers."""
        held = {c.slot: c.node for c in reversed(self.by_service[service]) if c.node in self.usable_nodes}
        kept = {node: slot for slot, node in sorted(held.items(), reverse=True)}
        free = (SlotNumber(n) for n in range(1, len(self.nodes) + len(held) + 1) if n not in held)
        for node in self.usable_nodes:
            if node not in kept:
                kept[node] = next(free)
        return {slot: node for node, slot in kept.items()}


def _age(container: Container) -> tuple[str, int, str, str, str]:
    created = container.created_at.isoformat() if container.created_at else ""
    return container.service, container.slot, created, container.node, container.id
