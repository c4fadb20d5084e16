"""What orch asks for, as the Engine API's dictionaries. Pure: equal requests give equal dictionaries.

Sources: Docker Engine API 1.41 to 1.49, `ContainerCreate`, `NetworkCreate`, `VolumeCreate`; where several ways exist,
the one that Docker Compose v2 takes, so that a container of ours is as one of Compose's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from orchestrator.engine.body import ApiVersion, Body, without_defaults, without_none
from orchestrator.engine.hostoptions import host_options, resources
from orchestrator.engine.needs import check_needs, check_network_needs
from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.engine.volumes import SOCKET_CONFIG, binds, engine_mounts, tmpfs
from orchestrator.errors import Refused
from orchestrator.model.names import INHERITS
from orchestrator.model.shared import NetworkSpec, VolumeSpec
from orchestrator.model.spec import Attachment, Healthcheck, Port, RestartCondition, ServiceSpec

SEVERAL_NETWORKS: ApiVersion = (1, 44)
"""From here on a container is created on all of its networks at once."""


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
        "Env": [name if value is None else f"{name}={value}" for name, value in _environment(service).items()],
        "Labels": {**service.labels, **request.labels, **_inherits(request)},
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
        "NetworkingConfig": _networking(request, api),
    }
    if api < SEVERAL_NETWORKS:
        body["MacAddress"] = request.networks[0].attachment.mac_address if request.networks else service.mac_address
    return without_defaults(body)


def _inherits(request: ContainerRequest) -> dict[str, str]:
    """So that these volumes can go with the container, as anonymous ones do."""
    return {INHERITS: ",".join(held.name for held in request.inherits)} if request.inherits else {}


def host_config(request: ContainerRequest) -> Body:
    """`HostConfig`. Zero, empty and None mean the engine's default, and are left out."""
    service = request.service
    body: Body = {
        **resources(service.resources),
        **host_options(service.host),
        "NetworkMode": request.network_mode or (request.networks[0].name if request.networks else ""),
        "IpcMode": request.ipc,
        "PidMode": request.pid,
        "PortBindings": port_bindings(request),
        "RestartPolicy": _restart_policy(service),
        "Annotations": dict(service.annotations),
        "Binds": binds(request),
        "Mounts": engine_mounts(request),
        "Tmpfs": tmpfs(request),
        "VolumesFrom": list(request.volumes_from),
        "Links": [] if request.networks else list(request.links),
    }
    return without_defaults(body)


def _environment(service: ServiceSpec) -> Mapping[str, str | None]:
    """With `use_api_socket`: where the credentials are, unless the stack says it."""
    return {"DOCKER_CONFIG": SOCKET_CONFIG, **service.environment} if service.use_api_socket else service.environment


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
    return without_none(
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


def _networking(request: ContainerRequest, api: ApiVersion) -> Body | None:
    """All networks, or only the first for an engine that takes but one."""
    joins, mac_address = request.networks, request.service.mac_address
    if not joins and mac_address and api >= SEVERAL_NETWORKS:
        return {"EndpointsConfig": {request.network_mode: {"MacAddress": mac_address}}}
    taken = joins if api >= SEVERAL_NETWORKS else joins[:1]
    return {"EndpointsConfig": {join.name: endpoint_config(join, api) for join in taken}} if taken else None


def endpoint_config(join: NetworkJoin, api: ApiVersion) -> Body:
    """`EndpointSettings` of one network."""
    attachment = join.attachment
    body: Body = {
        "Aliases": list(join.aliases),
        "Links": list(join.links),
        "IPAMConfig": _addresses(attachment),
        "DriverOpts": _driver_options(attachment),
        "GwPriority": attachment.gw_priority,
    }
    if api >= SEVERAL_NETWORKS:
        body["MacAddress"] = attachment.mac_address
    return without_defaults(body)


def _addresses(attachment: Attachment) -> Body:
    return without_defaults(
        {
            "IPv4Address": attachment.ipv4_address,
            "IPv6Address": attachment.ipv6_address,
            "LinkLocalIPs": list(attachment.link_local_ips),
        }
    )


def _driver_options(attachment: Attachment) -> dict[str, str]:
    interface = {"com.docker.network.endpoint.ifname": attachment.interface_name} if attachment.interface_name else {}
    return {**attachment.driver_opts, **interface}


def network_body(network: NetworkSpec, labels: Mapping[str, str], api: ApiVersion) -> Body:
    """The body of `POST /networks/create`; raises TooOld."""
    check_network_needs(network, api)
    pools = [
        without_defaults(
            {
                "Subnet": pool.subnet,
                "IPRange": pool.ip_range,
                "Gateway": pool.gateway,
                "AuxiliaryAddresses": dict(pool.aux_addresses),
            }
        )
        for pool in network.ipam
    ]
    ipam = without_defaults({"Driver": network.ipam_driver, "Options": dict(network.ipam_options), "Config": pools})
    body = {
        "Name": network.name,
        "CheckDuplicate": True,
        "Driver": network.driver,
        "Options": dict(network.driver_opts),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "EnableIPv4": None if network.enable_ipv4 else False,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": ipam and {"Driver": "default", **ipam},
        "Labels": {**network.labels, **labels},
    }
    return without_defaults(body)


def volume_body(volume: VolumeSpec, labels: Mapping[str, str]) -> Body:
    """The body of `POST /volumes/create`."""
    return without_defaults(
        {
            "Name": volume.name,
            "Driver": volume.driver,
            "DriverOpts": dict(volume.driver_opts),
            "Labels": {**volume.labels, **labels},
        }
    )
