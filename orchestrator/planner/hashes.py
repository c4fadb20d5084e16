"""When is a container, network or volume outdated: hashes of all that changes its behaviour, and of nothing else.

Replicas, order, rollout policy, what is run before a stop and how the image is made are not in them; the content of
secrets and configs is.
Source: Docker Compose, `ServiceHash`, plus decision 0002 for the content.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.model.names import Digest, digest
from orchestrator.model.shared import FileSpec, NetworkSpec, VolumeSpec
from orchestrator.model.spec import (
    FileGrant,
    Mode,
    Mount,
    MountType,
    PlacementRules,
    PullPolicy,
    ServiceSpec,
    StackSpec,
    Update,
)


def service_hash(stack: StackSpec, service: ServiceSpec) -> Digest:
    """The configuration that a container of `service` is made from."""
    neutral = replace(
        service,
        build=None,
        pull_policy=PullPolicy.MISSING,
        refresh_after_s=None,
        depends_on={},
        replicas=1,
        mode=Mode.REPLICATED,
        update=Update(),
        attach=True,
        pre_stop=(),
        placement=PlacementRules(),
        many_writers=False,
        resources=replace(service.resources, reserved_nano_cpus=0),
    )
    networks = {join.network: stack.networks[join.network].name for join in service.networks}
    volumes = {mount.source: stack.volumes[mount.source].name for mount in service.mounts if is_named(stack, mount)}
    files = (*_contents(service.secrets, stack.secrets), *_contents(service.configs, stack.configs))
    return digest((neutral, networks, volumes, files))


def network_hash(network: NetworkSpec) -> Digest:
    return digest(network)


def volume_hash(volume: VolumeSpec) -> Digest:
    return digest(volume)


def is_named(stack: StackSpec, mount: Mount) -> bool:
    """The mount is a volume of the stack (not a folder, not an anonymous one)."""
    return mount.type is MountType.VOLUME and mount.source in stack.volumes


def _contents(grants: tuple[FileGrant, ...], files: Mapping[str, FileSpec]) -> tuple[tuple[str, str], ...]:
    return tuple((grant.target, files[grant.source].digest) for grant in grants)
