"""Worlds in few words: what a scenario writes down, as the model's Intent and ClusterState.

A container is a line of words: `running healthy`, `exited code=3 outdated`, `created on=n2 id=b`. What a scenario
leaves out is as it would be after a good `up`: images, networks and volumes are where containers need them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from orchestrator.model.cluster import (
    Availability,
    ClusterState,
    Container,
    ContainerState,
    EngineFacts,
    Failure,
    Health,
    HeldPort,
    HeldVolume,
    Image,
    Move,
    Network,
    Node,
    NodeStatus,
    Swarm,
    Volume,
)
from orchestrator.model.names import ContainerId, Digest, NodeName, ServiceName, SlotNumber, interim_name
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import Incarnation, Intent, MountType, ServiceSpec, StackSpec
from orchestrator.planner import network_hash, service_hash, volume_hash
from orchestrator.planner.groups import borrowed
from orchestrator.planner.ports import wanted_ports
from orchestrator.spec import Request, load

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
OLD = Digest("0" * 64)
"""The configuration of an outdated thing."""

Words = Mapping[str, Any]


def stack_of(text: Words, name: str = "shop") -> StackSpec:
    """The stack of a Compose mapping, by the real loader."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stack.yml").write_text(yaml.safe_dump(dict(text)))
        return load(Request(files=("stack.yml",), project_name=name, cwd=folder)).stack


def intent_of(stack: StackSpec, words: Words) -> Intent:
    """`again` and `recreate` name containers by id; an incarnation is the mark that `containers` writes."""
    fields = dict(words)
    again = frozenset(Incarnation(container=id, started_at=_mark(id)) for id in fields.pop("again", ()))
    sets = {key: frozenset(fields.pop(key, ())) for key in ("stopped", "recreate")}
    return Intent(stack=stack, revision=7, again=again, **sets, **fields)


def cluster_of(stack: StackSpec, words: Words) -> ClusterState:
    """The world of a scenario."""
    known = {
        "nodes",
        "containers",
        "images",
        "networks",
        "volumes",
        "homes",
        "moves",
        "failures",
        "fresh",
        "held_ports",
    }
    assert set(words) <= known, f"a world knows {sorted(known)}"
    nodes = tuple(_node(NodeName(name), str(text)) for name, text in words.get("nodes", {"n1": "ready"}).items())
    containers = tuple(_containers(stack, words.get("containers", {})))
    volumes = tuple(_volumes(stack, words.get("volumes"), containers))
    return ClusterState(
        nodes=nodes,
        containers=containers,
        networks=tuple(_networks(stack, words.get("networks"), containers)),
        volumes=volumes,
        images=tuple(_images(stack, words.get("images"), nodes)),
        homes=words.get("homes", {v.name: v.node for v in volumes if v.stack}),
        moves={name: Move(source=source, target=target) for name, (source, target) in words.get("moves", {}).items()},
        failures={target: _failure(target, fields) for target, fields in words.get("failures", {}).items()},
        fresh_images=frozenset(words.get("fresh", ())),
        held_ports={NodeName(n): tuple(map(_port, ports)) for n, ports in words.get("held_ports", {}).items()},
    )


def _node(name: NodeName, text: str) -> Node:
    """`ready`, `suspect`, `down`, `pause`, `drain`, in any sensible combination; `labels.zone=east`; see `_facts`."""
    words = {word for word in text.split() if "=" not in word}
    fields = dict(word.split("=", 1) for word in text.split() if "=" in word)
    labels = {key.removeprefix("labels."): fields.pop(key) for key in list(fields) if key.startswith("labels.")}
    status = next((s for s in NodeStatus if s in words), NodeStatus.READY)
    availability = next((a for a in Availability if a in words), Availability.ACTIVE)
    trouble = "" if status is NodeStatus.READY else "no answer within 3 s"
    return Node(
        name=name,
        endpoint=f"tcp://{name}:2376",
        status=status,
        availability=availability,
        trouble=trouble,
        labels=labels,
        facts=_facts(name, fields, is_manager="manager" in words) if fields or "manager" in words else None,
    )


