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
    slot_name,
)
from orchestrator.model.plan import CreateContainer
from orchestrator.model.spec import Attachment, Intent, NetworkSpec, ServiceSpec, StackSpec, VolumeSpec
from orchestrator.planner import network_hash, volume_hash

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
        network_mode=_resolved(service.network_mode, there),
        ipc=_resolved(service.host.ipc, there),
        pid=_resolved(service.host.pid, there),
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


def _resolved(mode: str, containers: list[Container]) -> str:
    """`service:db` -> `container:<id>` of db's newest container on the same node."""
    if not mode.startswith(SERVICE_PREFIX):
        return mode
    lender = ServiceName(mode[len(SERVICE_PREFIX) :])
    newest = [c for c in containers if c.service == lender][-1:]
    assert newest, f"{slot_name(lender, containers[0].slot) if containers else lender} was placed before its borrower"
    return f"container:{newest[0].id}"


def network_labels(stack: StackSpec, network: NetworkSpec) -> dict[str, str]:
    return {**network.labels, **resource_labels(stack.name, COMPOSE_NETWORK, network.key, network_hash(network))}


def volume_labels(stack: StackSpec, volume: VolumeSpec) -> dict[str, str]:
    return {**volume.labels, **resource_labels(stack.name, COMPOSE_VOLUME, volume.key, volume_hash(volume))}
