"""Which services have to be on one node: those that share a network, a volume, mounts or a namespace.

A bridge network ends at its host, so what talks over it stays together until networks span hosts (decision 0003).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from orchestrator.model.names import ServiceName
from orchestrator.model.spec import Mode, ServiceSpec
from orchestrator.planner.world import World


def groups(world: World) -> dict[ServiceName, frozenset[ServiceName]]:
    """Service -> all services that must be on its node, itself included."""
    by_tie: dict[str, list[ServiceName]] = defaultdict(list)
    for name, service in sorted(world.stack.services.items()):
        for tie in _ties(world, service):
            by_tie[tie].append(name)
    group = {name: frozenset({name}) for name in world.stack.services}
    for members in by_tie.values():
        joined = frozenset().union(*(group[name] for name in members))
        for name in joined:
            group[name] = joined
    return group


def _ties(world: World, service: ServiceSpec) -> Iterator[str]:
    """What holds services together, as text: equal text, one group. A global service is on every node anyway."""
    if service.mode is Mode.GLOBAL:
        return
    yield from (f"network {name}" for name in world.network_names(service))
    yield from (f"volume {name}" for name in world.volume_names(service))
    yield from (f"namespace {name}" for name in (service.name, *borrowed(service)))


def borrowed(service: ServiceSpec) -> tuple[ServiceName, ...]:
    """Services whose namespaces (`network_mode`, `ipc` or `pid` of `service:x`) or mounts (`volumes_from`) it uses."""
    mounts = {ServiceName(lender.service) for lender in service.volumes_from if lender.service}
    return tuple(sorted({*namespaces(service), *mounts}))


def namespaces(service: ServiceSpec) -> tuple[ServiceName, ...]:
    """Of these, those whose containers have to run for its own to start."""
    modes = (service.network_mode, service.host.ipc, service.host.pid)
    return tuple(sorted({ServiceName(mode[len("service:") :]) for mode in modes if mode.startswith("service:")}))