def _facts(name: str, fields: dict[str, str], *, is_manager: bool) -> EngineFacts:
    """`cpus=2 memory_gib=4 arch=arm64 engine.rack=r1`, of an engine of 4 CPUs and 8 GiB otherwise; `manager`."""
    labels = {key.removeprefix("engine."): fields.pop(key) for key in list(fields) if key.startswith("engine.")}
    made = EngineFacts(
        engine_id=f"engine-{name}",
        hostname=f"host-{name}",
        version="27.0",
        api_version=(1, 46),
        os=fields.pop("os", "linux"),
        arch=fields.pop("arch", "x86_64"),
        cpus=int(fields.pop("cpus", 4)),
        memory_bytes=int(float(fields.pop("memory_gib", 8)) * 2**30),
        labels=labels,
        swarm=Swarm(is_manager=is_manager, address=fields.pop("address", "")),
    )
    assert not fields, f"no field of a node: {fields}"
    return made


def _containers(stack: StackSpec, words: Words) -> Iterator[Container]:
    """`web.1: line`, or a list of lines where a slot has several."""
    for slot, lines in words.items():
        service, _, number = str(slot).rpartition(".")
        for at, line in enumerate([lines] if isinstance(lines, str) else lines):
            yield _container(stack, ServiceName(service), SlotNumber(int(number)), at, line.split())


def _container(stack: StackSpec, service: ServiceName, slot: SlotNumber, at: int, words: list[str]) -> Container:
    flags = {word for word in words if "=" not in word}
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    state = next((s for s in ContainerState if s in flags), ContainerState.RUNNING)
    health = next((h for h in Health if h in flags), Health.NONE)
    spec = stack.services.get(service)
    id = fields.pop("id", f"{service}-{slot}" + ("" if at == 0 else f"-{at + 1}"))
    config = OLD if flags & {"outdated", "failed"} or spec is None else service_hash(stack, spec)
    lasting = (spec and spec.container_name) or f"{stack.name}-{service}-{slot}"
    unknown = flags - set(ContainerState) - set(Health) - {"outdated", "foreign", "interim", "oom", "image-changed"}
    assert not unknown, f"no word for a container: {unknown}"
    started = state is not ContainerState.CREATED
    node = NodeName(fields.pop("on", "n1"))
    networks = _joined(stack, spec, fields)
    made = Container(
        id=ContainerId(id),
        name=fields.pop("name", interim_name(lasting, config) if "interim" in flags else lasting),
        node=node,
        stack=stack.name,
        service=service,
        slot=slot,
        state=state,
        health=health,
        config=Digest("") if "foreign" in flags else config,
        image=spec.image if spec else "gone",
        image_id="sha256:older" if "image-changed" in flags else f"sha256:{spec.image if spec else 'gone'}",
        exit_code=int(fields.pop("code", 0)),
        error=fields.pop("error", "").replace("_", " "),
        oom_killed="oom" in flags,
        restart_count=int(fields.pop("restarts", 0)),
        created_at=NOW - timedelta(minutes=float(fields.pop("age", 60 - at))),
        started_at=NOW - timedelta(minutes=float(fields.pop("up", 50 - at))) if started else None,
        started_mark=_mark(id) if started else "",
        networks=networks,
        network_ids={name: f"{node}/{name}" for name in networks} if started else {},
        volumes=tuple(_held(stack, spec, slot, fields.pop("volumes", ""))),
        ports=_opened(spec, slot, state, fields),
        replaces=fields.pop("replaces", ""),
        borrows=frozenset(filter(None, fields.pop("borrows", _lenders(spec)).split(","))),
        health_log=fields.pop("log", "").replace("_", " "),
    )
    assert not fields, f"no field of a container: {fields}"
    return made


def _mark(id: str) -> str:
    return f"{id}@10:00"


def _lenders(spec: ServiceSpec | None) -> str:
    return ",".join(f"{name}-1" for name in borrowed(spec)) if spec else ""


def _joined(stack: StackSpec, spec: ServiceSpec | None, fields: dict[str, str]) -> frozenset[str]:
    if "networks" in fields:
        return frozenset(filter(None, fields.pop("networks").split(",")))
    return frozenset(stack.networks[join.network].name for join in spec.networks) if spec else frozenset()


