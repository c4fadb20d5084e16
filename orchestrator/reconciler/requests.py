"""A slot of the stack as the request that an engine understands: every name of the file turned into the engine's."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.model.cluster import OVERLAY
from orchestrator.model.names import (
    COMPOSE_NETWORK,
    COMPOSE_VOLUME,
    REPLACES,
    ContainerId,
    ServiceName,
    SlotNumber,
    container_labels,
    resource_labels,
)
from orchestrator.model.operations import CreateContainer
from orchestrator.model.shared import IpamPool, NetworkSpec, VolumeSpec
from orchestrator.model.spec import Attachment, Intent, RestartPolicy, ServiceSpec, StackSpec, VolumesFrom
from orchestrator.planner import network_hash, volume_hash

SERVICE_PREFIX = "service:"
Lenders = Mapping[ServiceName, ContainerId]


def container_request(intent: Intent, operation: CreateContainer) -> ContainerRequest:
    """What `operation` asks of its node."""
    stack, service = intent.stack, intent.stack.services[operation.service]
    labels = container_labels(stack.name, service.name, operation.slot, intent.revision, operation.config)
    if operation.replaces:
        labels[REPLACES] = operation.replaces
    lenders = operation.lenders
    networks = _joins(stack, service, operation.slot)
    if operation.spans:
        service = replace(service, restart=RestartPolicy())
    return ContainerRequest(
        name=operation.name,
        service=service,
        slot=operation.slot,
        labels=labels,
        volumes={key: volume.name_for(operation.slot) for key, volume in stack.volumes.items()},
        inherits=operation.inherits,
        networks=networks,
        network_mode=_resolved(service.network_mode, lenders),
        ipc=_resolved(service.host.ipc, lenders),
        pid=_resolved(service.host.pid, lenders),
        links=() if networks else tuple(f"{link.target}:{link.alias}" for link in service.links),
        volumes_from=tuple(_lender(lender, lenders) for lender in service.volumes_from),
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
    return NetworkJoin(
        name=stack.networks[attachment.network].name,
        attachment=attachment,
        aliases=tuple(names),
        links=tuple(f"{link.target}:{link.alias}" for link in service.links if link.alias != link.target),
    )


def _resolved(mode: str, lenders: Lenders) -> str:
    """`service:db` -> `container:<id>` of the container that the plan chose."""
    name = mode.removeprefix(SERVICE_PREFIX)
    return mode if name == mode else f"container:{lenders[ServiceName(name)]}"


def _lender(lender: VolumesFrom, lenders: Lenders) -> str:
    name = lender.container or lenders[ServiceName(lender.service)]
    return f"{name}:ro" if lender.read_only else name


def across(network: NetworkSpec, subnet: str) -> NetworkSpec:
    """The network as an overlay that plain containers may join; `subnet` empty: the file gives it one."""
    pools = (IpamPool(subnet=subnet),) if subnet else network.ipam
    return replace(network, driver=OVERLAY, attachable=True, ipam=pools)


def network_labels(stack: StackSpec, network: NetworkSpec) -> dict[str, str]:
    return {**network.labels, **resource_labels(stack.name, COMPOSE_NETWORK, network.key, network_hash(network))}


def volume_labels(stack: StackSpec, volume: VolumeSpec) -> dict[str, str]:
    return {**volume.labels, **resource_labels(stack.name, COMPOSE_VOLUME, volume.key, volume_hash(volume))}
