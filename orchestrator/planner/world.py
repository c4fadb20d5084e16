"""World: one pass's snapshot, indexed once, with the questions that every part of the planner asks of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.graph import ServiceGraph
from orchestrator.model.cluster import (
    Availability,
    ClusterState,
    Container,
    HeldPort,
    Image,
    Move,
    Network,
    Node,
    NodeStatus,
    Volume,
)
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber
from orchestrator.model.shared import NetworkSpec, VolumeSpec
from orchestrator.model.spec import Intent, Mode, ServiceSpec
from orchestrator.planner.constraints import unmet
from orchestrator.planner.groups import groups, mounted
from orchestrator.planner.hashes import network_hash, service_hash, volume_hash
from orchestrator.planner.spanning import spanning

if TYPE_CHECKING:
    from orchestrator.planner.fabric import Fabric


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
        """By the volume's key in the stack."""
        return {key: volume_hash(volume) for key, volume in self.stack.volumes.items()}

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

    @property
    def is_lone(self) -> bool:
        """The cluster is one host, which takes what Docker Compose would run there."""
        return len(self.nodes) == 1

    def unmet(self, service: ServiceSpec, node: NodeName) -> str:
        """Which of the service's constraints the node does not meet, in words, or empty."""
        return "" if self.is_lone else unmet(self.nodes[node], service.placement.constraints)

    @cached_property
    def spanning(self) -> frozenset[str]:
        """The engine's names of the stack's networks that span hosts."""
        return frozenset(self.stack.networks[key].name for key in spanning(self.intent)) | self._external_overlays

    @cached_property
    def _external_overlays(self) -> frozenset[str]:
        names = {network.name for network in self.stack.networks.values() if network.external}
        return frozenset(name for (_, name), found in self.networks.items() if name in names and found.spans)

    def spans(self, service: ServiceSpec) -> bool:
        """It is on a network that spans hosts."""
        return not self.spanning.isdisjoint(self.network_names(service))

    @cached_property
    def overlays(self) -> dict[str, Network]:
        """Networks that span hosts, by name, as a node shows them that manages them, or else any that is on them."""
        found = sorted((n for n in self.networks.values() if n.spans), key=lambda n: self.manages(n.node))
        return {network.name: network for network in found}

    def manages(self, node: NodeName) -> bool:
        """It answers, and is one of the managers of the swarm that carries networks across hosts."""
        facts = self.nodes[node].facts if self.answers(node) else None
        return facts is not None and facts.swarm.is_manager

    @cached_property
    def fabric(self) -> Fabric:
        """The swarm that carries networks across hosts."""
        from orchestrator.planner.fabric import Fabric

        return Fabric(self)

    @cached_property
    def groups(self) -> dict[ServiceName, frozenset[ServiceName]]:
        """Service -> all services that must be on its node."""
        tying = {key for key, network in self.stack.networks.items() if network.name not in self.spanning}
        return groups(self.stack, tying)

    @cached_property
    def stale_networks(self) -> frozenset[tuple[NodeName, str]]:
        """(node, name) of networks of ours that the stack describes otherwise now."""
        ours = {network.name: network for network in self.stack.networks.values()}
        found = ((key, network, ours.get(network.name)) for key, network in self.networks.items() if network.config)
        return frozenset(key for key, network, wanted in found if wanted and self._is_stale(network, wanted))

    def _is_stale(self, network: Network, wanted: NetworkSpec) -> bool:
        """Its description changed, or it ends at its host and shall not, or the other way round."""
        is_other_kind = network.spans != (wanted.name in self.spanning)
        return network.config != self.network_hashes[wanted.name] or is_other_kind

    def mounted(self, service: ServiceSpec, slot: SlotNumber) -> dict[str, VolumeSpec]:
        """Engine name -> description of the stack's volumes that the slot mounts, in the order of the names."""
        found = {volume.name_for(slot): volume for volume in mounted(self.stack, service)}
        return dict(sorted(found.items()))

    @cached_property
    def moving(self) -> dict[str, Move]:
        """Volumes of the stack whose data is to leave its home; what uses them stops. To a node that is gone: none."""
        return {name: move for name, move in sorted(self.cluster.moves.items()) if self._is_leaving(name, move)}

    def _is_leaving(self, name: str, move: Move) -> bool:
        target = self.nodes.get(move.target)
        is_there = target is not None and target.status is not NodeStatus.DOWN
        is_ours = any(volume.covers(name) for volume in self.stack.volumes.values())
        return is_ours and is_there and self.cluster.homes.get(name) == move.source and not self.intent.removed

    def moving_of(self, service: ServiceSpec, slot: SlotNumber) -> str:
        """A volume that is moving and that the slot, or another one that has to be on its node, mounts; or empty."""
        group = self.groups[service.name] if self.moving else ()
        others = (self.stack.services[name] for name in sorted(group) if name != service.name)
        members = [(service, slot), *((other, number) for other in others for number in self.slots[other.name])]
        return next((name for name in self.moving for member in members if name in self.mounted(*member)), "")

    def network_names(self, service: ServiceSpec) -> tuple[str, ...]:
        """The engine's names of the service's networks, highest priority first."""
        joins = sorted(service.networks, key=lambda join: (-join.priority, join.network))
        return tuple(self.stack.networks[join.network].name for join in joins)

    def home(self, volume: str) -> NodeName | None:
        """The node that has the data of a volume: as remembered, or else where it is in use, or else where it is."""
        if remembered := self.cluster.homes.get(volume):
            return remembered
        seen = [node for node, name in sorted(self.volumes) if name == volume]
        held = [node for node in seen if (node, volume) in self._held_volumes]
        return next(iter(held or seen), None) or self.cluster.creating.get(f"volume {volume}")

    @cached_property
    def _held_volumes(self) -> frozenset[tuple[NodeName, str]]:
        return frozenset((c.node, held.name) for c in self.containers for held in c.volumes)

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
            return tuple(sorted(self.global_nodes[service.name]))
        return tuple(SlotNumber(number) for number in range(1, service.replicas + 1))

    @cached_property
    def global_nodes(self) -> dict[ServiceName, dict[SlotNumber, NodeName]]:
        """Slot -> node of each global service."""
        services = self.stack.services.values()
        return {s.name: self._global_nodes(s) for s in services if s.mode is Mode.GLOBAL}

    def _global_nodes(self, service: ServiceSpec) -> dict[SlotNumber, NodeName]:
        """Nodes that have one keep its number, also paused and silent ones; those that lack one take free numbers.

        Only nodes that meet its constraints count, and silent ones, of which too little may be known.
        """
        making = {slot: node for name, slot, node in self.creating if name == service.name}
        found = {c.slot: c.node for c in reversed(self.by_service[service.name])}
        taken = {**making, **found}
        held = {slot: node for slot, node in taken.items() if self._keeps(service, node)}
        kept = {node: slot for slot, node in sorted(held.items(), reverse=True)}
        free = (SlotNumber(n) for n in range(1, len(self.nodes) + len(taken) + 1) if n not in taken)
        for node in self.usable_nodes:
            if node not in kept and not self.unmet(service, node):
                kept[node] = next(free)
        return {slot: node for node, slot in kept.items()}

    def _keeps(self, service: ServiceSpec, node: NodeName) -> bool:
        """What is there already may stay: the node is neither gone nor drained. Source: semantics.md 3.6."""
        host = self.nodes.get(node)
        if host is None or host.status is NodeStatus.DOWN or host.availability is Availability.DRAIN:
            return False
        return not self.answers(node) or not self.unmet(service, node)

    @cached_property
    def creating(self) -> tuple[tuple[ServiceName, SlotNumber, NodeName], ...]:
        """Containers that are being made right now."""
        parts = ((subject.rpartition("."), node) for subject, node in sorted(self.cluster.creating.items()))
        slots = ((name, number, node) for (name, _, number), node in parts if name in self.stack.services)
        return tuple((ServiceName(name), SlotNumber(int(number)), node) for name, number, node in slots)


def _age(container: Container) -> tuple[str, int, str, str, str]:
    created = container.created_at.isoformat() if container.created_at else ""
    return container.service, container.slot, created, container.node, container.id
