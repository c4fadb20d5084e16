"""How each verb changes what is wanted. Pure: the intent before, the containers that are, the intent after.

Verbs that concern runs (`restart`, `start`, `up` after a failure) name those runs, never a time: a crash between two of
them neither forgets one nor does it twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator.errors import NoSuchThing, UsageError
from orchestrator.graph import ServiceGraph
from orchestrator.model.cluster import ClusterState, Container
from orchestrator.model.names import ServiceName, StackName
from orchestrator.model.spec import Condition, Incarnation, Intent, Mode, PullPolicy, ServiceSpec, StackSpec
from orchestrator.planner.classify import incarnation

if TYPE_CHECKING:
    from orchestrator.service.request import UpRequest


def after_up(before: Intent | None, request: UpRequest, cluster: ClusterState) -> Intent:
    """The file's stack, or of it the named services; their ended containers run again."""
    chosen = _chosen(request)
    stack = _merged(before, request, chosen)
    kept = before if before is not None and not before.removed else Intent(stack=stack)
    ours = [c for c in cluster.containers if c.service in chosen]
    return Intent(
        stack=stack,
        revision=before.revision if before else 0,
        stopped=(kept.stopped - chosen) & frozenset(stack.services),
        again=frozenset(incarnation(c) for c in ours if c.has_ended and not _is_finished_job(stack, c)),
        recreate=frozenset(c.id for c in ours) if request.force_recreate else frozenset(),
        remove_orphans=request.remove_orphans,
        spanning=request.span or kept.spanning or _spans(stack.name, cluster),
    )


def _spans(stack: StackName, cluster: ClusterState) -> bool:
    """It has such a network, though nobody remembers that it was asked for."""
    return any(network.stack == stack and network.spans for network in cluster.networks)


def _chosen(request: UpRequest) -> frozenset[ServiceName]:
    stack = request.stack
    check_services(stack, (*request.services, *request.scale))
    if not request.services:
        return frozenset(stack.services)
    if request.no_deps:
        return frozenset(request.services)
    return frozenset(ServiceGraph.of(stack).with_dependencies(request.services))


def _merged(before: Intent | None, request: UpRequest, chosen: frozenset[ServiceName]) -> StackSpec:
    """Services that were not named stay as they were declared last; those that never were, stay out."""
    new, services = request.stack, {}
    for name, service in new.services.items():
        if name in chosen:
            services[name] = _adjusted(service, request)
    if not request.services or before is None or before.removed:
        return replace(new, services=services)
    old = before.stack
    return replace(
        new,
        services={**old.services, **services},
        networks={**old.networks, **new.networks},
        volumes={**old.volumes, **new.volumes},
        secrets={**old.secrets, **new.secrets},
        configs={**old.configs, **new.configs},
    )


def _adjusted(service: ServiceSpec, request: UpRequest) -> ServiceSpec:
    if service.name in request.scale:
        service = _scaled(service, request.scale[service.name])
    if request.build and service.build:
        return replace(service, pull_policy=PullPolicy.BUILD)
    if request.pull and not service.build:
        return replace(service, pull_policy=PullPolicy(request.pull))
    return service


def _scaled(service: ServiceSpec, replicas: int) -> ServiceSpec:
    if replicas < 0:
        raise UsageError(f'service "{service.name}" can\'t have {replicas} replicas', fix="give 0 or more")
    if service.mode is Mode.GLOBAL:
        raise UsageError(f'service "{service.name}" has one container on each node', fix="leave it out of --scale")
    if service.container_name and replicas > 1:
        raise UsageError(
            f'service "{service.name}" can\'t have {replicas} replicas',
            why=f'its containers would all be called "{service.container_name}"',
            fix="take container_name out of the file",
        )
    return replace(service, replicas=replicas)


def _is_finished_job(stack: StackSpec, c: Container) -> bool:
    """It ended well, and somebody waits for just that."""
    waits = (service.depends_on.get(c.service) for service in stack.services.values())
    return c.has_succeeded and any(how is not None and how.condition is Condition.COMPLETED for how in waits)


def after_scale(before: Intent, replicas: Mapping[ServiceName, int]) -> Intent:
    check_services(before.stack, replicas)
    scaled = {name: _scaled(before.stack.services[name], count) for name, count in replicas.items()}
    stack = replace(before.stack, services={**before.stack.services, **scaled})
    return replace(quiet(before), stack=stack, stopped=before.stopped - frozenset(replicas))


def after_start(before: Intent, services: Sequence[ServiceName], containers: Iterable[Container]) -> Intent:
    chosen = _named(before.stack, services)
    again = frozenset(incarnation(c) for c in containers if c.service in chosen and c.has_ended)
    return replace(quiet(before), stopped=before.stopped - chosen, again=again)


def after_stop(before: Intent, services: Sequence[ServiceName], timeout_s: float | None) -> Intent:
    chosen = _named(before.stack, services)
    return replace(quiet(before), stopped=before.stopped | chosen, stop_timeout_s=timeout_s)


def after_restart(
    before: Intent,
    services: Sequence[ServiceName],
    containers: Iterable[Container],
    timeout_s: float | None,
    *,
    no_deps: bool,
) -> Intent:
    """Dependents follow along `restart: true`. Source: Compose Specification, `depends_on.restart`."""
    chosen = _named(before.stack, services)
    if not no_deps:
        chosen = _with_followers(before.stack, chosen)
    again: frozenset[Incarnation] = frozenset(
        incarnation(c) for c in containers if c.service in chosen and c.started_mark
    )
    return replace(quiet(before), stopped=before.stopped - chosen, again=again, stop_timeout_s=timeout_s)


def _with_followers(stack: StackSpec, chosen: frozenset[ServiceName]) -> frozenset[ServiceName]:
    edges = [edge for edge in ServiceGraph.of(stack).edges if edge.how.restart]
    while more := {e.dependent for e in edges if e.dependency in chosen and e.dependent not in chosen}:
        chosen |= more
    return chosen


def after_down(
    before: Intent | None, stack: StackName, *, volumes: bool, timeout_s: float | None, remove_orphans: bool
) -> Intent:
    """A stack that nobody declared (Docker Compose made it) goes as a whole: all its containers are orphans."""
    if before is None:
        before, remove_orphans = Intent(stack=StackSpec(name=stack)), True
    return Intent(
        stack=before.stack,
        revision=before.revision,
        removed=True,
        remove_volumes=volumes,
        remove_orphans=remove_orphans,
        spanning=before.spanning,
        stop_timeout_s=timeout_s,
    )


def after_rest(before: Intent, doomed: Iterable[Container], containers: Iterable[Container]) -> Intent:
    """`doomed` are about to go: services of which nothing else is left rest from now on."""
    going = {c.id for c in doomed}
    staying = {c.service for c in containers if c.id not in going}
    return replace(quiet(before), stopped=before.stopped | ({c.service for c in doomed} - staying))


def quiet(intent: Intent) -> Intent:
    """What earlier commands asked for once is not asked again."""
    return Intent(stack=intent.stack, revision=intent.revision, stopped=intent.stopped, spanning=intent.spanning)


def _named(stack: StackSpec, services: Sequence[ServiceName]) -> frozenset[ServiceName]:
    check_services(stack, services)
    return frozenset(services or stack.services)


def check_services(stack: StackSpec, names: Iterable[ServiceName]) -> None:
    """raises NoSuchThing for the first name that is no service of the stack"""
    for name in names:
        if name not in stack.services:
            there = ", ".join(sorted(stack.services)) or "none"
            raise NoSuchThing(f'stack "{stack.name}" has no service "{name}"', fix=f"one of: {there}")
