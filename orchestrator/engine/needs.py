"""What a stack may ask that older engines lack: refused for that node, by name, never dropped."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.engine.body import ApiVersion
from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import TooOld
from orchestrator.model.shared import NetworkSpec
from orchestrator.model.spec import MountType

NEEDS: tuple[tuple[str, ApiVersion, str], ...] = (
    # (key of the stack, first API that has it, Docker Engine of that API)
    ("devices (by CDI name)", (1, 44), "25.0"),
    ("healthcheck.start_interval", (1, 44), "25.0"),
    ("volumes.volume.subpath", (1, 45), "26.0"),
    ("annotations", (1, 43), "24.0"),
    ("networks.mac_address", (1, 44), "25.0"),
    ("cgroup", (1, 41), "20.10"),
    ("volumes.bind.recursive", (1, 44), "25.0"),
    ("volumes.image", (1, 48), "28.0"),
    ("networks.gw_priority", (1, 48), "28.0"),
    ("networks.interface_name", (1, 49), "28.1"),
)


NEW_RECURSIONS = ("writable", "readonly")
"""`disabled` is as old as API 1.40."""

IPV4_SWITCH: ApiVersion = (1, 48)


def check_needs(request: ContainerRequest, api: ApiVersion) -> None:
    """raises TooOld, naming the key, when the engine would not honour something that the service asks for."""
    used = set(_used_needs(request))
    for key, since, release in NEEDS:
        if key in used and api < since:
            raise _too_old(f'service "{request.service.name}"', key, since, release, api)


def check_network_needs(network: NetworkSpec, api: ApiVersion) -> None:
    """The same of a network."""
    if not network.enable_ipv4 and api < IPV4_SWITCH:
        raise _too_old(f'network "{network.key}"', "enable_ipv4: false", IPV4_SWITCH, "28.0", api)


def _too_old(what: str, key: str, since: ApiVersion, release: str, api: ApiVersion) -> TooOld:
    return TooOld(
        f'{what} has "{key}", which this engine doesn\'t know',
        why=f"it came with API {_dotted(since)}, and the engine speaks {_dotted(api)}",
        fix=f'install Docker Engine {release} or later on this host, or remove "{key}"',
    )


def _used_needs(request: ContainerRequest) -> Iterable[str]:
    service = request.service
    attachments = [join.attachment for join in request.networks]
    uses = {
        "healthcheck.start_interval": bool(service.healthcheck and service.healthcheck.start_interval_s is not None),
        "volumes.volume.subpath": any(m.subpath for m in service.mounts if m.type is MountType.VOLUME),
        "volumes.image": any(m.type is MountType.IMAGE for m in service.mounts),
        "volumes.bind.recursive": any(m.recursive in NEW_RECURSIONS for m in service.mounts),
        "devices (by CDI name)": any(request.driver == "cdi" for request in service.host.device_requests),
        "annotations": bool(service.annotations),
        "cgroup": bool(service.host.cgroup),
        "networks.mac_address": any(attachment.mac_address for attachment in attachments[1:]),
        "networks.gw_priority": any(attachment.gw_priority for attachment in attachments),
        "networks.interface_name": any(attachment.interface_name for attachment in attachments),
    }
    return (key for key, is_used in uses.items() if is_used)


def _dotted(version: ApiVersion) -> str:
    return "{}.{}".format(*version)
