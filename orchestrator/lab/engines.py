"""Which engine a node runs: this machine's own, or another Debian release's, unpacked beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import processes

SUITES = {"20.10": "bookworm", "26.1": "trixie"}
"""Engine version -> the Debian release whose docker.io it is."""


def own_version() -> str:
    """ "20.10" for Debian 12's."""
    words = processes.run(["dockerd", "--version"]).split()
    return ".".join(words[2].split(".")[:2])


def usr_of(engine: str, say: Callable[[str], None]) -> Path | None:
    """The directory to mount over /usr in a node; None when this machine's own engine is the wanted one."""
    if engine == own_version():
        return None
    if engine not in SUITES:
        raise LabError(
            f'unknown engine "{engine}"', fix=f"there are: {', '.join(SUITES)}, and this machine's {own_version()}"
        )
    say(f"engine {engine}: unpacking")
    raise LabError(f'engine "{engine}" is not unpacked yet')
