"""What each existing container is to us: an ordered table of rules, the first that holds gives verdict and reason."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator.model.cluster import Container, ContainerState, NodeStatus
from orchestrator.model.plan import Verdict
from orchestrator.model.spec import Incarnation, Mode, RestartCondition, ServiceSpec
from orchestrator.planner.groups import borrowed
from orchestrator.planner.world import World


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    container: Container
    verdict: Verdict
    reason: str


Rule = tuple[Verdict, str | Callable[[World, Container], str], Callable[[World, Container], bool]]
"""(verdict, reason, condition); the reason completes "because ..."."""


def judge(world: World, container: Container) -> Judgement:
    """The verdict of the first rule that holds. Of several containers in one slot, see `slots.settle`."""
    for verdict, reason, holds in RULES:
        if holds(world, container):
            text = reason if isinstance(reason, str) else reason(world, container)
            return Judgement(container=container, verdict=verdict, reason=text)
    raise AssertionError("the last rule of the table holds for every container")


def incarnation(container: Container) -> Incarnation:
    """What names this run of it, and no other."""
    return Incarnation(container=container.id, started_at=container.started_mark)


def _service(world: World, c: Container) -> ServiceSpec:
    return world.stack.services[c.service]


def _is_orphan(world: World, c: Container) -> bool:
    return c.service not in world.stack.services


def _is_misplaced(world: World, c: Container) -> bool:
    service = _service(world, c)
    return service.mode is Mode.GLOBAL and world.global_nodes[c.service].get(c.slot) != c.node


def _stale_network(world: World, c: Container) -> str:
    """The name of a network that it is on and that the stack describes otherwise now."""
    if _is_done(world, c):
        return ""
    return next((name for name in sorted(c.networks) if (c.node, name) in world.stale_networks), "")


def _lost_network(world: World, c: Container) -> str:
    """The name of a network that it was on and that is not there any more, or only another one of that name.

    The engine would look for the old one by its id, and refuse. Source: moby, `getNetworkID`.
    """
    for name in () if _is_done(world, c) else world.network_names(_service(world, c)):
        network = world.overlays.get(name) or world.networks.get((c.node, name))
        known = c.network_ids.get(name, "")
        if known and (network is None or network.id != known):
            return name
    return ""


def _config_reason(_: World, c: Container) -> str:
    return "its configuration changed" if c.config else "it was not made by orch"


def _unmet(world: World, c: Container) -> str:
    """What its node is and must not be, or is not and has to be, as the file and the node's labels are now."""
    service = _service(world, c)
    is_asked = service.placement.constraints and world.answers(c.node) and service.mode is not Mode.GLOBAL
    return world.unmet(service, c.node) if is_asked and not _is_done(world, c) else ""


def _has_stale_image(world: World, c: Container) -> bool:
    image = world.images.get((c.node, _service(world, c).image))
    return image is not None and bool(c.image_id) and image.id != c.image_id


def _lost_lender(world: World, c: Container) -> str:
    """The name of a service whose namespace it should be in, but is not, or not for long."""
    for name in () if _is_done(world, c) else borrowed(_service(world, c)):
        if not any(other.id in c.borrows and _lends(world, other) for other in world.by_service[name]):
            return name
    return ""


def _lends(world: World, c: Container) -> bool:
    return c.state is not ContainerState.REMOVING and not is_outdated(world, c)


ATTACHING = "ould not attach to network"
"""In the engine's words when the managers of a network are out of reach: nothing that the container did."""


def _is_done(world: World, c: Container) -> bool:
    """It has ended well and is not to run again, so that it needs neither network nor namespace."""
    return c.has_succeeded and not _comes_back(world, c) and incarnation(c) not in world.intent.again


def is_outdated(world: World, c: Container) -> bool:
    """It is to be replaced, whatever state it is in."""
    return any(verdict is Verdict.REPLACE and holds(world, c) for verdict, _, holds in RULES)


def _replaced_dependency(world: World, c: Container) -> str:
    """The name of a `restart: true` dependency that has been replaced since this container started."""
    for name, how in sorted(world.graph.dependencies[c.service].items()):
        if how.restart and any(_replaced_after(other, c) for other in world.by_service[name]):
            return name
    return ""


def _replaced_after(dependency: Container, c: Container) -> bool:
    """What had ended before of itself stays so; what we stopped since then is still to be started."""
    at = dependency.created_at
    if not dependency.replaces or at is None or c.started_at is None or at <= c.started_at:
        return False
    return c.is_running or (c.finished_at is not None and c.finished_at >= at)


def _comes_back(world: World, c: Container) -> bool:
    """By its policy; `on-failure` only where that is the loop's work, not the engine's."""
    service = _service(world, c)
    if service.restart.condition is RestartCondition.ON_FAILURE and world.spans(service):
        most, tried = service.restart.max_attempts, world.cluster.restarts.get(c.id, 0)
        return not c.has_succeeded and (not most or tried < most)
    return comes_back(service)


