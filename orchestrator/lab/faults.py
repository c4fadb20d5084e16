"""What can happen to a host: power cut, crash of its engine, freeze, partition; and how each ends."""

from __future__ import annotations

from orchestrator.errors import LabError
from orchestrator.lab import cgroups, engine, host, network
from orchestrator.lab.settings import HUB, Place, Settings
from orchestrator.model.names import NodeName


def power_cut(settings: Settings, node: NodeName) -> None:
    """The whole host dies. The cable goes first: a host without power sends no FIN and no RST."""
    network.cut_off(host.holder(settings.name, HUB), node)
    host.end(settings.name, node)


def boot(place: Place, settings: Settings, node: NodeName, *, hub: int, pid: int) -> None:
    """Plug the node in and start its engine unless it runs; both are no-ops where nothing is to do."""
    network.ensure_cable(hub, node, pid, settings)
    if not engine.is_running(settings.name, node):
        engine.start(place, settings, node, pid)


def freeze(settings: Settings, node: NodeName) -> None:
    """All processes of the host stop. Its kernel still accepts TCP."""
    _require_host(settings, node)
    cgroups.freeze(settings.name, node, frozen=True)


def hang(settings: Settings, node: NodeName) -> None:
    """Only dockerd stops; containers run on."""
    _require_host(settings, node)
    engine.hang(settings.name, node)


def resume(settings: Settings, node: NodeName) -> None:
    """Undo `freeze` and `hang`."""
    cgroups.freeze(settings.name, node, frozen=False)
    engine.resume(settings.name, node)


def crash(settings: Settings, node: NodeName) -> None:
    """Only the engine dies; containers run on."""
    _require_host(settings, node)
    cgroups.freeze(settings.name, node, frozen=False)
    engine.crash(settings.name, node)


def partition(settings: Settings, node: NodeName, *, drop: bool) -> None:
    """Nothing passes between the node and the others. drop: silently, with the link up."""
    hub = _require_cable(settings, node)
    network.swallow(hub, node) if drop else network.unplug(hub, node)


def heal(settings: Settings, node: NodeName) -> None:
    """Undo `partition`."""
    network.plug(_require_cable(settings, node), node)


def _require_host(settings: Settings, node: NodeName) -> int:
    pid = host.holder(settings.name, node)
    if pid is None:
        raise LabError(f'"{node}" is down', why="it was killed", fix=f"orch lab restart {node}")
    return pid


def _require_cable(settings: Settings, node: NodeName) -> int:
    _require_host(settings, node)
    hub = host.holder(settings.name, HUB)
    if hub is None:
        raise LabError("the hub of the lab is down", fix="orch lab down, then up")
    return hub
