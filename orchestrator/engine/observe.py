"""The Engine API's JSON as the model's words. Pure.

Sources: Docker Engine API 1.41 to 1.49, inspect and list of containers, networks, volumes and images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.engine.images import split_name
from orchestrator.engine.observe_swarm import device_ids_of, generic_of, subnets_of, swarm_of
from orchestrator.engine.protocol import EngineEvent, EventKind
from orchestrator.model.cluster import (
    Container,
    ContainerState,
    EngineFacts,
    Health,
    HeldPort,
    HeldVolume,
    Image,
    Network,
    Volume,
    VolumeDetails,
)
from orchestrator.model.names import (
    COMPOSE_NETWORK,
    COMPOSE_NUMBER,
    COMPOSE_ONEOFF,
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    COMPOSE_VOLUME,
    HASH,
    REPLACES,
    REVISION,
    SERVICE,
    SLOT,
    STACK,
    ContainerId,
    Digest,
    NodeName,
    ServiceName,
    SlotNumber,
    StackName,
)

Json = Mapping[str, Any]

HEALTH_LOG_LENGTH = 200
KNOWN_EVENTS = frozenset(kind.value for kind in EventKind)
ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def moment(text: str | None) -> datetime | None:
    """A time of the engine, to the microsecond; None for Go's zero time, which means never."""
    found = _MOMENT.fullmatch(text or "")
    if found is None or found[1].startswith("0001-"):
        return None
    zone = "+00:00" if found[3] == "Z" else found[3]
    return datetime.fromisoformat(f"{found[1]}{(found[2] or '.0')[:7]:0<7}{zone}").astimezone(UTC)


def stack_of(labels: Mapping[str, str]) -> StackName:
    """Ours, or else Compose's; empty for a thing of no stack."""
    return StackName(labels.get(STACK) or labels.get(COMPOSE_PROJECT) or "")


def is_one_off(labels: Mapping[str, str]) -> bool:
    """Made by `run`: no slot of a service."""
    return labels.get(COMPOSE_ONEOFF, "").lower() == "true"


def container_of(inspected: Json, node: NodeName, *, clock_offset_s: float = 0.0) -> Container:
    """A container of a stack, as `GET /containers/{id}/json` describes it."""
    labels = inspected["Config"].get("Labels") or {}
    state = inspected["State"]
    health = state.get("Health") or {}
    settings = inspected.get("NetworkSettings") or {}

    def corrected(text: str | None) -> datetime | None:
        at = moment(text)
        return at and at - timedelta(seconds=clock_offset_s)

    return Container(
        id=ContainerId(inspected["Id"]),
        name=inspected["Name"].removeprefix("/"),
        node=node,
        stack=stack_of(labels),
        service=ServiceName(labels.get(SERVICE) or labels.get(COMPOSE_SERVICE) or ""),
        slot=SlotNumber(_number(labels.get(SLOT) or labels.get(COMPOSE_NUMBER), 1)),
        state=ContainerState(state["Status"]),
        revision=_number(labels.get(REVISION), 0),
        config=Digest(labels.get(HASH, "")),
        image=inspected["Config"].get("Image") or "",
        image_id=inspected.get("Image") or "",
        health=Health(health.get("Status") or Health.NONE),
        check=_check(inspected["Config"]),
        health_log=_last_check(health),
        exit_code=state.get("ExitCode") or 0,
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=inspected.get("RestartCount") or 0,
        created_at=corrected(inspected.get("Created")),
        started_at=corrected(state.get("StartedAt")),
        finished_at=corrected(state.get("FinishedAt")),
        started_mark=state.get("StartedAt") or "",
        networks=frozenset(settings.get("Networks") or {}),
        network_ids=_network_ids(settings.get("Networks") or {}),
        volumes=_held_volumes(inspected.get("Mounts") or ()),
        ports=_held_ports(inspected),
        replaces=labels.get(REPLACES, ""),
        borrows=_borrowed(inspected.get("HostConfig") or {}),
        address=_address(inspected),
    )


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdecimal() else otherwise


def _check(config: Json) -> tuple[str, ...]:
    """The file's, or the image's: the engine has merged them. Empty where a file says NONE."""
    test = tuple((config.get("Healthcheck") or {}).get("Test") or ())
    return () if test == ("NONE",) else test


