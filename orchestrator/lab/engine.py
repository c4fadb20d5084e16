"""The Docker Engine of a node: its configuration, its start, its crash."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from orchestrator.errors import LabError
from orchestrator.lab import api, cgroups, host, processes
from orchestrator.lab.settings import Place, Settings
from orchestrator.model.names import NodeName

_BOOT_S = 60.0
_REBOOT_S = 300.0
"""A boot may first start containers; with overlay networks and no manager that takes 20 s for each."""
_CRASH_S = 10.0
_STOP_S = 40.0


def configuration(place: Place, settings: Settings, node: NodeName) -> dict[str, object]:
    """daemon.json of the node. Source: dockerd(8)."""
    directory, certificates = place.of(node), place.certificates
    tls = {
        "tlsverify": True,
        "tlscacert": f"{certificates}/ca.pem",
        "tlscert": f"{certificates}/{node}-cert.pem",
        "tlskey": f"{certificates}/{node}-key.pem",
    }
    return {
        "hosts": [f"unix://{place.socket(node)}", settings.endpoint(node)],
        "data-root": f"{directory}/data",
        "exec-root": f"{directory}/exec",
        "pidfile": f"{directory}/dockerd.pid",
        "cgroup-parent": cgroups.parent(settings.name, node),
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "labels": [f"node={node}", f"zone=z{node[1:]}"],
        "log-level": "warn",
        "shutdown-timeout": 5,
        **(tls if settings.tls else {}),
    }


def start(place: Place, settings: Settings, node: NodeName, pid: int) -> None:
    """Start dockerd in the namespaces of the node's process 1 `pid`. Returns at once; `await_answer` waits.

    Stale pid files go first: when their number is in use again, dockerd waits 15 s for that process and gives up.
    `--tls=false` must be spelled out, or dockerd sleeps 15 s before it listens on plain tcp (with it, 1 s).
    """
    directory = place.of(node)
    for stale in ("dockerd.pid", "docker.sock", "exec/containerd/containerd.pid"):
        (directory / stale).unlink(missing_ok=True)
    (directory / "etc-docker" / "daemon.json").write_text(json.dumps(configuration(place, settings, node), indent=1))
    argv = host.inside(pid, "dockerd", *([] if settings.tls else ["--tls=false"]))
    joins = cgroups.make(settings.name, node, cgroups.ENGINE)
    processes.start_daemon(argv, joins=joins, log=_log(place, node), owner=place.root)


def _log(place: Place, node: NodeName) -> Path:
    return place.of(node) / "dockerd.log"


def await_answer(place: Place, settings: Settings, node: NodeName, *, reboot: bool = False) -> None:
    """Return when the engine answers; LabError with the end of its log when it died or does not in time."""

    def is_decided() -> bool:
        return api.answers(place.socket(node)) or not _has(settings.name, node, "sh", "nsenter", "dockerd")

    processes.wait_until(is_decided, within_s=_REBOOT_S if reboot else _BOOT_S, pause_s=0.02)
    if not api.answers(place.socket(node)):
        log = _log(place, node)
        last = log.read_text(errors="replace")[-1500:].strip()
        raise LabError(
            f'the engine of "{node}" did not come up', where=str(log), why=last, fix="`orch lab down`, then `up`"
        )


def _processes(lab: str, node: NodeName, *commands: str) -> set[int]:
    pids = cgroups.members(cgroups.group(lab, node, cgroups.ENGINE))
    return {pid for pid in pids if processes.command(pid) in commands}


def _has(lab: str, node: NodeName, *commands: str) -> bool:
    return bool(_processes(lab, node, *commands))


def is_running(lab: str, node: NodeName) -> bool:
    """There is a dockerd, be it hung."""
    return _has(lab, node, "dockerd")


def crash(lab: str, node: NodeName) -> None:
    """SIGKILL for dockerd and containerd; host and containers live on.

    dockerd first, or it would start another containerd.
    """
    for name in ("dockerd", "containerd"):

        def is_gone(name: str = name) -> bool:
            processes.send(signal.SIGKILL, pids := _processes(lab, node, name))
            return not pids

        if not processes.wait_until(is_gone, within_s=_CRASH_S):
            raise LabError(f'{name} of "{node}" will not die', fix=f"`orch lab kill {node}` takes the whole host")


def stop(lab: str, node: NodeName) -> None:
    """The engine's orderly end; a crash if it takes too long."""
    processes.send(signal.SIGTERM, _processes(lab, node, "dockerd"))
    if not processes.wait_until(lambda: not is_running(lab, node), within_s=_STOP_S):
        crash(lab, node)


def hang(lab: str, node: NodeName) -> None:
    """dockerd stops running but stays; its sockets still accept."""
    processes.send(signal.SIGSTOP, _processes(lab, node, "dockerd"))


def resume(lab: str, node: NodeName) -> None:
    """Undo `hang`. `nsenter` stops itself together with its child."""
    processes.send(signal.SIGCONT, _processes(lab, node, "dockerd", "nsenter"))
