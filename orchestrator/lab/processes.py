"""Commands that end, daemons that stay, and what /proc says of them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import LabError

OWNER = "ORCH_LAB_OWNER"
"""Environment variable of each of our processes: the root of the lab that started it."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_JOIN_AND_DETACH = 'echo $$ > "$0" || exit 1; ulimit -n 1048576 2>/dev/null; "$@" &'


def run(argv: Sequence[str], *, text: str = "") -> str:
    """What the command printed; LabError with its own complaint when it failed."""
    done = subprocess.run(argv, input=text, text=True, capture_output=True)
    if done.returncode:
        complaint = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise LabError(f"`{shlex.join(argv)[:200]}` failed", why=complaint[-1000:])
    return done.stdout


def start_daemon(argv: Sequence[str], *, joins: Path, log: Path, owner: Path) -> None:
    """Start a process that outlives us, inside the control group whose `cgroup.procs` is `joins`.

    It is in the group before it runs its first own instruction, so nothing that it starts can get away.
    """
    with log.open("ab") as output:
        subprocess.run(
            ["/bin/sh", "-c", _JOIN_AND_DETACH, str(joins), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", OWNER: str(owner)},
            check=True,
        )


def command(pid: int) -> str:
    """The name of the program that the process runs; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def owner(pid: int) -> str:
    """Root of the lab that started the process; empty when none did."""
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(OWNER.encode() + b"="):
                return os.fsdecode(entry.partition(b"=")[2])
    return ""


def namespace(pid: int | str, kind: str) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    return ""


def is_first_of_its_namespace(pid: int) -> bool:
    """Process 1 of a pid namespace below ours."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return len(numbers) > 1 and numbers[-1] == "1"
    return False


def descendants(pids: Iterable[int]) -> set[int]:
    """`pids`, their children, and so on."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, queue = set[int](), list(pids)
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue.extend(children.get(pid, ()))
    return found


def send(signal_number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal_number)


def wait_until(is_so: Callable[[], object], *, within_s: float, pause_s: float = 0.01) -> bool:
    """True as soon as `is_so()` holds, False when it did not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)
    return True
