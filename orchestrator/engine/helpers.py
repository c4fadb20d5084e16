"""Whose a helper container is: so that those of a process that died are removed, and those at work are let be.

The label of a helper says which process made it. Process numbers mean something on their own host alone; what another
host's process made is left alone until it is so old that no work lasts that long.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import time

from orchestrator.model.names import ORCH

HELPER = ORCH + "helper"
"""The label of a container that helps with one piece of work: `host/process/begin` of the process that made it."""
LONGEST_S = 24 * 3600.0
"""No piece of work lasts longer."""
_in_use: set[str] = set()


def new_name() -> str:
    """In use until `let_go`."""
    name = f"orch-helper-{secrets.token_hex(6)}"
    _in_use.add(name)
    return name


def let_go(name: str) -> None:
    _in_use.discard(name)


@functools.cache
def _mark(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{_begun(pid)}"


def mark() -> str:
    """Of this process."""
    return _mark(os.getpid())


def is_leftover(label: str, name: str, created_s: float) -> bool:
    """Nobody works with it any more. `created_s`: seconds since 1970, as the engine's clock has it."""
    host, _, process = label.rpartition("/")[0].rpartition("/")
    begun = label.rpartition("/")[2]
    if label == mark():
        return name not in _in_use
    if host == socket.gethostname() and process.isdecimal():
        return _begun(int(process)) != begun
    return time.time() - created_s > LONGEST_S


def _begun(pid: int) -> str:
    """When it began, in ticks since the boot; empty: there is no such process. Source: proc(5), field 22 of stat."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
