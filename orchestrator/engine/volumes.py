"""The mounts of a request, as `HostConfig.Binds` and `HostConfig.Mounts`. Pure.

A bind whose host path is to be made when it is missing goes into `Binds`, as Docker Compose does it: `Mounts` would
refuse it. Everything else goes into `Mounts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.model.spec import Mount, MountType


def binds(request: ContainerRequest) -> list[str]:
    """`/host:/inside:ro,rshared,z`."""
    return [_bind(mount) for mount in request.service.mounts if _is_old_style(mount)]


def engine_mounts(request: ContainerRequest) -> list[dict[str, Any]]:
    """All other mounts, the anonymous volumes of the container that is replaced, and room for files (see below)."""
    inherited = {held.target: held.name for held in request.inherits}
    mounts = [_mount(mount, request, inherited) for mount in request.service.mounts if not _is_old_style(mount)]
    taken = {mount.target for mount in request.service.mounts}
    mounts += [_volume(target, name) for target, name in sorted(inherited.items()) if target not in taken]
    taken |= set(inherited)
    return mounts + [_volume(target) for target in _file_room(request, taken)]


def _is_old_style(mount: Mount) -> bool:
    """A path with a colon can't be written in a bind; selinux can't be written in a mount."""
    is_made = mount.create_host_path and ":" not in mount.source + mount.target
    return mount.type is MountType.BIND and (is_made or bool(mount.selinux))


def _bind(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw", mount.propagation, mount.selinux]
    return ":".join([mount.source, mount.target, ",".join(option for option in options if option)])


def _mount(mount: Mount, request: ContainerRequest, inherited: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": mount.type.value, "Target": mount.target}
    match mount.type:
        case MountType.VOLUME:
            body["Source"] = request.volumes[mount.source] if mount.source else inherited.get(mount.target, "")
            body["VolumeOptions"] = _present({"NoCopy": mount.nocopy, "Subpath": mount.subpath})
        case MountType.BIND:
            body["Source"] = mount.source
            body["BindOptions"] = _present({"Propagation": mount.propagation})
        case MountType.TMPFS:
            body["TmpfsOptions"] = _present({"SizeBytes": mount.size_bytes, "Mode": mount.mode or 0})
    return _present({**body, "ReadOnly": mount.read_only})


def _volume(target: str, name: str = "") -> dict[str, Any]:
    return _present({"Type": "volume", "Source": name, "Target": target})


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value}


def _file_room(request: ContainerRequest, taken: Iterable[str]) -> list[str]:
    """Directories of secrets and configs that need a volume: the engine puts no file into a read-only root."""
    if not request.service.host.read_only:
        return []
    grants = (*request.service.secrets, *request.service.configs)
    folders = {PurePosixPath(grant.target).parent for grant in grants}
    mounted = {PurePosixPath(target) for target in taken}
    return sorted(str(folder) for folder in folders if not mounted & {folder, *folder.parents})
