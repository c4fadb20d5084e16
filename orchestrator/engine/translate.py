"""What orch asks for, as the Engine API's dictionaries. Pure: equal requests give equal dictionaries.

Sources: Docker Engine API 1.41 to 1.49, `ContainerCreate`, `NetworkCreate`, `VolumeCreate`; where several ways exist,
the one that Docker Compose v2 takes, so that a container of ours is as one of Compose's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.engine.volumes import binds, engine_mounts
from orchestrator.errors import Refused, TooOld
from orchestrator.model.spec import (
    Attachment,
    Healthcheck,
    HostOptions,
    NetworkSpec,
    Port,
    Resources,
    RestartCondition,
    ServiceSpec,
    VolumeSpec,
)

ApiVersion = tuple[int, int]
Body = dict[str, Any]

SEVERAL_NETWORKS: ApiVersion = (1, 44)
"""From here on a container is created on all of its networks at once."""

NEEDS: tuple[tuple[str, ApiVersion, str], ...] = (
    # (key of the stack, first API that has it, Docker Engine of that API)
    ("healthcheck.start_interval", (1, 44), "25.0"),
    ("volume.subpath", (1, 45), "26.0"),
    ("annotations", (1, 43), "24.0"),
    ("cgroup", (1, 41), "20.10"),
    ("networks.gw_priority", (1, 48), "28.0"),
    ("networks.interface_name", (1, 49), "28.1"),
)


def check_needs(request: ContainerRequest, api: ApiVersion) -> None:
    """raises TooOld, naming the key, when the engine would not honour something that the service asks for."""
    used = set(_used_needs(request))
    for key, since, release in NEEDS:
        if key in used and api < since:
            raise TooOld(
                f'service "{request.service.name}" has "{key}", which this engine doesn\'t know',
                why=f"it came with API {_dotted(since)}, and the engine speaks {_dotted(api)}",
                fix=f'install Docker Engine {release} or later on this host, or remove "{key}"',
            )


def _used_needs(request: ContainerRequest) -> Iterable[str]:
    service = request.service
    attachments = [join.attachment for join in request.networks]
    uses = {
        "healthcheck.start_interval": bool(service.healthcheck and service.healthcheck.start_interval_s is not None),
        "volume.subpath": any(mount.subpath for mount in service.mounts),
        "annotations": bool(service.annotations),
        "cgroup": bool(service.host.cgroup),
        "networks.gw_priority": any(attachment.gw_priority for attachment in attachments),
        "networks.interface_name": any(attachment.interface_name for attachment in attachments),
    }
    return (key for key, is_used in uses.items() if is_used)


def _dotted(version: ApiVersion) -> str:
    return "{}.{}".format(*version)


def container_body(request: ContainerRequest, api: ApiVersion) -> Body:
    """The body of `POST /containers/create`.

    raises TooOld: the engine's API lacks something that the service asks for
    raises Refused: a published range has no port for this slot
    """
    check_needs(request, api)
    service = request.service
    body: Body = {
        "Image": service.image,
        "Cmd": list(service.command or ()),
        "Entrypoint": _entrypoint(service.entrypoint),
        "Env": [name if value is None else f"{name}={value}" for name, value in service.environment.items()],
        "Labels": {**service.labels, **request.labels},
        "User": service.user,
        "WorkingDir": service.working_dir,
        "Hostname": service.hostname,
        "Domainname": service.domainname,
        "Tty": service.tty,
        "OpenStdin": service.stdin_open,
        "StopSignal": service.stop_signal,
        "StopTimeout": _whole_seconds(service.stop_grace_period_s),
        "Healthcheck": healthcheck(service.healthcheck),
        "ExposedPorts": exposed_ports(service),
        "HostConfig": host_config(request),
        "NetworkingConfig": _networking(request.networks, api),
    }
    if request.networks and api < SEVERAL_NETWORKS:
        body["MacAddress"] = request.networks[0].attachment.mac_address
    return _without_defaults(body)


def host_config(request: ContainerRequest) -> Body:
    """`HostConfig`. Zero, empty and None mean the engine's default, and are left out."""
    service = request.service
    body: Body = {
        **_resources(service.resources),
        **_host_options(service.host),
        "NetworkMode": request.network_mode or (request.networks[0].name if request.networks else ""),
        "IpcMode": request.ipc,
        "PidMode": request.pid,
        "PortBindings": port_bindings(request),
        "RestartPolicy": _restart_policy(service),
        "Annotations": dict(service.annotations),
        "Binds": binds(request),
        "Mounts": engine_mounts(request),
    }
    return _without_defaults(body)


