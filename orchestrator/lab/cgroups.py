"""Control groups: how the lab knows which processes are its own, freezes them, and cleans up after them.

All that runs in a node is below `orch-lab/LAB/NODE`: `_host` holds the namespaces, `_engine` the daemons and their
shims, the engine puts each container beside them. So no process is ever found by its name or by a pattern.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from orchestrator.errors import LabError

HOST, ENGINE = "_host", "_engine"
_TOP = Path("/sys/fs/cgroup")
_OURS = "orch-lab"
_REMOVAL_S = 2.0


@cache
def _tracking() -> tuple[Path, int]:
    """The hierarchy that tells processes apart and can freeze them, and its cgroup version."""
    if (_TOP / "cgroup.controllers").exists():
        return _TOP, 2
    if (_TOP / "freezer" / "cgroup.procs").exists():
        return _TOP / "freezer", 1
    raise LabError(
        "no usable control groups on this machine",
        why=f"neither cgroup v2 nor a v1 freezer is mounted in {_TOP}",
        fix="mount cgroup2 there, or boot with systemd",
    )


def parent(lab: str, node: str) -> str:
    """The engine's `cgroup-parent`."""
    return f"/{_OURS}/{lab}/{node}"


def group(lab: str, node: str, part: str = "") -> Path:
    return _tracking()[0] / _OURS / lab / node / part


def make(lab: str, node: str, part: str) -> Path:
    """The file through which a process joins that group."""
    path = group(lab, node, part)
    while not path.is_dir():
        with suppress(FileNotFoundError):  # the end of another lab just took the common parent
            path.mkdir(parents=True, exist_ok=True)
    return path / "cgroup.procs"


def labs() -> tuple[str, ...]:
    """Names of all labs that have groups on this machine."""
    return _children(_tracking()[0] / _OURS)


def nodes(lab: str) -> tuple[str, ...]:
    """Names of the nodes, the hub included, that have groups."""
    return _children(_tracking()[0] / _OURS / lab)


def _children(path: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(child.name for child in path.iterdir() if child.is_dir()))
    except FileNotFoundError:
        return ()


def members(path: Path) -> set[int]:
    """Process ids in the group and all groups below it."""
    pids: set[int] = set()
    for directory, _, _ in os.walk(path):
        with suppress(OSError):
            pids.update(int(line) for line in Path(directory, "cgroup.procs").read_text().split())
    return pids


def freeze(lab: str, node: str, *, frozen: bool) -> None:
    """Stop or go on: every process of the node at once. Nothing happens where the node has no group."""
    names = {1: ("freezer.state", "FROZEN", "THAWED"), 2: ("cgroup.freeze", "1", "0")}
    file, on, off = names[_tracking()[1]]
    with suppress(FileNotFoundError):
        (group(lab, node) / file).write_text(on if frozen else off)


def is_frozen(lab: str, node: str) -> bool:
    file, on = {1: ("freezer.state", "FROZEN"), 2: ("cgroup.freeze", "1")}[_tracking()[1]]
    with suppress(OSError):
        return (group(lab, node) / file).read_text().strip() == on
    return False


def remove(lab: str, node: str) -> None:
    """Take the node's groups away, in every hierarchy that runc may have used."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / _OURS / lab / node, topdown=False):
            _remove_one(Path(directory))


def remove_lab(lab: str) -> None:
    """Take all groups of the lab away.

    Their common parent goes with the last lab only: it must not vanish while runc, in another lab, makes a group in it.
    """
    remove(lab, "")
    if not labs():
        for hierarchy in _hierarchies():
            with suppress(OSError):
                (hierarchy / _OURS).rmdir()


def _hierarchies() -> Iterator[Path]:
    yield _TOP
    if _tracking()[1] == 1:
        yield from (path for path in _TOP.iterdir() if path.is_dir() and not path.is_symlink())


def _remove_one(path: Path) -> None:
    """A group stays busy for some milliseconds after its last process died."""
    deadline = time.monotonic() + _REMOVAL_S
    while True:
        try:
            return path.rmdir()
        except FileNotFoundError:
            return None
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f'control group "{path}" can\'t be removed', why=str(error)) from error
            time.sleep(0.01)
