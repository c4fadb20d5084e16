"""What a node lacks of the networks that a service is on: of one host, or spanning hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from orchestrator.model.cluster import Container, Network
from orchestrator.model.names import NodeName, slot_name
from orchestrator.model.operations import FABRIC, CreateNetwork, PinNetwork, RemoveNetwork, UnpinNetwork
from orchestrator.model.shared import NetworkSpec
from orchestrator.model.spec import ServiceSpec
from orchestrator.planner.draft import Lack, Missing
from orchestrator.planner.world import World

SUBNET_BITS = 22
"""Room for 1,000 containers in each network that spans hosts."""


def missing_networks(world: World, service: ServiceSpec, node: NodeName, *, to_start: bool) -> Iterator[Missing]:
    """to_start: what a container needs that is to run; to be made it needs less."""
    for join in service.networks:
        network = world.stack.networks[join.network]
        if network.name in world.spanning:
            yield from _across(world, network, service, node, to_start=to_start)
        else:
            yield from _on_host(world, network, service, node)


def _on_host(world: World, network: NetworkSpec, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    found = world.networks.get((node, network.name))
    if network.external:
        if found is None:
            yield Lack(
                what=f"external network {network.name} is not on {node}",
                fix=f'make it there ("docker network create {network.name}"), or drop "external: true"',
            )
    elif found is None:
        yield CreateNetwork(node=node, name=network.name, key=network.key, cause=f"{service.name} is on it")
    elif (node, network.name) in world.stale_networks:
        yield from outdated(world, network, found)


def _across(
    world: World, network: NetworkSpec, service: ServiceSpec, node: NodeName, *, to_start: bool
) -> Iterator[Missing]:
    fabric, found = world.fabric, world.overlays.get(network.name)
    local = world.networks.get((node, network.name))
    if not fabric.holds(node):
        yield Lack(what=f"{node} has to join {FABRIC}", is_hopeless=False, causes=(FABRIC,))
    elif local is not None and not local.spans:
        yield from _shadow(world, network, local)
    elif found is not None and (found.node, found.name) in world.stale_networks:
        yield from outdated(world, network, found)
    elif found is None and fabric.lead is None:
        yield Lack(what=f"network {network.name} can't be made", is_hopeless=False, causes=(FABRIC,))
    elif found is None and fabric.lead:
        yield _creation(world, network, service, fabric.lead)
    elif found is not None and to_start and not is_pinned(world, network.name, node):
        yield PinNetwork(node=node, name=network.name, key=network.key, cause=f"{service.name} is on it")


def is_pinned(world: World, name: str, node: NodeName) -> bool:
    """A container holds it on the node, and its packets pass."""
    network = world.networks.get((node, name))
    return network is not None and bool(network.pin) and f"{node}/{network.id}" in world.cluster.fabric.proved


def _shadow(world: World, network: NetworkSpec, local: Network) -> Iterator[Missing]:
    """A network of the node alone would be taken in place of the one that spans hosts, without a word."""
    if local.stack == world.stack.name and not network.external:
        yield from outdated(world, network, local)
    else:
        yield Lack(
            what=f"network {network.name} is there on {local.node}, and ends at that host",
            fix=f'remove it there ("docker network rm {network.name}"), or give the network another "name:"',
        )


def _creation(world: World, network: NetworkSpec, service: ServiceSpec, lead: NodeName) -> Missing:
    subnet = "" if any(pool.subnet for pool in network.ipam) else free_subnet(world)
    if subnet is None:
        return Lack(
            what=f"network {network.name} can't be made: no range of {world.cluster.fabric.pool} is free",
            fix='give it one ("ipam: {config: [{subnet: ...}]}"), or take down what is not used',
        )
    cause = f"{service.name} is on it, and it spans hosts"
    return CreateNetwork(node=lead, name=network.name, key=network.key, cause=cause, spans=True, subnet=subnet)


def free_subnet(world: World) -> str | None:
    """The first range of the pool that no network and no route of any host overlaps; None: all are taken."""
    pool = ipaddress.ip_network(world.cluster.fabric.pool)
    texts = [text for network in world.cluster.networks for text in network.subnets]
    texts += [route for node in world.nodes.values() if node.facts for route in node.facts.routes]
    taken = [net for text in texts if (net := ipaddress.ip_network(text, strict=False)).version == pool.version]
    options = pool.subnets(new_prefix=max(SUBNET_BITS, pool.prefixlen))
    return next((str(option) for option in options if not any(map(option.overlaps, taken))), None)


def outdated(world: World, network: NetworkSpec, found: Network) -> Iterator[Missing]:
    """A network that is described otherwise now goes first, as soon as none of its containers runs."""
    on_it = members(world, found, running=True)
    what = f"network {network.name} changed"
    if alien := next((c for c in on_it if c.service not in world.stack.services), None):
        fix = "" if world.intent.remove_orphans else f'stop it, or "--remove-orphans", which removes {alien.name}'
        yield Lack(what=f"{what}, and {alien.name} is on it", fix=fix, is_hopeless=not world.intent.remove_orphans)
    elif on_it:
        causes = tuple(sorted({slot_name(c.service, c.slot) for c in on_it}))
        yield Lack(what=f"{what}; {on_it[0].name} has to stop first", causes=causes, is_hopeless=False)
    else:
        yield from removal(world, found, "its description changed")


def removal(world: World, found: Network, cause: str) -> Iterator[UnpinNetwork | RemoveNetwork]:
    """First those who hold it let go of it; one that spans hosts is removed on a node that manages it."""
    pins = [n for n in world.networks.values() if n.name == found.name and n.pin and world.answers(n.node)]
    node = world.overlays[found.name].node if found.spans else found.node
    if found.spans and pins:
        yield from (UnpinNetwork(node=n.node, name=n.name, key=n.key, cause=cause) for n in pins)
    elif world.answers(node) and (not found.spans or world.manages(node)):
        yield RemoveNetwork(node=node, name=found.name, key=found.key, cause=cause)


def members(world: World, network: Network, *, running: bool) -> list[Container]:
    """The stack's containers on it, on any node where it spans hosts."""
    here = (c for c in world.containers if network.name in c.networks and (network.spans or c.node == network.node))
    return [c for c in here if c.is_running or not running]
