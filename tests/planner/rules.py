"""What must never happen, rule by rule: each yields what is wrong with an operation in the world of that moment.

Written from the Compose Specification and DESIGN section 5, not from the planner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.graph import ServiceGraph
from orchestrator.model.cluster import Availability, Container, ContainerState, Health
from orchestrator.model.operations import (
    AnyOperation,
    ConnectNetwork,
    CreateContainer,
    CreateVolume,
    MoveVolume,
    RemoveContainer,
    RemoveCopy,
    RemoveNetwork,
    RemoveVolume,
    StartContainer,
    StopContainer,
)
from orchestrator.model.spec import Condition, Mode, MountType, Order, ServiceSpec
from orchestrator.planner import network_hash
from orchestrator.planner.groups import borrowed
from orchestrator.planner.ports import wanted_ports

if TYPE_CHECKING:
    from tests.planner.referee import Game


def order_of(service: ServiceSpec, c: Container) -> Order:
    """What `auto` means, and what no file can change. Source: DESIGN section 5, rollout; issue 4, one writer."""
    writes = any(m.type is MountType.VOLUME and not m.read_only for m in service.mounts)
    declared = {v.target for v in c.volumes} - {m.target for m in service.mounts}
    if writes or declared:
        return Order.STOP_FIRST
    if service.update.order is not Order.AUTO:
        return service.update.order
    fixed = bool(service.container_name) or any(p.published for p in service.ports)
    shares = service.network_mode.startswith("service:")
    return Order.STOP_FIRST if fixed or shares else Order.START_FIRST


def never_two_at_once(game: Game, operation: AnyOperation) -> Iterator[str]:
    """Under stop-first a container starts only in a slot where none runs."""
    c = game.container(operation)
    if not isinstance(operation, StartContainer) or c is None:
        return
    service = game.intent.stack.services[c.service]
    others = [o for o in game.inside(c.service, c.slot) if o.id != c.id and o.is_running]
    if service.mode is Mode.GLOBAL:  # its slot is the node
        others = [o for o in others if o.node == c.node]
    if others and order_of(service, c) is Order.STOP_FIRST:
        yield f"{others[0].id} still runs in its slot"


def dependencies_hold(game: Game, operation: AnyOperation) -> Iterator[str]:
    """A container starts only while the conditions of its required dependencies hold."""
    if not isinstance(operation, StartContainer):
        return
    edges = ServiceGraph.of(game.intent.stack).dependencies[operation.service]
    for name, how in edges.items():
        if not how.required or name in game.intent.stopped:
            continue
        for slot, _ in game.wanted(game.intent.stack.services[name]):
            if not any(_satisfies(game, c, how.condition) for c in game.inside(name, slot)):
                yield f"{name}.{slot} is not {how.condition}"


def _satisfies(game: Game, c: Container, condition: Condition) -> bool:
    if game.is_outdated(c):
        return False
    if condition is Condition.STARTED:
        return c.state is not ContainerState.CREATED
    if condition is Condition.HEALTHY:
        return c.state is ContainerState.RUNNING and c.health is Health.HEALTHY
    return c.has_succeeded


def start_has_all_it_needs(game: Game, operation: AnyOperation) -> Iterator[str]:
    """It is on its networks, they are there, and its ports are free."""
    c = game.container(operation)
    if not isinstance(operation, StartContainer) or c is None:
        return
    service = game.intent.stack.services[c.service]
    names = {game.intent.stack.networks[join.network].name for join in service.networks}
    there = {n.name for n in game.cluster.networks if n.node == c.node}
    if not names <= c.networks & there:
        yield f"networks {sorted(names - (c.networks & there))} are missing"
    ports = {(p.port, p.protocol) for p in wanted_ports(service, c.slot)}
    for other in game.cluster.containers:
        taken = ports & {(p.port, p.protocol) for p in other.ports}
        if other.node == c.node and other.id != c.id and other.is_running and taken:
            yield f"{other.id} holds port {sorted(taken)[0][0]}"
    lenders = [o for o in game.cluster.containers if o.id in c.borrows]
    if len(lenders) < len(borrowed(service)) or any(o.state is ContainerState.CREATED for o in lenders):
        yield "the container whose namespace it uses has not been started"


def create_has_all_it_needs(game: Game, operation: AnyOperation) -> Iterator[str]:
    """The node takes new containers and has image, networks of today's description, volumes, and the name free."""
    if not isinstance(operation, CreateContainer):
        return
    stack, node = game.intent.stack, operation.node
    service = stack.services[operation.service]
    host = next(n for n in game.cluster.nodes if n.name == node)
    if host.availability is not Availability.ACTIVE:
        yield f"{node} is on {host.availability}"
    if not any((i.node, i.ref) == (node, service.image) for i in game.cluster.images):
        yield "its image is missing"
    there = {n.name: n for n in game.cluster.networks if n.node == node}
    for join in service.networks:
        spec = stack.networks[join.network]
        if spec.name not in there or there[spec.name].config != network_hash(spec):
            yield f"network {spec.name} is missing or outdated"
    for name in borrowed(service):
        if not any(game.is_current(c) for c in game.cluster.containers if (c.node, c.service) == (node, name)):
            yield f"{name} is not there yet"
    for mount in service.mounts:
        if mount.source:
            volume = stack.volumes[mount.source].name_for(operation.slot)
            if not any((v.node, v.name) == (node, volume) for v in game.cluster.volumes):
                yield f"volume {volume} is missing"
            if service.mode is Mode.REPLICATED and game.cluster.homes.get(volume, node) != node:
                yield f"the data of {volume} is on {game.cluster.homes[volume]}"


