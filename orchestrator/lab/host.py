"""A node as a machine without an engine: its namespaces, its private directories, its birth and its end.

A node is one process (its process 1) in its own network, mount, host name, ipc and pid namespaces. Everything else
that runs in the node descends from it or was sent into its namespaces, so the node ends when that one process does:
the kernel then kills the rest, and with the last process all mounts and interfaces are gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import cgroups, processes, resolver
from orchestrator.lab.settings import HUB, Place, Settings
from orchestrator.model.names import NodeName

_BIRTH_S = 10.0
_DEATH_S = 20.0

# `wait` reaps every orphan that the pid namespace hands to its process 1.
_FIRST_PROCESS = "trap : TERM INT HUP; while :; do sleep 2147483647 & wait; done"

# Own /run and /dev/shm as after a boot; own /etc and /opt as copies on write, so that nothing that an engine makes
# there (containerd makes /opt/containerd) is left on the machine. Engine 20.10 keeps its identity in /etc/docker:
# shared, all nodes would report one engine ID; hence the bind mount, which also survives a reboot of the node.
# Kernel modules stay this machine's, whatever engine is mounted over /usr.
_FURNISH = """set -e
dir=$1 name=$2 nameserver=$3 usr=$4
mount --make-rshared /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir -p /run/lock
for top in etc opt; do
  mkdir -p /run/private/$top /run/private/$top.work
  mount -t overlay -o lowerdir=/$top,upperdir=/run/private/$top,workdir=/run/private/$top.work overlay /$top
done
mkdir -p /etc/docker
mount --bind "$dir/etc-docker" /etc/docker
rm -f /etc/resolv.conf
printf 'nameserver %s\\noptions timeout:1 attempts:1\\n' "$nameserver" > /etc/resolv.conf
printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n' "$name" > /etc/hosts
echo "$name" > /etc/hostname
hostname "$name"
if [ -n "$usr" ]; then
  mkdir /run/private/modules
  if [ -d /usr/lib/modules ]; then mount --bind /usr/lib/modules /run/private/modules; fi
  mount --bind "$usr" /usr
  mount -o remount,bind,ro /usr
  mount --bind /run/private/modules /usr/lib/modules
fi
"""


def holder(lab: str, node: str) -> int | None:
    """The process that keeps the namespaces of the node, or of the hub, in being."""
    ours = processes.namespace("self", "net")
    for pid in sorted(cgroups.members(cgroups.group(lab, node, cgroups.HOST))):
        if processes.namespace(pid, "net") in ("", ours):
            continue
        if node == HUB or processes.is_first_of_its_namespace(pid):
            return pid
    return None


def network_only(pid: int, *argv: str) -> list[str]:
    """argv that runs a command with this machine's files in the network of `pid`."""
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *argv]


def inside(pid: int, *argv: str) -> list[str]:
    """argv that runs a command in all namespaces of the node whose process 1 is `pid`."""
    return ["nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "--wd=/", "--", *argv]


def ensure_hub(place: Place, settings: Settings) -> int:
    """The hub's process, started if it was missing."""
    return holder(settings.name, HUB) or _start(
        place, settings.name, HUB, ["unshare", "--net", "--", sys.executable, "-I", "-S", resolver.__file__]
    )


def ensure(place: Place, settings: Settings, node: NodeName, usr: Path | None) -> int:
    """The node's process 1, started and furnished if it was missing.

    usr: mounted over /usr in the node, for an engine that is not this machine's own.
    """
    pid = holder(settings.name, node)
    if pid and (place.of(node) / "furnished").exists():
        return pid
    end(settings.name, node)
    (place.of(node) / "etc-docker").mkdir(parents=True, exist_ok=True)
    (place.of(node) / "furnished").unlink(missing_ok=True)
    shutil.rmtree(place.of(node) / "exec", ignore_errors=True)  # /run is empty after a boot
    unshare = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--propagation=private", "--"]
    pid = _start(place, settings.name, node, [*unshare, "/bin/sh", "-c", _FIRST_PROCESS])
    arguments = (str(place.of(node)), str(node), settings.hub_address, str(usr or ""))
    processes.run(inside(pid, "/bin/sh", "-c", _FURNISH, "furnish", *arguments))
    (place.of(node) / "furnished").touch()
    return pid


def _start(place: Place, lab: str, node: str, argv: list[str]) -> int:
    place.of(node).mkdir(parents=True, exist_ok=True)
    log = place.of(node) / "host.log"
    processes.start_daemon(argv, joins=cgroups.make(lab, node, cgroups.HOST), log=log, owner=place.root)
    processes.wait_until(lambda: holder(lab, node), within_s=_BIRTH_S, pause_s=0.003)
    pid = holder(lab, node)
    if pid is None:
        why = log.read_text(errors="replace").strip()[-500:]
        raise LabError(
            f'the namespaces of "{node}" did not come up', why=why, fix="run as root, on a kernel with namespaces"
        )
    return pid


def end(lab: str, node: str) -> None:
    """Kill every process of the node, frozen ones too, and remove its control groups. Nothing there is no error."""
    tree = cgroups.group(lab, node)

    def is_empty() -> bool:
        members = cgroups.members(tree)
        processes.send(signal.SIGKILL, processes.descendants(members) - {os.getpid()} if members else ())
        cgroups.freeze(lab, node, frozen=False)
        return not members

    if not processes.wait_until(is_empty, within_s=_DEATH_S):
        left = ", ".join(f"{pid} ({processes.command(pid)})" for pid in sorted(cgroups.members(tree)))
        raise LabError(f'processes of "{node}" will not die', why=left, fix="see them with `ps`, then repeat")
    cgroups.remove(lab, node)