def comes_back(service: ServiceSpec) -> bool:
    """Its containers are started again however they end."""
    return service.restart.condition in (RestartCondition.ALWAYS, RestartCondition.UNLESS_STOPPED)


def ended(c: Container) -> str:
    """How it ended, to follow its name."""
    why = "was killed for want of memory" if c.oom_killed else f"exited with {c.exit_code}"
    return f"{why}: {c.error}" if c.error else why


def _moving(world: World, c: Container) -> str:
    """The name of a volume that it has to let go of, for its data is to move. A job may end, and is not repeated."""
    if not world.moving or (c.service in world.awaited and (c.is_running or _is_done(world, c))):
        return ""
    held = {volume.name for volume in c.volumes}
    leaving = (name for name, move in world.moving.items() if name in held and move.source == c.node)
    return next(leaving, "") or world.moving_of(_service(world, c), c.slot)


def moving_reason(world: World, volume: str) -> str:
    return f"the data of volume {volume} is being moved to {world.moving[volume].target}"


def _surplus_reason(world: World, c: Container) -> str:
    if _service(world, c).mode is Mode.GLOBAL:
        return world.unmet(_service(world, c), c.node) or f"{c.node} has to do without"
    return f"{c.service} is scaled to {len(world.slots[c.service])}"


RULES: tuple[Rule, ...] = (
    (Verdict.LOST, lambda w, c: f"{c.node} is down", lambda w, c: _status(w, c) is NodeStatus.DOWN),
    (Verdict.WAIT, lambda w, c: f"{c.node} does not answer", lambda w, c: not w.answers(c.node)),
    (Verdict.WAIT, "the engine is removing it", lambda w, c: c.state is ContainerState.REMOVING),
    (
        Verdict.REMOVE,
        "the stack is taken down",
        lambda w, c: w.intent.removed and (not _is_orphan(w, c) or w.intent.remove_orphans),
    ),
    (Verdict.REMOVE, "no service of this name is left", lambda w, c: _is_orphan(w, c) and w.intent.remove_orphans),
    (Verdict.ORPHAN, "no service of this name is left", _is_orphan),
    (Verdict.SURPLUS, _surplus_reason, lambda w, c: c.slot not in w.slots[c.service]),
    (Verdict.SURPLUS, "another node has this slot", _is_misplaced),
    (Verdict.SURPLUS, lambda w, c: moving_reason(w, _moving(w, c)), lambda w, c: bool(_moving(w, c))),
    (Verdict.REST, "it was stopped by request", lambda w, c: c.service in w.intent.stopped),
    (Verdict.REPLACE, "its replacement was asked for", lambda w, c: c.id in w.intent.recreate),
    (Verdict.REPLACE, _config_reason, lambda w, c: c.config != w.hashes[c.service]),
    (Verdict.REPLACE, "its image changed", _has_stale_image),
    (Verdict.REPLACE, lambda w, c: f"on {c.node} {_unmet(w, c)}", lambda w, c: bool(_unmet(w, c))),
    (
        Verdict.REPLACE,
        lambda w, c: f"network {_stale_network(w, c)} changed",
        lambda w, c: bool(_stale_network(w, c)),
    ),
    (
        Verdict.REPLACE,
        lambda w, c: f"its network {_lost_network(w, c)} is gone",
        lambda w, c: bool(_lost_network(w, c)),
    ),
    (
        Verdict.REPLACE,
        lambda w, c: f"it has to be in the namespace of {_lost_lender(w, c)}",
        lambda w, c: bool(_lost_lender(w, c)),
    ),
    (Verdict.REPLACE, "the engine could not remove it", lambda w, c: c.state is ContainerState.DEAD),
    (Verdict.RESTART, "a restart was asked for", lambda w, c: incarnation(c) in w.intent.again),
    (
        Verdict.RESTART,
        lambda w, c: f"{_replaced_dependency(w, c)} was replaced",
        lambda w, c: c.started_at is not None and bool(_replaced_dependency(w, c)),
    ),
    (Verdict.KEEP, "it runs", lambda w, c: c.is_running),
    (Verdict.START, "it has not been started", lambda w, c: c.state is ContainerState.CREATED),
    (Verdict.START, "it could not be attached to its network", lambda w, c: c.has_ended and ATTACHING in c.error),
    (Verdict.START, lambda w, c: f"it {ended(c)}", _comes_back),
    (Verdict.DONE, "it ran to its end", lambda w, c: c.has_succeeded),
    (Verdict.FAILED, lambda w, c: ended(c), lambda w, c: True),
)


def _status(world: World, c: Container) -> NodeStatus:
    return world.nodes[c.node].status if c.node in world.nodes else NodeStatus.DOWN
