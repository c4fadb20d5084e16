"""What each existing container is to us: an ordered table of rules, the first that holds gives verdict and reason."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from orchestrator.model.cluster import Container, ContainerState, NodeStatus
from orchestrator.model.names import ServiceName
from orchestrator.model.plan import Verdict
from orchestrator.model.spec import Incarnation, Mode, RestartCondition, ServiceSpec
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
    return service.mode is Mode.GLOBAL and world.global_nodes(c.service).get(c.slot) != c.node


def _has_stale_network(world: World, c: Container) -> str:
    """The name of a network of ours on its node that the stack describes otherwise now."""
    for name in world.network_names(_service(world, c)):
        network = world.networks.get((c.node, name))
        if network and network.config and network.config != world.network_hashes[name]:
            return name
    return ""


def _config_reason(_: World, c: Container) -> str:
    return "its configuration changed" if c.config else "it was not made by orch"


def _has_stale_image(world: World, c: Container) -> bool:
    image = world.images.get((c.node, _service(world, c).image))
    return image is not None and bool(c.image_id) and image.id != c.image_id


def _lender(world: World, c: Container) -> bool:
    """It lives in the namespace of a container that is gone or will be."""
    return any(
        not any(other.id == lender and other.config == world.hashes.get(other.service) for other in world.containers)
        for lender in c.borrows
    )


def _replaced_dependency(world: World, c: Container) -> str:
    """The name of a `restart: true` dependency that has been replaced since this container started."""
    for name, how in sorted(world.graph.dependencies[c.service].items()):
        if how.restart and any(_replaced_after(other, c) for other in world.by_service[name]):
            return name
    return ""


def _replaced_after(dependency: Container, c: Container) -> bool:
    if not dependency.replaces or dependency.created_at is None or c.started_at is None:
        return False
    return dependency.created_at > c.started_at


def _comes_back(world: World, c: Container) -> bool:
    return _service(world, c).restart.condition in (RestartCondition.ALWAYS, RestartCondition.UNLESS_STOPPED)


def _ended(world: World, c: Container) -> str:
    del world
    why = "was killed for want of memory" if c.oom_killed else f"exited with {c.exit_code}"
    return f"{why}: {c.error}" if c.error else why


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
    (Verdict.SURPLUS, lambda w, c: _surplus_reason(w, c.service), lambda w, c: c.slot not in w.slots[c.service]),
    (Verdict.SURPLUS, "another node has this slot", _is_misplaced),
    (Verdict.REST, "it was stopped by request", lambda w, c: c.service in w.intent.stopped),
    (
        Verdict.REMOVE,
        lambda w, c: f"network {_has_stale_network(w, c)} changed",
        lambda w, c: bool(_has_stale_network(w, c)),
    ),
    (Verdict.REPLACE, "its replacement was asked for", lambda w, c: c.id in w.intent.recreate),
    (Verdict.REPLACE, _config_reason, lambda w, c: c.config != w.hashes[c.service]),
    (Verdict.REPLACE, "its image changed", _has_stale_image),
    (Verdict.REPLACE, "the container whose namespace it uses was replaced", _lender),
    (Verdict.REPLACE, "the engine could not remove it", lambda w, c: c.state is ContainerState.DEAD),
    (Verdict.RESTART, "a restart was asked for", lambda w, c: incarnation(c) in w.intent.again),
    (
        Verdict.RESTART,
        lambda w, c: f"{_replaced_dependency(w, c)} was replaced",
        lambda w, c: c.started_at is not None and bool(_replaced_dependency(w, c)),
    ),
    (Verdict.KEEP, "it runs", lambda w, c: c.is_running),
    (Verdict.START, "it has not been started", lambda w, c: c.state is ContainerState.CREATED),
    (Verdict.START, _ended, _comes_back),
    (Verdict.DONE, "it ran to its end", lambda w, c: c.has_succeeded),
    (Verdict.FAILED, _ended, lambda w, c: True),
)


def _status(world: World, c: Container) -> NodeStatus:
    return world.nodes[c.node].status if c.node in world.nodes else NodeStatus.DOWN


def _surplus_reason(world: World, service: ServiceName) -> str:
    wanted = len(world.slots[service])
    return f"{service} is scaled to {wanted}"