def _entrypoint(words: tuple[str, ...] | None) -> list[str] | None:
    """None: the image's own. Empty: none at all, and not the image's command either, which the engine takes as [""]."""
    if words is None:
        return None
    return list(words) or [""]


def _whole_seconds(span_s: float | None) -> int | None:
    return None if span_s is None else math.ceil(span_s)


def _nanoseconds(span_s: float | None) -> int | None:
    return None if span_s is None else round(span_s * 1e9)


def healthcheck(check: Healthcheck | None) -> Body | None:
    """An empty `Test` lets the engine take the image's."""
    if check is None:
        return None
    return _without_none(
        {
            "Test": list(check.test) or None,
            "Interval": _nanoseconds(check.interval_s),
            "Timeout": _nanoseconds(check.timeout_s),
            "Retries": check.retries,
            "StartPeriod": _nanoseconds(check.start_period_s),
            "StartInterval": _nanoseconds(check.start_interval_s),
        }
    )


def exposed_ports(service: ServiceSpec) -> dict[str, Body]:
    """`{"80/tcp": {}}`, of `ports` and of `expose` (`80`, `80/udp`, `3000-3005`)."""
    targets = {f"{port.target}/{port.protocol}" for port in service.ports}
    for written in service.expose:
        numbers, _, protocol = written.partition("/")
        first, last = _range(numbers)
        targets |= {f"{number}/{protocol or 'tcp'}" for number in range(first, last + 1)}
    return {target: {} for target in sorted(targets)}


def _range(written: str) -> tuple[int, int]:
    first, _, last = written.partition("-")
    return int(first), int(last or first)


def port_bindings(request: ContainerRequest) -> dict[str, list[Body]]:
    """`{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`; HostPort "" lets the engine choose."""
    bindings: dict[str, list[Body]] = {}
    for port in request.service.ports:
        binding = {"HostIp": port.host_ip, "HostPort": host_port(port, request)}
        bindings.setdefault(f"{port.target}/{port.protocol}", []).append(binding)
    return bindings


def host_port(port: Port, request: ContainerRequest) -> str:
    """The slot-th port of a published range; raises Refused when the range is too short."""
    if "-" not in port.published:
        return port.published
    first, last = _range(port.published)
    chosen = first + request.slot - 1
    if chosen > last:
        raise Refused(
            f'no port in the range "{port.published}" is left for "{request.service.name}.{request.slot}"',
            why=f"the range has {last - first + 1} ports, one for each slot",
            fix="publish a longer range, or ask for fewer replicas",
        )
    return str(chosen)


def _restart_policy(service: ServiceSpec) -> Body | None:
    policy = service.restart
    if policy.condition is RestartCondition.NO:
        return None
    is_counted = policy.condition is RestartCondition.ON_FAILURE
    return {"Name": policy.condition.value, "MaximumRetryCount": policy.max_attempts if is_counted else 0}


def _resources(resources: Resources) -> Body:
    return {
        "NanoCpus": resources.nano_cpus,
        "Memory": resources.memory_bytes,
        "PidsLimit": resources.pids or None,
        "MemoryReservation": resources.reserved_memory_bytes,
    }


def _host_options(host: HostOptions) -> Body:
    return {
        **{key: list(getattr(host, name)) for name, key in LISTS},
        **{key: getattr(host, name) for name, key in PLAIN},
        "Sysctls": dict(host.sysctls),
        "StorageOpt": dict(host.storage_opt),
        "Ulimits": [{"Name": name, "Soft": u.soft, "Hard": u.hard} for name, u in sorted(host.ulimits.items())],
        "Devices": [
            {"PathOnHost": d.source, "PathInContainer": d.target, "CgroupPermissions": d.permissions}
            for d in host.devices
        ],
        "LogConfig": host.logging and {"Type": host.logging.driver, "Config": dict(host.logging.options)},
    }


