"""A slot of the stack as the request that an engine understands: every name of the file turned into the engine's."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.model.cluster import Container
from orchestrator.model.names import (
    COMPOSE_NETWORK,
    COMPOSE_VOLUME,
    REPLACES,
    ServiceName,
    SlotNumber,
    container_labels,
    resource_labels,
)
from orchestrator.model.plan import CreateContainer
from orchestrator.model.spec import Attachment, Intent, NetworkSpec, ServiceSpec, StackSpec, VolumeSpec
from orchestrator.planner import network_hash, service_hash, volume_hash

SERVICE_PREFIX = "service:"


def container_request(intent: Intent, operation: CreateContainer, containers: Iterable[Container]) -> ContainerRequest:
    """What `operation` asks of its node. `containers`: those that exist, to find whose namespace is borrowed."""
    stack, service = intent.stack, intent.stack.services[operation.service]
    labels = container_labels(stack.name, service.name, operation.slot, intent.revision, operation.config)
    if operation.replaces:
        labels[REPLACES] = operation.replaces
    there = [c for c in containers if c.node == operation.node]
    return ContainerRequest(
        name=operation.name,
        service=service,
        slot=operation.slot,
        labels=labels,
        volumes={key: volume.name for key, volume in stack.volumes.items()},
        inherits=operation.inherits,
        networks=_joins(stack, service, operation.slot),
        network_mode=_resolved(stack, service.network_mode, there),
        ipc=_resolved(stack, service.host.ipc, there),
        pid=_resolved(stack, service.host.pid, there),
    )


def network_join(stack: StackSpec, service: ServiceSpec, name: str, slot: SlotNumber) -> NetworkJoin:
    """The attachment of a service to the network that the engine calls `name`."""
    attachment = next(a for a in service.networks if stack.networks[a.network].name == name)
    return _join(stack, service, attachment, slot)


def _joins(stack: StackSpec, service: ServiceSpec, slot: SlotNumber) -> tuple[NetworkJoin, ...]:
    ordered = sorted(service.networks, key=lambda a: (-a.priority, a.network))
    return tuple(_join(stack, service, attachment, slot) for attachment in ordered)


def _join(stack: StackSpec, service: ServiceSpec, attachment: Attachment, slot: SlotNumber) -> NetworkJoin:
    """It answers to the service's name, the slot's (`web-2`) and what the file adds; its own name works anyway."""
    names = dict.fromkeys((service.name, f"{service.name}-{slot}", *attachment.aliases))
    return NetworkJoin(name=stack.networks[attachment.network].name, attachment=attachment, aliases=tuple(names))


def _resolved(stack: StackSpec, mode: str, containers: list[Container]) -> str:
    """`service:db` -> `container:<id>` of db's first slot on the same node: its newest one of today's configuration."""
    if not mode.startswith(SERVICE_PREFIX):
        return mode
    lender = stack.services[ServiceName(mode[len(SERVICE_PREFIX) :])]
    today = service_hash(stack, lender)
    there = [c for c in containers if c.service == lender.name]
    assert there, f"{lender.name} is made before who lives in its namespace"
    best = max(there, key=lambda c: (c.config == today, -c.slot, c.created_at.isoformat() if c.created_at else ""))
    return f"container:{best.id}"


def network_labels(stack: StackSpec, network: NetworkSpec) -> dict[str, str]:
    return {**network.labels, **resource_labels(stack.name, COMPOSE_NETWORK, network.key, network_hash(network))}


def volume_labels(stack: StackSpec, volume: VolumeSpec) -> dict[str, str]:
    return {**volume.labels, **resource_labels(stack.name, COMPOSE_VOLUME, volume.key, volume_hash(volume))}