def _last_check(health: Json) -> str:
    log = health.get("Log") or ()
    output = str(log[-1].get("Output") or "").strip() if log else ""
    return output if len(output) <= HEALTH_LOG_LENGTH else output[: HEALTH_LOG_LENGTH - 1] + "…"


def _network_ids(networks: Mapping[str, Any]) -> dict[str, str]:
    """Empty until the container has been started once: then it knows its networks by name only."""
    return {name: known["NetworkID"] for name, known in networks.items() if (known or {}).get("NetworkID")}


def _held_volumes(mounts: Iterable[Json]) -> tuple[HeldVolume, ...]:
    held = (HeldVolume(name=m["Name"], target=m["Destination"]) for m in mounts if m.get("Type") == "volume")
    return tuple(sorted(held, key=lambda volume: volume.target))


def _held_ports(inspected: Json) -> tuple[HeldPort, ...]:
    """Those that the engine has opened; between two tries of its restart policy, those that it will open again."""
    if not inspected["State"].get("Running"):
        return ()
    opened = (inspected.get("NetworkSettings") or {}).get("Ports") or {}
    wanted = (inspected.get("HostConfig") or {}).get("PortBindings") or {}
    is_between = inspected["State"].get("Restarting")
    return ports_of(wanted if is_between else opened)


def ports_of(bindings: Mapping[str, Iterable[Json] | None]) -> tuple[HeldPort, ...]:
    """`{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}` as ports, in order; "0.0.0.0" and "::" are both ""."""
    found = {
        (_number(binding.get("HostPort"), 0), protocol or "tcp", host_address(binding.get("HostIp")), int(target))
        for (target, _, protocol), held in ((key.partition("/"), held) for key, held in bindings.items())
        for binding in held or ()
    }
    return tuple(
        HeldPort(port=port, protocol=proto, host_ip=ip, target=to) for port, proto, ip, to in sorted(found) if port
    )


def host_address(text: str | None) -> str:
    return "" if text is None or text in ANY_ADDRESS else text


def _borrowed(host: Json) -> frozenset[str]:
    """The engine writes the id, whatever the container was made with."""
    modes = (str(host.get(key) or "") for key in ("NetworkMode", "IpcMode", "PidMode"))
    lenders = (str(lender).partition(":")[0] for lender in host.get("VolumesFrom") or ())
    return frozenset((*(m.removeprefix("container:") for m in modes if m.startswith("container:")), *lenders))


def _address(inspected: Json) -> str:
    """On the network that it was made on, or else on the first that has given it one."""
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    first = (inspected.get("HostConfig") or {}).get("NetworkMode") or ""
    ordered = sorted(networks, key=lambda name: (name != first, name))
    return next((ip for name in ordered if (ip := (networks[name] or {}).get("IPAddress"))), "")


def published_ports(listed: Iterable[Json], *, besides: StackName) -> tuple[tuple[int, str, str], ...]:
    """(port, protocol, host address) of a container list, those of the stack `besides` left out."""
    return tuple(
        sorted(
            {
                (port["PublicPort"], port.get("Type") or "tcp", host_address(port.get("IP")))
                for container in listed
                if stack_of(container.get("Labels") or {}) != besides
                for port in container.get("Ports") or ()
                if port.get("PublicPort")
            }
        )
    )


def network_of(listed: Json, node: NodeName, pins: Mapping[str, str] | None = None) -> Network:
    """pins: network id -> the address of the container that holds it."""
    labels = listed.get("Labels") or {}
    return Network(
        id=listed["Id"],
        name=listed["Name"],
        node=node,
        stack=stack_of(labels),
        key=labels.get(COMPOSE_NETWORK, ""),
        config=Digest(labels.get(HASH, "")),
        driver=listed.get("Driver") or "",
        subnets=subnets_of(listed),
        pin=(pins or {}).get(listed["Id"], ""),
    )


def volume_of(listed: Json, node: NodeName) -> Volume:
    labels = listed.get("Labels") or {}
    return Volume(
        name=listed["Name"],
        node=node,
        stack=stack_of(labels),
        key=labels.get(COMPOSE_VOLUME, ""),
        config=Digest(labels.get(HASH, "")),
        driver=listed.get("Driver") or "local",
    )


