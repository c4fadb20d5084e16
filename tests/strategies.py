"""Stacks and worlds for property tests: acyclic graphs, several nodes, and clusters left half-done by anything.

Services are `a`, `b`, ...; a service depends only on earlier names. Worlds need not be likely, only possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.model.cluster import (
    Availability,
    ClusterState,
    Container,
    ContainerState,
    Health,
    HeldPort,
    HeldVolume,
    Image,
    Move,
    Network,
    Node,
    NodeStatus,
    Volume,
)
from orchestrator.model.names import (
    ContainerId,
    Digest,
    NodeName,
    ServiceName,
    SlotNumber,
    StackName,
    container_name,
    interim_name,
)
from orchestrator.model.shared import SLOT_TEMPLATE, NetworkSpec, VolumeSpec
from orchestrator.model.spec import (
    Attachment,
    Condition,
    Dependency,
    Healthcheck,
    Incarnation,
    Intent,
    Mode,
    Mount,
    MountType,
    Order,
    Port,
    PullPolicy,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    StackSpec,
    Update,
)
from orchestrator.planner import network_hash, service_hash, volume_hash
from orchestrator.planner.groups import borrowed
from orchestrator.planner.ports import wanted_ports

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
STACK = StackName("shop")
SERVICES = tuple(map(ServiceName, "abcd"))
NODES = tuple(map(NodeName, ("n1", "n2", "n3")))
OLD = Digest("0" * 64)

NETWORKS = {key: NetworkSpec(key=key, name=f"shop_{key}") for key in ("back", "default")}
VOLUMES = {key: VolumeSpec(key=key, name=f"shop_{key}") for key in ("data", "files")}
VOLUMES["own"] = VolumeSpec(key="own", name=f"shop_own-{SLOT_TEMPLATE}")

_rarely = st.sampled_from([False, False, False, True])


@st.composite
def services(draw: st.DrawFn, name: ServiceName, earlier: Sequence[ServiceName]) -> ServiceSpec:
    """One service, as the loader would leave it."""
    fixed = draw(_rarely)
    borrows = draw(st.sampled_from(earlier)) if earlier and draw(_rarely) else None
    joins = draw(st.sets(st.sampled_from(sorted(NETWORKS)), min_size=1))
    needs = draw(st.dictionaries(st.sampled_from(earlier), dependencies(), max_size=2)) if earlier else {}
    if borrows:
        needs[borrows] = Dependency(restart=True)
    return ServiceSpec(
        name=name,
        image=f"image-{name}",
        mode=Mode.GLOBAL if draw(_rarely) and not fixed and not borrows else Mode.REPLICATED,
        replicas=draw(st.integers(0, 1)) if fixed else draw(st.integers(0, 3)),
        container_name=f"fixed-{name}" if fixed else "",
        depends_on=needs,
        networks=() if borrows else tuple(Attachment(network=key) for key in sorted(joins)),
        network_mode=f"service:{borrows}" if borrows else "",
        ports=() if borrows else draw(ports()),
        mounts=draw(mounts()),
        healthcheck=Healthcheck(test=("CMD", "ready")) if draw(st.booleans()) else None,
        restart=RestartPolicy(condition=draw(st.sampled_from(RestartCondition))),
        update=Update(parallelism=draw(st.integers(0, 2)), order=draw(st.sampled_from(Order))),
        pull_policy=draw(st.sampled_from([PullPolicy.MISSING, PullPolicy.MISSING, PullPolicy.ALWAYS])),
    )


def dependencies() -> st.SearchStrategy[Dependency]:
    return st.builds(
        Dependency, condition=st.sampled_from(Condition), restart=_rarely, required=st.sampled_from([True, True, False])
    )


def ports() -> st.SearchStrategy[tuple[Port, ...]]:
    published = st.sampled_from(["", "80", "81", "80-82"])
    return st.lists(st.builds(Port, target=st.just(80), published=published), max_size=1).map(tuple)


def mounts() -> st.SearchStrategy[tuple[Mount, ...]]:
    volume = st.builds(
        Mount,
        type=st.just(MountType.VOLUME),
        source=st.sampled_from(["", *sorted(VOLUMES)]),
        target=st.sampled_from(["/data", "/srv"]),
        read_only=st.booleans(),
    )
    return st.lists(volume, max_size=2, unique_by=lambda mount: mount.target).map(tuple)


@st.composite
def stacks(draw: st.DrawFn) -> StackSpec:
    names = SERVICES[: draw(st.integers(1, len(SERVICES)))]
    made = {name: draw(services(name, names[:at])) for at, name in enumerate(names)}
    return StackSpec(name=STACK, services=made, networks=NETWORKS, volumes=VOLUMES)


@st.composite
def intents(draw: st.DrawFn) -> Intent:
    stack = draw(stacks())
    ids = st.sampled_from([f"{name}{slot}-{at}" for name in stack.services for slot in (1, 2) for at in (0, 1)])
    again = draw(st.sets(ids, max_size=2))
    removed = draw(_rarely)
    return Intent(
        stack=stack,
        revision=7,
        stopped=frozenset(draw(st.sets(st.sampled_from(sorted(stack.services)), max_size=1))),
        again=frozenset(Incarnation(container=id, started_at=f"{id}@10:00") for id in again),
        recreate=frozenset(draw(st.sets(ids, max_size=2))) if draw(_rarely) else frozenset(),
        remove_orphans=draw(st.booleans()),
        removed=removed,
        remove_volumes=removed and draw(st.booleans()),
    )


@st.composite
def nodes(draw: st.DrawFn, all_ready: bool = False) -> tuple[Node, ...]:
    """One to three nodes, the first of which can be used."""
    count = draw(st.integers(1, 3))
    made = [Node(name=name, endpoint=f"tcp://{name}") for name in NODES[:count]]
    if all_ready:
        return tuple(made)
    return (made[0], *(_troubled(draw, node) for node in made[1:]))


def _troubled(draw: st.DrawFn, node: Node) -> Node:
    status = draw(st.sampled_from([NodeStatus.READY, NodeStatus.READY, NodeStatus.SUSPECT, NodeStatus.DOWN]))
    availability = draw(st.sampled_from([Availability.ACTIVE, Availability.ACTIVE, Availability.PAUSE]))
    return replace(node, status=status, availability=availability)


@st.composite
def clusters(draw: st.DrawFn, stack: StackSpec, all_ready: bool = False) -> ClusterState:
    """What may be found: nothing, all that is wanted, or anything in between, of any age."""
    hosts = draw(nodes(all_ready))
    names = [node.name for node in hosts]
    containers = tuple(draw(st.one_of(_containers(stack, names), _yesterday(stack, names))))
    engine_names = sorted({volume.name_for(slot) for volume in VOLUMES.values() for slot in (1, 2, 3)})
    there = draw(st.sets(st.tuples(st.sampled_from(names), st.sampled_from(engine_names))))
    held = {(c.node, v.name) for c in containers for v in c.volumes if v.name.startswith("shop_")}
    volumes = sorted(there | held)
    lost = draw(st.sets(st.sampled_from(sorted(there)))) - held if there and draw(_rarely) else set()
    joined = {(c.node, name) for c in containers for name in c.networks}
    some = draw(st.sets(st.tuples(st.sampled_from(names), st.sampled_from(sorted(NETWORKS)))))
    changed = draw(st.sets(st.sampled_from(sorted(NETWORKS)))) if draw(_rarely) else set()
    ours = sorted(joined | {(node, NETWORKS[key].name) for node, key in some})
    return ClusterState(
        nodes=hosts,
        containers=containers,
        networks=tuple(_network(node, name, changed) for node, name in ours),
        volumes=tuple(_volume(node, name) for node, name in volumes if (node, name) not in lost),
        images=tuple(draw(_images(stack, names, containers))),
        homes=(homes := {name: node for node, name in reversed(volumes)}),
        moves=draw(_moves(homes, names)) if draw(_rarely) else {},
        held_ports={names[-1]: (HeldPort(port=80),)} if draw(_rarely) else {},
    )


@st.composite
def _containers(draw: st.DrawFn, stack: StackSpec, names: Sequence[NodeName]) -> list[Container]:
    """Up to two containers in each of the first slots of each service, some of them orphans."""
    made: list[Container] = []
    for service in (*stack.services, ServiceName("gone")):
        for slot in draw(st.sets(st.integers(1, 4), max_size=3)):
            for at in range(draw(st.sampled_from([1, 1, 1, 2]))):
                container = draw(_container(stack, service, SlotNumber(slot), at, names))
                if all((c.node, c.name) != (container.node, container.name) for c in made):
                    made.append(container)
    return made


@st.composite
def _yesterday(draw: st.DrawFn, stack: StackSpec, names: Sequence[NodeName]) -> list[Container]:
    """All that was wanted runs, on one node, and some of the services have changed since."""
    node, changed = draw(st.sampled_from(names)), draw(st.sets(st.sampled_from(sorted(stack.services))))
    return [
        _serving(stack, spec, SlotNumber(slot), node, OLD if name in changed else service_hash(stack, spec))
        for name, spec in stack.services.items()
        for slot in range(1, (spec.replicas if spec.mode is Mode.REPLICATED else 1) + 1)
    ]


def _serving(stack: StackSpec, spec: ServiceSpec, slot: SlotNumber, node: NodeName, config: Digest) -> Container:
    id, networks = f"{spec.name}{slot}-0", frozenset(NETWORKS[join.network].name for join in spec.networks)
    lenders = frozenset(f"{name}1-0" for name in borrowed(spec))
    return Container(
        id=ContainerId(id),
        name=spec.container_name or container_name(stack.name, spec.name, slot),
        node=node,
        stack=stack.name,
        service=spec.name,
        slot=slot,
        state=ContainerState.RUNNING,
        config=config,
        image=spec.image,
        image_id=f"sha256:{spec.image}",
        health=Health.HEALTHY if spec.healthcheck else Health.NONE,
        created_at=NOW - timedelta(minutes=60),
        started_at=NOW - timedelta(minutes=50),
        started_mark=f"{id}@10:00",
        networks=networks,
        network_ids={name: f"{node}/{name}" for name in networks},
        volumes=tuple(_held(spec, slot, id)),
        ports=tuple(wanted_ports(spec, slot)),
        borrows=lenders,
    )


@st.composite
def _container(
    draw: st.DrawFn, stack: StackSpec, service: ServiceName, slot: SlotNumber, at: int, names: Sequence[NodeName]
) -> Container:
    spec = stack.services.get(service)
    current = service_hash(stack, spec) if spec else OLD
    config = draw(st.sampled_from([current, current, OLD, Digest("")]))
    state = draw(st.sampled_from([*ContainerState, *[ContainerState.RUNNING] * 5]))
    lasting = (spec.container_name if spec else "") or container_name(stack.name, service, slot)
    id = f"{service}{slot}-{at}"
    started = state is not ContainerState.CREATED
    runs = state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)
    node, networks = draw(st.sampled_from(names)), _joined(draw, spec)
    return Container(
        id=ContainerId(id),
        name=draw(st.sampled_from([lasting, interim_name(lasting, config or OLD)])),
        node=node,
        stack=stack.name,
        service=service,
        slot=slot,
        state=state,
        config=config,
        image=f"image-{service}",
        image_id=draw(st.sampled_from([f"sha256:image-{service}"] * 3 + ["sha256:older"])),
        health=_health(draw, spec, runs),
        exit_code=0 if runs or not started else draw(st.sampled_from([0, 1])),
        restart_count=draw(st.integers(0, 4)) if state is ContainerState.RESTARTING else 0,
        created_at=NOW - timedelta(minutes=60 - at),
        started_at=NOW - timedelta(minutes=50 - at) if started else None,
        started_mark=f"{id}@10:00" if started else "",
        networks=networks,
        network_ids={name: f"{node}/{name}" for name in networks} if started else {},
        volumes=tuple(_held(spec, slot, id)) if spec else (),
        ports=tuple(wanted_ports(spec, slot)) if spec and runs and config == current else (),
        replaces=draw(st.sampled_from(["", f"{service}{slot}-9"])),
    )


def _health(draw: st.DrawFn, spec: ServiceSpec | None, runs: bool) -> Health:
    if spec is None or spec.healthcheck is None or not runs:
        return Health.NONE
    return draw(st.sampled_from([Health.STARTING, Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY]))


def _joined(draw: st.DrawFn, spec: ServiceSpec | None) -> frozenset[str]:
    wanted = [NETWORKS[join.network].name for join in spec.networks] if spec else ["shop_default"]
    return frozenset(wanted[:1] if draw(_rarely) else wanted)


def _held(spec: ServiceSpec, slot: SlotNumber, id: str) -> list[HeldVolume]:
    return [HeldVolume(name=_volume_name(mount, slot, id), target=mount.target) for mount in spec.mounts]


def _volume_name(mount: Mount, slot: SlotNumber, id: str) -> str:
    return VOLUMES[mount.source].name_for(slot) if mount.source else f"anonymous-{id}{mount.target}"


def _network(node: NodeName, name: str, changed: set[str]) -> Network:
    spec = next(spec for spec in NETWORKS.values() if spec.name == name)
    config = OLD if spec.key in changed else network_hash(spec)
    return Network(id=f"{node}/{name}", name=name, node=node, stack=STACK, key=spec.key, config=config)


def _volume(node: NodeName, name: str) -> Volume:
    spec = next(spec for spec in VOLUMES.values() if spec.covers(name))
    return Volume(name=name, node=node, stack=STACK, key=spec.key, config=volume_hash(spec))


@st.composite
def _images(
    draw: st.DrawFn, stack: StackSpec, names: Sequence[NodeName], containers: Sequence[Container]
) -> list[Image]:
    """Where containers of a service are its image is; elsewhere it may be."""
    declares = draw(st.sampled_from([(), (), ("/declared",)]))
    there = draw(st.sets(st.tuples(st.sampled_from(names), st.sampled_from(sorted(stack.services)))))
    there |= {(c.node, c.service) for c in containers if c.service in stack.services}
    return [
        Image(ref=f"image-{name}", id=f"sha256:image-{name}", node=node, volumes=declares)
        for node, name in sorted(there)
    ]


@st.composite
def _moves(draw: st.DrawFn, homes: Mapping[str, NodeName], names: Sequence[NodeName]) -> dict[str, Move]:
    """Asked for, or arrived and not tidied up."""
    going = draw(st.sets(st.sampled_from(sorted(homes)), max_size=2)) if homes else set()
    made = {}
    for name in sorted(going):
        other = draw(st.sampled_from(names))
        has_arrived = draw(st.booleans())
        source, target = (other, homes[name]) if has_arrived else (homes[name], other)
        if source != target:
            made[name] = Move(source=source, target=target)
    return made


def shuffled(cluster: ClusterState, intent: Intent, order: Sequence[int]) -> tuple[Intent, ClusterState]:
    """The same in another order: nodes, containers and all mappings."""

    def tuple_of(values: tuple[object, ...]) -> tuple[object, ...]:
        keyed = sorted(range(len(values)), key=lambda at: (order[at % len(order)], -at))
        return tuple(values[at] for at in keyed)

    def mapping(values: Mapping[str, object]) -> dict[str, object]:
        return dict(tuple_of(tuple(values.items())))  # type: ignore[arg-type]

    stack = intent.stack
    again = replace(
        stack,
        services={
            name: replace(s, depends_on=mapping(s.depends_on))
            for name, s in mapping(stack.services).items()  # type: ignore[attr-defined]
        },
        networks=mapping(stack.networks),
        volumes=mapping(stack.volumes),
    )
    world = replace(
        cluster,
        **{key: tuple_of(getattr(cluster, key)) for key in ("nodes", "containers", "networks", "volumes", "images")},
        homes=mapping(cluster.homes),
        moves=mapping(cluster.moves),
    )
    return replace(intent, stack=again), world