LISTS: tuple[tuple[str, str], ...] = (
    # (field of HostOptions, key of HostConfig)
    ("cap_add", "CapAdd"),
    ("cap_drop", "CapDrop"),
    ("security_opt", "SecurityOpt"),
    ("device_cgroup_rules", "DeviceCgroupRules"),
    ("group_add", "GroupAdd"),
    ("dns", "Dns"),
    ("dns_search", "DnsSearch"),
    ("dns_opt", "DnsOptions"),
    ("extra_hosts", "ExtraHosts"),
)

PLAIN: tuple[tuple[str, str], ...] = (
    # (field of HostOptions, key of HostConfig); ipc and pid are of the request
    ("privileged", "Privileged"),
    ("read_only", "ReadonlyRootfs"),
    ("init", "Init"),
    ("uts", "UTSMode"),
    ("userns_mode", "UsernsMode"),
    ("cgroup", "CgroupnsMode"),
    ("cgroup_parent", "CgroupParent"),
    ("runtime", "Runtime"),
    ("isolation", "Isolation"),
    ("shm_size_bytes", "ShmSize"),
    ("oom_kill_disable", "OomKillDisable"),
    ("oom_score_adj", "OomScoreAdj"),
    ("cpu_shares", "CpuShares"),
    ("cpu_period", "CpuPeriod"),
    ("cpu_quota", "CpuQuota"),
    ("cpuset", "CpusetCpus"),
    ("memory_swap_bytes", "MemorySwap"),
    ("mem_swappiness", "MemorySwappiness"),
)

MEANINGFUL = frozenset({"Init", "MemorySwappiness", "MemorySwap", "StopTimeout"})
"""Keys of which false and zero are values of their own."""


def _networking(joins: tuple[NetworkJoin, ...], api: ApiVersion) -> Body | None:
    """All networks, or only the first for an engine that takes but one."""
    taken = joins if api >= SEVERAL_NETWORKS else joins[:1]
    return {"EndpointsConfig": {join.name: endpoint_config(join, api) for join in taken}} if taken else None


def endpoint_config(join: NetworkJoin, api: ApiVersion) -> Body:
    """`EndpointSettings` of one network."""
    attachment = join.attachment
    body: Body = {
        "Aliases": list(join.aliases),
        "IPAMConfig": _addresses(attachment),
        "DriverOpts": _driver_options(attachment),
        "GwPriority": attachment.gw_priority,
    }
    if api >= SEVERAL_NETWORKS:
        body["MacAddress"] = attachment.mac_address
    return _without_defaults(body)


def _addresses(attachment: Attachment) -> Body:
    return _without_defaults(
        {
            "IPv4Address": attachment.ipv4_address,
            "IPv6Address": attachment.ipv6_address,
            "LinkLocalIPs": list(attachment.link_local_ips),
        }
    )


def _driver_options(attachment: Attachment) -> dict[str, str]:
    interface = {"com.docker.network.endpoint.ifname": attachment.interface_name} if attachment.interface_name else {}
    return {**attachment.driver_opts, **interface}


def network_body(network: NetworkSpec, labels: Mapping[str, str]) -> Body:
    """The body of `POST /networks/create`."""
    pools = [
        _without_defaults(
            {
                "Subnet": pool.subnet,
                "IPRange": pool.ip_range,
                "Gateway": pool.gateway,
                "AuxiliaryAddresses": dict(pool.aux_addresses),
            }
        )
        for pool in network.ipam
    ]
    ipam = _without_defaults({"Driver": network.ipam_driver, "Options": dict(network.ipam_options), "Config": pools})
    body = {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": network.driver,
        "Options": dict(network.driver_opts),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": ipam and {"Driver": "default", **ipam},
        "Labels": {**network.labels, **labels},
    }
    return _without_defaults(body)


def volume_body(volume: VolumeSpec, labels: Mapping[str, str]) -> Body:
    """The body of `POST /volumes/create`."""
    return _without_defaults(
        {
            "Name": volume.name,
            "Driver": volume.driver,
            "DriverOpts": dict(volume.driver_opts),
            "Labels": {**volume.labels, **labels},
        }
    )


def _without_none(body: Body) -> Body:
    return {key: value for key, value in body.items() if value is not None}


def _without_defaults(body: Body) -> Body:
    """What says nothing is left out: None, and empty, zero or false where that is the engine's default."""
    return {key: value for key, value in body.items() if value or (value is not None and key in MEANINGFUL)}