def volume_details_of(inspected: Json) -> VolumeDetails:
    """-1 of a size or a number of holders means that the engine does not tell."""
    usage = inspected.get("UsageData") or {}
    size, references = usage.get("Size", -1), usage.get("RefCount", -1)
    return VolumeDetails(
        name=inspected["Name"],
        driver=inspected.get("Driver") or "local",
        driver_opts=inspected.get("Options") or {},
        labels=inspected.get("Labels") or {},
        mountpoint=inspected.get("Mountpoint") or "",
        created_at=moment(inspected.get("CreatedAt")),
        size_bytes=size if size >= 0 else None,
        references=references if references >= 0 else None,
    )


def image_of(inspected: Json, ref: str, node: NodeName, *, clock_offset_s: float = 0.0) -> Image:
    config = inspected.get("Config") or {}
    tagged_at = moment((inspected.get("Metadata") or {}).get("LastTagTime"))
    return Image(
        ref=ref,
        id=inspected["Id"],
        node=node,
        repo_digest=_repo_digest(ref, inspected.get("RepoDigests") or ()),
        size_bytes=inspected.get("Size") or 0,
        has_check=bool(_check(config)),
        volumes=tuple(sorted(config.get("Volumes") or {})),
        fetched_at=tagged_at and tagged_at - timedelta(seconds=clock_offset_s),
    )


def images_of(listed: Json, node: NodeName) -> Iterator[Image]:
    """One for each name, of an entry of `GET /images/json`."""
    for ref in listed.get("RepoTags") or ():
        if ref != "<none>:<none>":
            repo_digest = _repo_digest(ref, listed.get("RepoDigests") or ())
            yield Image(
                ref=ref, id=listed["Id"], node=node, repo_digest=repo_digest, size_bytes=listed.get("Size") or 0
            )


def _repo_digest(ref: str, known: Iterable[str]) -> str:
    """Under the name that `ref` has; the same image may have come from several registries."""
    name = split_name(ref)[0].removeprefix("docker.io/").removeprefix("library/")
    return next((digest for digest in known if digest.partition("@")[0] == name), "")


def facts_of(info: Json, version: Json, *, clock_offset_s: float) -> EngineFacts:
    major, _, minor = str(version.get("ApiVersion") or "0.0").partition(".")
    arch = str(version.get("Arch") or info.get("Architecture") or "")
    return EngineFacts(
        engine_id=info.get("ID") or "",
        hostname=info.get("Name") or "",
        version=info.get("ServerVersion") or "",
        api_version=(int(major), int(minor)),
        os=version.get("Os") or info.get("OSType") or "",
        arch=ARCHITECTURES.get(arch, arch),
        cpus=info.get("NCPU") or 0,
        memory_bytes=info.get("MemTotal") or 0,
        labels=dict(label.partition("=")[::2] for label in info.get("Labels") or ()),
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        generic=generic_of(info.get("GenericResources")),
        device_ids=device_ids_of(info.get("DiscoveredDevices")),
        live_restore=bool(info.get("LiveRestoreEnabled")),
        swarm=swarm_of(info),
        clock_offset_s=clock_offset_s,
    )


def event_of(heard: Json, node: NodeName, owners: Mapping[str, StackName]) -> EngineEvent | None:
    """An event of a stack's container, network or volume; None for one of no stack.

    owners: the stacks of known ids: a network's events carry no labels.
    """
    actor = heard.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    action, _, verdict = str(heard.get("Action") or "").partition(": ")
    id = attributes.get("container") or actor.get("ID") or ""
    stack = stack_of(attributes) or owners.get(id) or owners.get(actor.get("ID") or "")
    if not stack or is_one_off(attributes):
        return None
    kind = EventKind(action) if action in KNOWN_EVENTS else EventKind.OTHER
    return EngineEvent(kind=kind, node=node, stack=stack, id=id, detail=_detail(kind, verdict, attributes, action))


def _detail(kind: EventKind, verdict: str, attributes: Json, action: str) -> str:
    match kind:
        case EventKind.HEALTH:
            return verdict
        case EventKind.DIE:
            return str(attributes.get("exitCode") or "")
        case EventKind.CONNECT | EventKind.DISCONNECT:
            return str(attributes.get("name") or "")
        case EventKind.KILL:
            return str(attributes.get("signal") or "")
        case EventKind.OTHER:
            return action
        case _:
            return ""
