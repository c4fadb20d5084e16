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

SOCKET = "/var/run/docker.sock"
SOCKET_CONFIG = "/run/secrets/docker"
"""The folder of the registry credentials of a service with `use_api_socket`. Source: Docker Compose."""


def binds(request: ContainerRequest) -> list[str]:
    """`/host:/inside:ro,rshared,z`."""
    return [_bind(mount) for mount in request.service.mounts if _is_old_style(mount)]


def tmpfs(request: ContainerRequest) -> dict[str, str]:
    """Target -> options as written, of those tmpfs whose options `Mounts` can't say."""
    return {mount.target: mount.options for mount in request.service.mounts if _is_raw_tmpfs(mount)}


def _is_raw_tmpfs(mount: Mount) -> bool:
    return mount.type is MountType.TMPFS and bool(mount.options)


def engine_mounts(request: ContainerRequest) -> list[dict[str, Any]]:
    """All other mounts: those of the file, the engine's socket where it may be used, the anonymous volumes of the
    container that is replaced, and room for files (see below)."""
    inherited = {held.target: held.name for held in request.inherits}
    new_style = [m for m in request.service.mounts if not (_is_old_style(m) or _is_raw_tmpfs(m))]
    mounts = [_mount(mount, request, inherited) for mount in new_style]
    taken = {mount.target for mount in request.service.mounts}
    if request.service.use_api_socket and SOCKET not in taken:
        mounts.append({"Type": "bind", "Source": SOCKET, "Target": SOCKET})
    mounts += [_volume(target, name) for target, name in sorted(inherited.items()) if target not in taken]
    taken |= set(inherited)
    return mounts + [_volume(target) for target in _file_room(request, taken)]


def _is_old_style(mount: Mount) -> bool:
    """A path with a colon and a recursion can't be written in a bind; selinux can't be written in a mount."""
    is_made = mount.create_host_path and ":" not in mount.source + mount.target and not mount.recursive
    return mount.type is MountType.BIND and (is_made or bool(mount.selinux))


def _bind(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw", mount.propagation, mount.selinux]
    return ":".join([mount.source, mount.target, ",".join(option for option in options if option)])


def _mount(mount: Mount, request: ContainerRequest, inherited: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": mount.type.value, "Target": mount.target}
    match mount.type:
        case MountType.VOLUME:
            body["Source"] = request.volumes[mount.source] if mount.source else inherited.get(mount.target, "")
            options = {"NoCopy": mount.nocopy, "Subpath": mount.subpath, "Labels": dict(mount.labels)}
            body["VolumeOptions"] = _present(options)
        case MountType.BIND:
            body["Source"] = mount.source
            body["BindOptions"] = _bind_options(mount)
        case MountType.TMPFS:
            body["TmpfsOptions"] = _present({"SizeBytes": mount.size_bytes, "Mode": mount.mode or 0})
        case MountType.IMAGE:
            body["Source"] = mount.source
            body["ImageOptions"] = _present({"Subpath": mount.subpath})
    return _present({**body, "ReadOnly": mount.read_only})


def _bind_options(mount: Mount) -> dict[str, Any]:
    """Engines before API 1.42 don't know `CreateMountpoint`: they refuse a path that is not there."""
    return _present(
        {
            "Propagation": mount.propagation,
            "CreateMountpoint": mount.create_host_path,
            "NonRecursive": mount.recursive == "disabled",
            "ReadOnlyNonRecursive": mount.recursive == "writable",
            "ReadOnlyForceRecursive": mount.recursive == "readonly",
        }
    )


def _volume(target: str, name: str = "") -> dict[str, Any]:
    return _present({"Type": "volume", "Source": name, "Target": target})


def _present(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value}


def _file_room(request: ContainerRequest, taken: Iterable[str]) -> list[str]:
    """Directories of secrets and configs that need a volume: the engine puts no file into a read-only root."""
    service = request.service
    if not service.host.read_only:
        return []
    folders = {PurePosixPath(grant.target).parent for grant in (*service.secrets, *service.configs)}
    folders |= {PurePosixPath(SOCKET_CONFIG)} if service.use_api_socket else set()
    mounted = {PurePosixPath(target) for target in taken}
    return sorted(str(folder) for folder in folders if not mounted & {folder, *folder.parents})