def one_incarnation(game: Game, operation: AnyOperation) -> Iterator[str]:
    """A slot that has a container of today's configuration gets no second one."""
    if not isinstance(operation, CreateContainer):
        return
    service = game.intent.stack.services[operation.service]
    inside = [c for c in game.inside(operation.service, operation.slot) if c.state is not ContainerState.DEAD]
    if service.mode is Mode.GLOBAL:
        inside = [c for c in inside if c.node == operation.node]
    twins = [c for c in inside if game.is_current(c)]
    if twins and not borrowed(service):
        yield f"{twins[0].id} is there already"


def data_is_safe(game: Game, operation: AnyOperation) -> Iterator[str]:
    """No volume goes unless asked for and unused; none is made where its data is not."""
    if isinstance(operation, RemoveVolume):
        if not (game.intent.removed and game.intent.remove_volumes):
            yield "nobody asked for it"
        there = [c for c in game.cluster.containers if c.node == operation.node]
        if any(v.name == operation.name for c in there for v in c.volumes):
            yield "a container holds it"
    if isinstance(operation, CreateVolume):
        users = [s for s in game.intent.stack.services.values() if any(m.source == operation.key for m in s.mounts)]
        home = game.cluster.homes.get(operation.name)
        if home and (home == operation.node or all(s.mode is Mode.REPLICATED for s in users)):
            yield f"its data is on {home}, or was there"
    if isinstance(operation, RemoveContainer) and operation.volumes and not game.intent.remove_volumes:
        yield "nobody asked for its volumes"


def data_moves_whole(game: Game, operation: AnyOperation) -> Iterator[str]:
    """It is copied from its home while nothing there can write to it; only what is not its home is removed."""
    home = game.cluster.homes.get(getattr(operation, "name", ""))
    if isinstance(operation, MoveVolume):
        there = [c for c in game.cluster.containers if c.node == operation.source and c.is_running]
        if any(v.name == operation.name for c in there for v in c.volumes):
            yield "a running container holds it"
        if home != operation.source or operation.name not in game.cluster.moves:
            yield f"its home is {home}, and {game.cluster.moves} was asked for"
    if isinstance(operation, RemoveCopy) and (
        home in (None, operation.node) or operation.name not in game.cluster.moves
    ):
        yield f"its home is {home}, and {game.cluster.moves} was asked for"
    c = game.container(operation)
    if isinstance(operation, StartContainer) and c is not None:
        going = {o.name for o in game.under_way.values() if isinstance(o, MoveVolume) and o.source == c.node}
        if going & {v.name for v in c.volumes}:
            yield "its data is being copied"


def nothing_in_use_goes(game: Game, operation: AnyOperation) -> Iterator[str]:
    c = game.container(operation)
    if isinstance(operation, RemoveContainer) and c is not None and c.is_running and not operation.force:
        yield "it runs"
    if isinstance(operation, RemoveNetwork):
        members = [c for c in game.cluster.containers if c.node == operation.node and operation.name in c.networks]
        if any(c.is_running for c in members):
            yield "a running container is on it"
    if isinstance(operation, ConnectNetwork) and not any(
        (n.node, n.name) == (operation.node, operation.network) for n in game.cluster.networks
    ):
        yield "there is no such network"


def service_goes_on(game: Game, operation: AnyOperation) -> Iterator[str]:
    """Under start-first the container that serves a slot stops only beside one that is ready."""
    c = game.container(operation)
    if not isinstance(operation, StopContainer) or c is None or not c.is_ready:
        return
    service = game.intent.stack.services.get(c.service)
    if service is None or game.intent.removed or c.service in game.intent.stopped or not game.is_outdated(c):
        return
    others = [o for o in game.inside(c.service, c.slot) if o.id != c.id]
    if c.slot > service.replicas or service.mode is Mode.GLOBAL:
        return
    if any(order_of(service, o) is not Order.START_FIRST for o in others if game.is_current(o)):
        return
    if service.ports or any(n.config != network_hash(game.intent.stack.networks[n.key]) for n in game.cluster.networks):
        return
    if not any(o.is_ready or o.has_succeeded for o in others):
        yield f"{operation.title}: nobody else serves its slot"


RULES = (
    never_two_at_once,
    dependencies_hold,
    start_has_all_it_needs,
    create_has_all_it_needs,
    one_incarnation,
    data_is_safe,
    data_moves_whole,
    nothing_in_use_goes,
)
