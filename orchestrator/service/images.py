"""`orch build`, `orch pull`, `down --rmi`: images without containers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine, Progress
from orchestrator.errors import Conflict, NoSuchThing, OrchError
from orchestrator.model.cluster import Availability
from orchestrator.model.names import NodeName, ServiceName
from orchestrator.model.operations import AnyOperation, BuildImage, PullImage
from orchestrator.model.spec import Build, ServiceSpec, StackSpec
from orchestrator.reconciler.clock import Clock, monotonic_s
from orchestrator.reconciler.events import (
    Emit,
    Event,
    Noticed,
    OperationDone,
    OperationFailed,
    OperationProgressed,
    OperationStarted,
)
from orchestrator.service.hosts import Hosts
from orchestrator.service.intents import check_services


class Images:
    """Works on the images of a stack; what is done is told as the loop tells its operations."""

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts, self._clock = hosts, clock

    async def build(self, stack: StackSpec, services: Sequence[ServiceName], emit: Emit, *, no_cache: bool) -> None:
        """On the first node that answers: `up` copies from there to where containers go."""
        built = [s for s in _chosen(stack, services) if s.build]
        if not built:
            what = f'stack "{stack.name}" has no service to build'
            raise NoSuchThing(what, fix='only services with "build" are built')
        node, engine = await self._first()
        for service in built:
            recipe = replace(service.build, no_cache=True) if no_cache and service.build else service.build
            assert recipe is not None, "only services with `build` were chosen"
            operation = BuildImage(node=node, ref=service.image, service=service.name, cause="it was asked for")
            await self._told(emit, stack, operation, partial(_build, engine, service.image, recipe))

    async def pull(self, stack: StackSpec, services: Sequence[ServiceName], emit: Emit) -> None:
        """On all active nodes at once, services that are built left out; all failures are told, the first is raised."""
        wanted = {s.image: s for s in _chosen(stack, services) if not s.build}
        answering, silent = await self._hosts.ask(_itself)
        if silent and not answering:
            raise next(iter(silent.values()))
        active = [node for node in answering if self._hosts.nodes[node].availability is Availability.ACTIVE]
        jobs = (self._pulled(emit, stack, answering[node], s) for node in active for s in wanted.values())
        results = await asyncio.gather(*jobs, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _pulled(self, emit: Emit, stack: StackSpec, engine: Engine, service: ServiceSpec) -> None:
        operation = PullImage(node=engine.node, ref=service.image, service=service.name, cause="it was asked for")

        def work(tell: Progress) -> Awaitable[None]:
            return engine.pull(service.image, platform=service.platform, progress=tell)

        await self._told(emit, stack, operation, work)

    async def remove(self, stack: StackSpec, emit: Emit, *, local_only: bool) -> None:
        """`down --rmi local|all`; `local_only`: those without a tag of their own. What is in use stays, with a word."""
        doomed = sorted({s.image for s in stack.services.values() if not local_only or _is_local(stack, s)})
        for node, engine in (await self._hosts.ask(_itself))[0].items():
            for ref in doomed:
                try:
                    await engine.remove_image(ref)
                except Conflict as error:
                    text = f"image {ref} stays on {node}: {error.why or error.what}"
                    emit(Noticed(stack=stack.name, at=self._clock(), text=text))

    async def _first(self) -> tuple[NodeName, Engine]:
        answering, silent = await self._hosts.ask(_itself)
        if not answering:
            raise next(iter(silent.values()))
        return min(answering.items(), key=lambda item: item[0])

    async def _told(self, emit: Emit, stack: StackSpec, operation: AnyOperation, work: Work) -> None:
        """`work`, with its events."""
        started_s = monotonic_s()

        def tell(kind: type[Event], **fields: Any) -> None:
            emit(kind(stack=stack.name, at=self._clock(), operation=operation, **fields))  # type: ignore[call-arg]  # each kind's own fields

        tell(OperationStarted)
        try:
            await work(lambda text: tell(OperationProgressed, text=text))
        except OrchError as error:
            tell(OperationFailed, what=error.what, why=error.why, fix=error.fix)
            raise
        tell(OperationDone, took_s=monotonic_s() - started_s)


Work = Callable[[Progress], Awaitable[None]]


def _build(engine: Engine, ref: str, recipe: Build, tell: Progress) -> Awaitable[None]:
    return engine.build(ref, recipe, progress=tell)


def _is_local(stack: StackSpec, service: ServiceSpec) -> bool:
    """It has no `image` of its own in the file. Source: docker compose down --rmi local."""
    return service.build is not None and service.image == f"{stack.name}-{service.name}"


def _chosen(stack: StackSpec, services: Sequence[ServiceName]) -> list[ServiceSpec]:
    """Those named, or all; raises NoSuchThing"""
    check_services(stack, services)
    return [service for name, service in sorted(stack.services.items()) if not services or name in services]


async def _itself(engine: Engine) -> Engine:
    return engine
