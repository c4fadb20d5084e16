"""Which services have to be on one node: those that share a network of one host, a volume, mounts or a namespace.

A bridge network ends at its host, so what talks over it stays together; one that spans hosts ties nobody (see
`spanning`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set

from orchestrator.model.names import ServiceName
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import Mode, MountType, ServiceSpec, StackSpec


def groups(stack: StackSpec, tying: Set[str]) -> dict[ServiceName, frozenset[ServiceName]]:
    """Service -> all services that must be on its node, itself included. `tying`: keys of networks of one host."""
    by_tie: dict[str, list[ServiceName]] = defaultdict(list)
    for name, service in sorted(stack.services.items()):
        for tie in _ties(stack, service, tying):
            by_tie[tie].append(name)
    group = {name: frozenset({name}) for name in stack.services}
    for members in by_tie.values():
        joined = frozenset().union(*(group[name] for name in members))
        for name in joined:
            group[name] = joined
    return group


def _ties(stack: StackSpec, service: ServiceSpec, tying: Set[str]) -> Iterator[str]:
    """What holds services together, as text: equal text, one group. A global service is on every node anyway."""
    if service.mode is Mode.GLOBAL:
        return
    yield from (f"network {join.network}" for join in service.networks if join.network in tying)
    yield from (f"volume {volume.name}" for volume in mounted(stack, service) if volume.is_local)
    yield from (f"namespace {name}" for name in (service.name, *borrowed(service)))


def mounted(stack: StackSpec, service: ServiceSpec) -> Iterator[VolumeSpec]:
    """The stack's volumes that the service mounts."""
    sources = dict.fromkeys(mount.source for mount in service.mounts if mount.type is MountType.VOLUME)
    yield from (stack.volumes[source] for source in sources if source in stack.volumes)


def is_confined(stack: StackSpec, group: frozenset[ServiceName]) -> bool:
    """All its slots are on one node, however many there are: several services, or one whose data is at one place."""
    services = (stack.services[name] for name in group)
    has_home = (v.is_local and not v.is_per_slot for service in services for v in mounted(stack, service))
    return len(group) > 1 or any(has_home)


def borrowed(service: ServiceSpec) -> tuple[ServiceName, ...]:
    """Services whose namespaces (`network_mode`, `ipc` or `pid` of `service:x`) or mounts (`volumes_from`) it uses."""
    mounts = {ServiceName(lender.service) for lender in service.volumes_from if lender.service}
    return tuple(sorted({*namespaces(service), *mounts}))


def namespaces(service: ServiceSpec) -> tuple[ServiceName, ...]:
    """Of these, those whose containers have to run for its own to start."""
    modes = (service.network_mode, service.host.ipc, service.host.pid)
    return tuple(sorted({ServiceName(mode[len("service:") :]) for mode in modes if mode.startswith("service:")}))
