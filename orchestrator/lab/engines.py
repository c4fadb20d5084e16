"""Which engine a node runs: this machine's own, or another Debian release's, unpacked beside it."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import debian, processes
from orchestrator.lab.settings import DEFAULT_CACHE

SUITES = {"20.10": "bookworm", "26.1": "trixie"}
"""Engine version -> the Debian release whose docker.io it is."""

_PACKAGES = (
    "docker.io",
    "iptables",
    "iproute2",
    "kmod",
    "procps",
    "util-linux",
    "mount",
    "coreutils",
    "dash",
    "grep",
    "sed",
)
_ALTERNATIVES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
"""Links that maintainer scripts make; in a node they follow the machine's own choice of nft or legacy."""


def own_version() -> str:
    """This machine's engine, as "20.10" for Debian 12's."""
    words = processes.run(["dockerd", "--version"]).split()
    return ".".join(words[2].split(".")[:2])


def require_known(engine: str) -> None:
    """LabError for an engine that neither this machine nor a Debian release has."""
    known = {*SUITES, own_version()}
    if engine not in known:
        raise LabError(f'unknown engine "{engine}"', fix=f"there are: {', '.join(sorted(known))}")


def usr_of(engine: str, say: Callable[[str], None], *, cache: Path = DEFAULT_CACHE) -> Path | None:
    """The directory to mount over /usr in a node; None when this machine's own engine is the wanted one.

    Unpacked at the first call (about 10 s), kept in `cache`.
    """
    if engine == own_version():
        return None
    directory = cache / f"engine-{engine}"
    with locked(cache):
        if not directory.exists():
            say(f"unpacking engine {engine} from Debian {SUITES[engine]}")
            _unpack(SUITES[engine], directory, cache)
    return directory / "usr"


def _unpack(suite: str, directory: Path, cache: Path) -> None:
    """Appears under its name only when complete."""
    interim = directory.with_suffix(".part")
    shutil.rmtree(interim, ignore_errors=True)
    debian.unpack(debian.Release(cache=cache, suite=suite).closure(_PACKAGES), interim)
    (interim / "usr/lib/modules").mkdir(exist_ok=True)
    for name in _ALTERNATIVES:
        (interim / "usr/sbin" / name).symlink_to(f"/etc/alternatives/{name}")
    if not (interim / "usr/bin/sh").exists():
        (interim / "usr/bin/sh").symlink_to("dash")
    if not (interim / "usr/sbin/dockerd").exists():
        raise LabError(f"Debian {suite} has no dockerd", fix="see its package docker.io")
    interim.rename(directory)


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One process at a time fills the cache. Raises LabError when it can't be written."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as error:
        fix = "run as root, or set ORCH_LAB_CACHE to a directory of yours"
        raise LabError(f'the cache "{cache}" can\'t be written', why=str(error), fix=fix) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
