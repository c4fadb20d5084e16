"""`volumes` and `tmpfs` of the canonical project -> Mount."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.errors import BadValue, SpecError, UnsupportedKey
from orchestrator.model.spec import Mount, MountType
from orchestrator.spec import sizes
from orchestrator.spec.mounts import clean
from orchestrator.spec.tree import At, Map, Seq

_DEFAULT_OPTIONS = frozenset(("rw", "noexec", "nosuid", "nodev"))
"""Options of a tmpfs that the engine sets anyway."""


def mounts(name: str, service: Map, problems: list[SpecError]) -> tuple[Mount, ...]:
    """All mounts of service `name`, in its order; kinds that are not there yet go to `problems`."""
    found = []
    for target, at in _targets(service):
        if clean(target) == "/" or not target.startswith("/"):
            what = f'service "{name}" can\'t mount on "{target}"'
            why = "the engine takes an absolute path in the container, and not its root"
            problems.append(BadValue(what, where=str(at), why=why, fix=_absolute(target)))
    for mount in service.get("volumes", ()):
        if mount["type"] in set(MountType):
            found.append(_mount(mount))
        else:
            what = f'service "{name}": orch does not honour mounts of type "{mount["type"]}" yet'
            problems.append(UnsupportedKey(what, where=str(mount.at), fix="use bind, volume, tmpfs or image"))
    for spec, at in (service.get("tmpfs") or Seq()).entries():
        found.append(_tmpfs(name, spec, at, problems))
    return tuple(found)


def _targets(service: Map) -> Iterator[tuple[str, At]]:
    for mount in service.get("volumes", ()):
        yield mount.get("target", ""), mount.place("target")
    for spec, at in (service.get("tmpfs") or Seq()).entries():
        yield spec.partition(":")[0], at


def _absolute(target: str) -> str:
    if target[:1].isalpha() and target[1:3] == ":/":
        return "give the volume a name of two letters or more: one letter is a Windows drive"
    path = clean(f"/{target}")
    return f'write "{path}"' if path != "/" else "name a folder"


def _mount(mount: Map) -> Mount:
    bind, volume, tmpfs, image = (mount.get(kind) or Map() for kind in ("bind", "volume", "tmpfs", "image"))
    return Mount(
        type=MountType(mount["type"]),
        target=mount.get("target", ""),
        source=mount.get("source", ""),
        read_only=mount.get("read_only", False),
        nocopy=volume.get("nocopy", False),
        subpath=volume.get("subpath", "") or image.get("subpath", ""),
        propagation=bind.get("propagation", ""),
        selinux=bind.get("selinux", ""),
        create_host_path=bind.get("create_host_path", True),
        size_bytes=sizes.parse(tmpfs.get("size", "0")),
        mode=tmpfs.get("mode"),
        recursive=bind.get("recursive", "").replace("enabled", ""),
        labels=dict(volume.get("labels", {})),
    )


def _tmpfs(name: str, spec: str, at: At, problems: list[SpecError]) -> Mount:
    """`/run:size=64m,mode=1770`; options of other kinds are for the engine to judge, all together as written."""
    target, _, options = spec.partition(":")
    size, mode, read_only, is_plain = 0, None, False, True
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        try:
            if key == "size":
                size = sizes.parse(value)
            elif key == "mode":
                mode = int(value, 8)
            elif key == "ro":
                read_only = True
            elif key not in _DEFAULT_OPTIONS:
                is_plain = False
        except ValueError as error:
            what = f'service "{name}": "{option}" is no option of a tmpfs'
            problems.append(BadValue(what, where=str(at), why=str(error), fix="write size=64m, mode=1770"))
    if not is_plain:
        return Mount(type=MountType.TMPFS, target=target, options=options)
    return Mount(type=MountType.TMPFS, target=target, size_bytes=size, mode=mode, read_only=read_only)
