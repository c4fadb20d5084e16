"""`orch build`, `orch pull`, `down --rmi`: images without containers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine, Progress
from orchestrator.errors import Conflict, NoSuchThing, OrchError
from orchestrator.model.cluster import Availability
from orchestrator.model.names import NodeName, ServiceName
from orchestrator.model.plan import AnyOperation, BuildImage, PullImage
from orchestrator.model.spec import Build, ServiceSpec, StackSpec
from orchestrator.reconciler.clock import Clock, monotonic_s
from orchestrator.reconciler.events import (
    Emit,
    Noticed,
    OperationDone,
    OperationFailed,
    OperationProgressed,
    OperationStarted,
)
from orchestrator.service.hosts import Hosts


async def build(
    hosts: Hosts, stack: StackSpec, services: Sequence[ServiceName], emit: Emit, clock: Clock, *, no_cache: bool
) -> None:
    """On the first node that answers: `up` copies from there to where containers go."""
    built = [s for s in _chosen(stack, services) if s.build]
    if not built:
        raise NoSuchThing(f'stack "{stack.name}" has no service to build', fix='only services with "build" are built')
    node, engine = await _first(hosts)
    for service in built:
        recipe = replace(service.build, no_cache=True) if no_cache and service.build else service.build
        assert recipe is not None, "only services with `build` were chosen"
        await _built(emit, clock, stack, node, engine, service, recipe)


async def _built(
    emit: Emit,
    clock: Clock,
    stack: StackSpec,
    node: NodeName,
    engine: Engine,
    service: ServiceSpec,
    recipe: Build,
) -> None:
    operation = BuildImage(node=node, ref=service.image, service=service.name, cause="it was asked for")
    await _told(emit, clock, stack, operation, lambda tell: engine.build(service.image, recipe, progress=tell))


async def pull(hosts: Hosts, stack: StackSpec, services: Sequence[ServiceName], emit: Emit, clock: Clock) -> None:
    """On all active nodes at once; all failures are told, the first is raised."""
    wanted = {s.image: s for s in _chosen(stack, services) if not s.build}
    answering, silent = await hosts.ask(_itself)
    if silent and not answering:
        raise next(iter(silent.values()))
    active = {node: e for node, e in answering.items() if hosts.nodes[node].availability is Availability.ACTIVE}
    jobs = [(node, engine, s) for node, engine in active.items() for s in wanted.values()]
    results = await asyncio.gather(*(_pulled(emit, clock, stack, *job) for job in jobs), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _pulled(
    emit: Emit, clock: Clock, stack: StackSpec, node: NodeName, engine: Engine, service: ServiceSpec
) -> None:
    operation = PullImage(node=node, ref=service.image, service=service.name, cause="it was asked for")
    await _told(
        emit,
        clock,
        stack,
        operation,
        lambda tell: engine.pull(service.image, platform=service.platform, progress=tell),
    )


async def remove(hosts: Hosts, stack: StackSpec, emit: Emit, clock: Clock, *, local_only: bool) -> None:
    """Images that something else still uses stay, with a word."""
    doomed = sorted({s.image for s in stack.services.values() if not local_only or _is_local(stack, s)})
    for node, engine in (await hosts.ask(_itself))[0].items():
        for ref in doomed:
            try:
                await engine.remove_image(ref)
            except Conflict as error:
                text = f"image {ref} stays on {node}: {error.why or error.what}"
                emit(Noticed(stack=stack.name, at=clock(), text=text))


def _is_local(stack: StackSpec, service: ServiceSpec) -> bool:
    """It has no `image` of its own in the file. Source: docker compose down --rmi local."""
    return service.build is not None and service.image == f"{stack.name}-{service.name}"


def _chosen(stack: StackSpec, services: Sequence[ServiceName]) -> list[ServiceSpec]:
    return [service for name, service in sorted(stack.services.items()) if not services or name in services]


async def _itself(engine: Engine) -> Engine:
    return engine


async def _first(hosts: Hosts) -> tuple[NodeName, Engine]:
    answering, silent = await hosts.ask(_itself)
    if not answering:
        raise next(iter(silent.values()))
    return min(answering.items(), key=lambda item: item[0])


async def _told(
    emit: Emit,
    clock: Clock,
    stack: StackSpec,
    operation: AnyOperation,
    work: Callable[[Progress], Awaitable[None]],
) -> None:
    """`work`, with its events."""
    started_s = monotonic_s()

    def progressed(text: str) -> None:
        emit(OperationProgressed(stack=stack.name, at=clock(), operation=operation, text=text))

    emit(OperationStarted(stack=stack.name, at=clock(), operation=operation))
    try:
        await work(progressed)
    except OrchError as error:
        emit(
            OperationFailed(
                stack=stack.name, at=clock(), operation=operation, what=error.what, why=error.why, fix=error.fix
            )
        )
        raise
    emit(OperationDone(stack=stack.name, at=clock(), operation=operation, took_s=monotonic_s() - started_s))