def _held(stack: StackSpec, spec: ServiceSpec | None, slot: SlotNumber, extra: str) -> Iterator[HeldVolume]:
    """The named ones of the service, and `name:/target,...` of a scenario."""
    for mount in spec.mounts if spec else ():
        if mount.type is MountType.VOLUME and mount.source in stack.volumes:
            yield HeldVolume(name=stack.volumes[mount.source].name_for(slot), target=mount.target)
    for pair in filter(None, extra.split(",")):
        name, _, target = pair.partition(":")
        yield HeldVolume(name=name, target=target)


def _opened(
    spec: ServiceSpec | None, slot: SlotNumber, state: ContainerState, fields: dict[str, str]
) -> tuple[HeldPort, ...]:
    if "ports" in fields:
        return tuple(map(_port, filter(None, fields.pop("ports").split(","))))
    runs = state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)
    return tuple(wanted_ports(spec, slot)) if spec and runs else ()


def _port(text: object) -> HeldPort:
    port, _, protocol = str(text).partition("/")
    return HeldPort(port=int(port), protocol=protocol or "tcp")


def _networks(stack: StackSpec, words: Words | None, containers: tuple[Container, ...]) -> Iterator[Network]:
    """`n1: [shop_default, shop_back changed, corp alien]`; else the stack's own where its containers are."""
    if words is None:
        names = {n.name for n in stack.networks.values()}
        pairs = sorted({(c.node, name) for c in containers for name in c.networks if name in names})
        words = {node: [name for where, name in pairs if where == node] for node, _ in pairs}
    ours = {network.name: network for network in stack.networks.values()}
    for node, lines in words.items():
        for line in lines:
            name, *flags = line.split()
            spec = ours.get(name)
            alien = spec is None or spec.external or "alien" in flags
            config = OLD if "changed" in flags else network_hash(spec) if spec else Digest("")
            yield Network(
                id=f"{node}/{name}",
                name=name,
                node=NodeName(node),
                stack=stack.name if not alien or "ours" in flags else type(stack.name)(""),
                key=spec.key if spec else "",
                config=Digest("") if alien or "foreign" in flags else config,
            )


def _volumes(stack: StackSpec, words: Words | None, containers: tuple[Container, ...]) -> Iterator[Volume]:
    """`n1: [shop_data]`; else the stack's own where containers hold them."""
    if words is None:
        pairs = sorted({(c.node, held.name) for c in containers for held in c.volumes if _volume(stack, held.name)})
        words = {node: [name for where, name in pairs if where == node] for node, _ in pairs}
    for node, lines in words.items():
        for line in lines:
            name, *flags = line.split()
            spec = _volume(stack, name)
            alien = spec is None or spec.external
            yield Volume(
                name=name,
                node=NodeName(node),
                stack=stack.name if not alien or "ours" in flags else type(stack.name)(""),
                key=spec.key if spec else "",
                config=volume_hash(spec) if spec and not alien else Digest(""),
            )


def _volume(stack: StackSpec, name: str) -> VolumeSpec | None:
    return next((volume for volume in stack.volumes.values() if volume.covers(name)), None)


def _images(stack: StackSpec, words: Words | None, nodes: tuple[Node, ...]) -> Iterator[Image]:
    """`n1: [nginx, "pg check volume=/data age_s=60"]`; else all that the stack uses, everywhere."""
    if words is None:
        words = {
            node.name: sorted({ref for service in stack.services.values() for ref in service.images}) for node in nodes
        }
    for node, lines in words.items():
        for line in lines:
            ref, *flags = line.split()
            values = [flag.split("=", 1) for flag in flags if "=" in flag]
            yield Image(
                ref=ref,
                id=f"sha256:{ref}",
                node=NodeName(node),
                has_check="check" in flags,
                volumes=tuple(value for key, value in values if key == "volume"),
                fetched_at=next((NOW - timedelta(seconds=int(value)) for key, value in values if key == "age_s"), None),
            )


def _failure(target: str, words: Words) -> Failure:
    fields = {"what": "it did not work", **words}
    at = NOW - timedelta(seconds=fields.pop("age_s", 0))
    return Failure(target=target, node=NodeName(target.partition("/")[0]), at=at, **fields)
