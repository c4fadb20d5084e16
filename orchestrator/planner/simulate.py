"""What the cluster would be after an operation went well: a plan can be followed to its end without an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import singledispatch
from itertools import count
from typing import Any

from msgspec.structs import replace

from orchestrator.model.cluster import (
    OVERLAY,
    ClusterState,
    Container,
    ContainerState,
    Health,
    HeldPort,
    HeldVolume,
    Image,
    Member,
    Network,
    Node,
    Swarm,
    Volume,
)
from orchestrator.model.names import ContainerId, NodeName, SlotNumber
from orchestrator.model.operations import (
    AnyOperation,
    BuildImage,
    ConnectNetwork,
    CopyImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    InitFabric,
    JoinFabric,
    LeaveFabric,
    MoveVolume,
    Operation,
    PinNetwork,
    PromoteMember,
    PullImage,
    RemoveContainer,
    RemoveCopy,
    RemoveMember,
    RemoveNetwork,
    RemoveVolume,
    RenameContainer,
    StartContainer,
    StopContainer,
    UnpinNetwork,
)
from orchestrator.model.spec import Intent, Mount, MountType
from orchestrator.planner.classify import comes_back
from orchestrator.planner.ports import wanted_ports
from orchestrator.planner.world import World

KILLED_BY_TERM = 143


def simulate(intent: Intent, cluster: ClusterState, operations: Sequence[AnyOperation], now: datetime) -> ClusterState:
    """The cluster after these operations, all of them successful. Health checks have not passed yet: see `settle`."""
    for operation in operations:
        cluster = _apply(operation, World(intent, cluster, now))
    return cluster


def settle(intent: Intent, cluster: ClusterState, now: datetime) -> ClusterState:
    """What time brings when all goes well: checks pass, and what others wait for to end, ends with 0."""
    services = intent.stack.services
    jobs = {name for name in World(intent, cluster, now).awaited if not comes_back(services[name])}

    def later(c: Container) -> Container:
        if c.stack != intent.stack.name:
            return c
        if c.state is ContainerState.RESTARTING:
            return replace(c, state=ContainerState.RUNNING)
        if c.state is not ContainerState.RUNNING:
            return c
        if c.service in jobs:
            return replace(c, state=ContainerState.EXITED, exit_code=0, finished_at=now, ports=(), health=Health.NONE)
        return replace(c, health=Health.HEALTHY) if c.health is Health.STARTING else c

    going = {c.id for c in cluster.containers if c.stack == intent.stack.name and c.state is ContainerState.REMOVING}
    return replace(cluster, containers=tuple(later(c) for c in cluster.containers if c.id not in going))


@singledispatch
def _apply(operation: Operation, world: World) -> ClusterState:
    raise AssertionError(f"{type(operation).__name__} must say what it changes in {world.stack.name}")


@_apply.register
def _(operation: PullImage | BuildImage | CopyImage, world: World) -> ClusterState:
    cluster, node, ref = world.cluster, operation.node, operation.ref
    image = Image(ref=ref, id=f"sha256:new-{ref}", node=node)
    if isinstance(operation, CopyImage):
        image = replace(world.images[operation.source, ref], node=node)
    others = tuple(i for i in cluster.images if (i.node, i.ref) != (node, ref))
    return replace(cluster, images=(*others, image), fresh_images=cluster.fresh_images | {f"{node}/{ref}"})


@_apply.register
def _(operation: CreateNetwork, world: World) -> ClusterState:
    config = world.network_hashes[operation.name]
    network = Network(
        id=f"new-{operation.node}-{operation.name}-{config[:8]}",
        name=operation.name,
        node=operation.node,
        stack=world.stack.name,
        key=operation.key,
        config=config,
        driver=OVERLAY if operation.spans else "",
        subnets=(operation.subnet,) if operation.subnet else (),
    )
    return replace(world.cluster, networks=(*world.cluster.networks, network))


@_apply.register
def _(operation: PinNetwork, world: World) -> ClusterState:
    cluster, name = world.cluster, operation.name
    pinned = replace(world.overlays[name], node=operation.node, pin=f"pin-{operation.node}")
    others = tuple(n for n in cluster.networks if (n.node, n.name) != (operation.node, name))
    proved = cluster.fabric.proved | {f"{operation.node}/{pinned.id}"}
    return replace(cluster, networks=(*others, pinned), fabric=replace(cluster.fabric, proved=proved))


@_apply.register
def _(operation: UnpinNetwork, world: World) -> ClusterState:
    """A node that does not manage the network forgets it."""
    cluster, key = world.cluster, (operation.node, operation.name)
    here = world.networks[key]
    kept = (replace(here, pin=""),) if world.manages(operation.node) else ()
    others = tuple(n for n in cluster.networks if (n.node, n.name) != key)
    return replace(cluster, networks=(*others, *kept))


@_apply.register
def _(operation: InitFabric, world: World) -> ClusterState:
    cluster = replace(world.cluster, fabric=replace(world.cluster.fabric, cluster_id="new", members=()))
    return _joined(cluster, operation.node, as_manager=True)


@_apply.register
def _(operation: JoinFabric, world: World) -> ClusterState:
    return _joined(world.cluster, operation.node, as_manager=operation.as_manager)


@_apply.register
def _(operation: PromoteMember, world: World) -> ClusterState:
    return _joined(world.cluster, operation.member, as_manager=operation.as_manager)


@_apply.register
def _(operation: RemoveMember, world: World) -> ClusterState:
    fabric = world.cluster.fabric
    kept = tuple(m for m in fabric.members or () if m.id != operation.id)
    return replace(world.cluster, fabric=replace(fabric, members=kept))


@_apply.register
def _(operation: LeaveFabric, world: World) -> ClusterState:
    return _with_swarm(world.cluster, operation.node, Swarm())


def _joined(cluster: ClusterState, node: NodeName, *, as_manager: bool) -> ClusterState:
    member, fabric = f"member-{node}", cluster.fabric
    others = tuple(m for m in fabric.members or () if m.id != member)
    members = (*others, Member(id=member, hostname=node, is_manager=as_manager))
    cluster = replace(cluster, fabric=replace(fabric, members=members, expected={**fabric.expected, node: member}))
    return _with_swarm(cluster, node, Swarm(state="active", member=member, is_manager=as_manager, cluster_id="new"))


def _with_swarm(cluster: ClusterState, name: NodeName, swarm: Swarm) -> ClusterState:
    def changed(node: Node) -> Node:
        return replace(node, facts=replace(node.facts, swarm=swarm)) if node.name == name and node.facts else node

    return replace(cluster, nodes=tuple(changed(node) for node in cluster.nodes))


@_apply.register
def _(operation: RemoveNetwork, world: World) -> ClusterState:
    """One that spans hosts goes everywhere."""
    network = world.networks[operation.node, operation.name]
    gone = {n.node for n in world.networks.values() if n.name == network.name and network.spans}
    kept = (n for n in world.cluster.networks if n.name != operation.name or n.node not in {*gone, operation.node})
    return replace(world.cluster, networks=tuple(kept))


@_apply.register
def _(operation: CreateVolume, world: World) -> ClusterState:
    volume = Volume(
        name=operation.name,
        node=operation.node,
        stack=world.stack.name,
        key=operation.key,
        config=world.volume_hashes[operation.key],
    )
    is_local = world.stack.volumes[operation.key].is_local
    homes = {operation.name: operation.node, **world.cluster.homes} if is_local else world.cluster.homes
    return replace(world.cluster, volumes=(*world.cluster.volumes, volume), homes=homes)


@_apply.register
def _(operation: RemoveVolume, world: World) -> ClusterState:
    gone = (operation.node, operation.name)
    homes = {name: node for name, node in world.cluster.homes.items() if name != operation.name}
    volumes = tuple(v for v in world.cluster.volumes if (v.node, v.name) != gone)
    return replace(world.cluster, volumes=volumes, homes=homes)


@_apply.register
def _(operation: MoveVolume, world: World) -> ClusterState:
    cluster, arrived = world.cluster, (operation.node, operation.name)
    copy = replace(world.volumes[operation.source, operation.name], node=operation.node)
    others = tuple(v for v in cluster.volumes if (v.node, v.name) != arrived)
    return replace(cluster, volumes=(*others, copy), homes={**cluster.homes, operation.name: operation.node})


@_apply.register
def _(operation: RemoveCopy, world: World) -> ClusterState:
    gone = (operation.node, operation.name)
    moves = {name: move for name, move in world.cluster.moves.items() if name != operation.name}
    volumes = tuple(v for v in world.cluster.volumes if (v.node, v.name) != gone)
    return replace(world.cluster, volumes=volumes, moves=moves)


@_apply.register
def _(operation: CreateContainer, world: World) -> ClusterState:
    service = world.stack.services[operation.service]
    image = world.images[operation.node, service.image]
    named = (m for m in service.mounts if m.type is MountType.VOLUME)
    volumes = [HeldVolume(name=_volume_name(world, m, operation.slot), target=m.target) for m in named]
    known = {v.target for v in (*volumes, *operation.inherits)}
    declared = [HeldVolume(name=f"anonymous{t}", target=t) for t in image.volumes if t not in known]
    container = Container(
        id=_free_id(world, operation),
        name=operation.name,
        node=operation.node,
        stack=world.stack.name,
        service=operation.service,
        slot=operation.slot,
        state=ContainerState.CREATED,
        revision=world.intent.revision,
        config=operation.config,
        image=service.image,
        image_id=image.id,
        created_at=world.now,
        networks=frozenset(world.network_names(service)),
        volumes=(*operation.inherits, *volumes, *declared),
        replaces=operation.replaces,
        borrows=frozenset(operation.lenders.values()),
    )
    return replace(world.cluster, containers=(*world.cluster.containers, container))


def _free_id(world: World, operation: CreateContainer) -> ContainerId:
    taken = {c.id for c in world.cluster.containers}
    options = (ContainerId(f"new-{operation.node}-{operation.name}-{n}") for n in count(1))
    return next(option for option in options if option not in taken)


def _volume_name(world: World, mount: Mount, slot: SlotNumber) -> str:
    volume = world.stack.volumes.get(mount.source)
    return volume.name_for(slot) if volume else f"anonymous{mount.target}"


def _change(world: World, container: str, how: Callable[[Container], Container]) -> ClusterState:
    changed = tuple(how(c) if c.id == container else c for c in world.cluster.containers)
    return replace(world.cluster, containers=changed)


@_apply.register
def _(operation: ConnectNetwork, world: World) -> ClusterState:
    return _change(world, operation.container, lambda c: replace(c, networks=c.networks | {operation.network}))


@_apply.register
def _(operation: StartContainer, world: World) -> ClusterState:
    service = world.stack.services[operation.service]
    image = world.images.get((operation.node, service.image))
    by_image = image is not None and image.has_check
    has_check = service.healthcheck.test != ("NONE",) if service.healthcheck else by_image
    changes: dict[str, Any] = {
        "state": ContainerState.RUNNING,
        "health": Health.STARTING if has_check else Health.NONE,
        "started_at": world.now,
        "ports": tuple(HeldPort(port=p.port, protocol=p.protocol) for p in wanted_ports(service, operation.slot)),
    }

    def started(c: Container) -> Container:
        ids = {name: world.networks[c.node, name].id for name in c.networks if (c.node, name) in world.networks}
        return replace(c, network_ids=ids, started_mark=f"{c.started_mark}+", exit_code=0, error="", **changes)

    return _change(world, operation.container, started)


@_apply.register
def _(operation: StopContainer, world: World) -> ClusterState:
    return _change(
        world,
        operation.container,
        lambda c: replace(
            c,
            state=ContainerState.EXITED,
            exit_code=KILLED_BY_TERM,
            health=Health.NONE,
            finished_at=world.now,
            ports=(),
        ),
    )


@_apply.register
def _(operation: RemoveContainer, world: World) -> ClusterState:
    kept = tuple(c for c in world.cluster.containers if c.id != operation.container)
    return replace(world.cluster, containers=kept)


@_apply.register
def _(operation: RenameContainer, world: World) -> ClusterState:
    return _change(world, operation.container, lambda c: replace(c, name=operation.to))
