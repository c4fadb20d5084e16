"""Observer: what is, kept up to date: one listing per host at first, then its events and the results of our own work.

It never decides. A node that stops answering keeps its last known containers; `status` says how far it is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import cast

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine, EngineEvent, EventKind
from orchestrator.errors import EngineError, NotFound
from orchestrator.model.cluster import (
    ClusterState,
    Container,
    Failure,
    Health,
    HeldPort,
    Image,
    Network,
    Node,
    NodeStatus,
    Volume,
)
from orchestrator.model.names import ContainerId, NodeName, StackName
from orchestrator.model.spec import Incarnation, StackSpec
from orchestrator.planner.classify import incarnation
from orchestrator.reconciler.clock import Clock

PING_EVERY_S = 2.0
PING_TIMEOUT_S = 3.0
DOWN_AFTER = timedelta(seconds=15)
"""Source: DESIGN section 5, node loss; Swarm's heartbeat of 5 s, three of them missed."""

CONTAINER_EVENTS = frozenset(EventKind) - {EventKind.OTHER, EventKind.KILL}


class Observer:
    """The snapshot of one stack on all nodes. `changed` is called whenever it may plan otherwise now."""

    def __init__(
        self,
        stack: StackSpec,
        nodes: Mapping[NodeName, Node],
        engines: Mapping[NodeName, Engine],
        homes: Mapping[str, NodeName],
        clock: Clock,
    ) -> None:
        self.stack, self.engines, self._clock = stack, engines, clock
        self.changed: Callable[[], None] = lambda: None
        self.nodes = dict(nodes)
        self.homes = dict(homes)
        self.failures: dict[str, Failure] = {}
        self.first_trouble: EngineError | None = None
        self.fresh_images: set[str] = set()
        self.busy: set[str] = set()
        """Ids of containers that an operation of ours works on: its own result tells more than their events."""
        self._containers: dict[ContainerId, Container] = {}
        self._networks: dict[NodeName, tuple[Network, ...]] = {}
        self._volumes: dict[NodeName, tuple[Volume, ...]] = {}
        self._images: dict[tuple[NodeName, str], Image] = {}
        self._held_ports: dict[NodeName, tuple[HeldPort, ...]] = {}
        self._passed: set[Incarnation] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def stack_name(self) -> StackName:
        return self.stack.name

    def state(self) -> ClusterState:
        """The cluster as it is known now."""
        return ClusterState(
            nodes=tuple(self.nodes.values()),
            containers=tuple(self._with_check(c) for c in self._containers.values()),
            networks=tuple(n for listed in self._networks.values() for n in listed),
            volumes=tuple(v for listed in self._volumes.values() for v in listed),
            images=tuple(self._images.values()),
            homes=self.homes,
            failures=self.failures,
            fresh_images=frozenset(self.fresh_images),
            held_ports=self._held_ports,
        )

    def _with_check(self, c: Container) -> Container:
        """A check that we ran ourselves counts until the engine's own says otherwise."""
        if c.health is Health.STARTING and incarnation(c) in self._passed:
            return replace(c, health=Health.HEALTHY)
        return c

    def unchecked(self) -> list[Container]:
        """Running containers whose check has not passed yet."""
        return [c for c in map(self._with_check, self._containers.values()) if _is_starting(c)]

    def check_passed(self, c: Container) -> None:
        self._passed.add(incarnation(c))
        self.changed()

    async def start(self) -> None:
        """Subscribes to every node and lists it once; nodes that can't be asked are down from then on."""
        await asyncio.gather(*(self._open(node) for node in self.nodes))

    async def _open(self, node: NodeName) -> None:
        self._tasks.append(asyncio.create_task(self._follow(node)))
        try:
            await self.engines[node].ping(timeout_s=PING_TIMEOUT_S)
            await self.relist(node)
        except EngineError as error:
            self.first_trouble = self.first_trouble or error
            self._silent(node, error, at_once=True)
        self._tasks.append(asyncio.create_task(self._watch_over(node)))

    def refuse_if_all_silent(self) -> None:
        """raises the first node's own error when no node answers"""
        if self.first_trouble and all(node.status is NodeStatus.DOWN for node in self.nodes.values()):
            raise self.first_trouble

    async def turn_to(self, stack: StackSpec) -> None:
        """Another spec of the same stack: its images are looked for, too."""
        known = {service.image for service in self.stack.services.values()}
        self.stack = stack
        new = {service.image for service in stack.services.values()} - known
        ready = [node for node in self.nodes.values() if node.status is NodeStatus.READY]
        await asyncio.gather(*(self.refresh_image(node.name, ref) for node in ready for ref in sorted(new)))

    async def relist(self, node: NodeName) -> None:
        """Everything of the node, anew."""
        engine = self.engines[node]
        wanted = sorted({service.image for service in self.stack.services.values()})
        (containers, networks, volumes, ports), images = await asyncio.gather(
            asyncio.gather(
                engine.containers(self.stack_name), engine.networks(), engine.volumes(), self._foreign_ports(engine)
            ),
            asyncio.gather(*(engine.image(ref) for ref in wanted)),
        )
        for known in [c for c in self._containers.values() if c.node == node]:
            del self._containers[known.id]
        self._containers |= {c.id: c for c in containers}
        self._networks[node], self._volumes[node], self._held_ports[node] = networks, volumes, ports
        for ref, image in zip(wanted, images, strict=True):
            self._keep_image(node, ref, image)
        self._adopt_homes(volumes)

    def _adopt_homes(self, volumes: tuple[Volume, ...]) -> None:
        for volume in volumes:
            if volume.stack == self.stack_name and volume.driver == "local":
                self.homes.setdefault(volume.name, volume.node)

    async def _foreign_ports(self, engine: Engine) -> tuple[HeldPort, ...]:
        held = await engine.held_ports(besides=self.stack_name)
        return tuple(HeldPort(port=port, protocol=protocol, host_ip=ip) for port, protocol, ip in held)

    def _keep_image(self, node: NodeName, ref: str, image: Image | None) -> None:
        if image is None:
            self._images.pop((node, ref), None)
        else:
            self._images[node, ref] = image

    async def refresh_container(self, node: NodeName, id: ContainerId) -> None:
        """One container anew; gone is gone."""
        try:
            self._containers[id] = await self.engines[node].container(id)
        except NotFound:
            self._containers.pop(id, None)
        self.changed()

    async def refresh_networks(self, node: NodeName) -> None:
        self._networks[node] = await self.engines[node].networks()

    async def refresh_volumes(self, node: NodeName) -> None:
        self._volumes[node] = await self.engines[node].volumes()
        self._adopt_homes(self._volumes[node])

    async def refresh_image(self, node: NodeName, ref: str) -> None:
        self._keep_image(node, ref, await self.engines[node].image(ref))

    def forget(self, id: ContainerId) -> None:
        self._containers.pop(id, None)

    async def _follow(self, node: NodeName) -> None:
        """The node's events, until its stream breaks; `_watch_over` opens the next one."""
        with suppress(EngineError):
            async with aclosing(cast("_Closing", self.engines[node].events())) as events:
                async for event in events:
                    if event.stack == self.stack_name:
                        await self._heard(event)

    async def _heard(self, event: EngineEvent) -> None:
        if event.kind is EventKind.DESTROY:
            self._containers.pop(ContainerId(event.id), None)
            self.changed()
        elif event.kind in CONTAINER_EVENTS and event.id not in self.busy:
            with suppress(EngineError):
                await self.refresh_container(event.node, ContainerId(event.id))

    async def _watch_over(self, node: NodeName) -> None:
        """The heartbeat: a frozen host still accepts connections, and its event stream is silent for ever."""
        while True:
            await asyncio.sleep(PING_EVERY_S)
            try:
                await self.engines[node].ping(timeout_s=PING_TIMEOUT_S)
                if self.nodes[node].status is not NodeStatus.READY:
                    await self._returned(node)
            except EngineError as error:
                self._silent(node, error)

    async def _returned(self, node: NodeName) -> None:
        self._tasks.append(asyncio.create_task(self._follow(node)))
        await self.relist(node)
        self.nodes[node] = replace(self.nodes[node], status=NodeStatus.READY, silent_since=None, trouble="")
        self.changed()

    def _silent(self, node: NodeName, error: EngineError, *, at_once: bool = False) -> None:
        known, now = self.nodes[node], self._clock()
        since = known.silent_since or now
        status = NodeStatus.DOWN if at_once or now - since >= DOWN_AFTER else NodeStatus.SUSPECT
        if known.status is NodeStatus.DOWN:
            status = NodeStatus.DOWN
        trouble = error.why or error.what
        self.nodes[node] = replace(known, status=status, silent_since=since, trouble=trouble)
        if status is not known.status:
            self.changed()

    async def doubt(self, node: NodeName) -> None:
        """A call to the node got no answer: look at once rather than at the next heartbeat."""
        try:
            await self.engines[node].ping(timeout_s=PING_TIMEOUT_S)
        except EngineError as error:
            self._silent(node, error)

    def moment(self) -> datetime:
        return self._clock()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Closing(AsyncIterator[EngineEvent]):
    async def aclose(self) -> None: ...


def _is_starting(c: Container) -> bool:
    return c.is_running and c.health is Health.STARTING
