from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.lab import Lab
from tests.labs import engine_socket, lab, lab3, labs, root_of

__all__ = ["engine_socket", "lab", "lab3", "labs", "scratch"]


_numbers = itertools.count(1)


class Traces(NamedTuple):
    """What a lab could leave on the machine."""

    processes: set[str]
    mounts: set[str]
    groups: set[str]
    namespaces: set[str]
    links: set[str]
    top: set[str]


def traces(root: Path, name: str) -> Traces:
    """All that belongs to the lab, or has its name or path, in this machine's own namespaces."""
    marks = (str(root), f"orch-lab/{name}")
    processes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cgroup").read_bytes()
        except OSError:
            continue
        if any(mark.encode() in text for mark in marks):
            processes.add(process.name)
    return Traces(
        processes=processes,
        mounts={line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line},
        groups={str(path) for path in Path("/sys/fs/cgroup").glob(f"*/orch-lab/{name}")},
        namespaces={str(path) for path in Path("/run/netns").glob("*")},
        links=set(subprocess.run(["ip", "-o", "link"], text=True, capture_output=True).stdout.splitlines()),
        top={str(path) for top in ("/", "/etc", "/opt", "/run", "/var/lib") for path in Path(top).glob("*")},
    )


@pytest.fixture
def scratch() -> Iterator[Lab]:
    """A lab that nobody else uses, not up yet; gone after the test, whatever happened."""
    name = f"t{os.getpid()}-s{next(_numbers)}"
    fresh = Lab(root_of(name), name)
    yield fresh
    fresh.down()
    assert not fresh.root.exists()
