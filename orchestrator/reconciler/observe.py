"""Observer: what is, kept up to date: one listing per host at first, then its events and the results of our own work.

It never decides. A node that stops answering keeps its last known containers; `status` says how far it is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

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
    Move,
    Network,
    Node,
    NodeStatus,
    Volume,
)
from orchestrator.model.names import ContainerId, NodeName, StackName
from orchestrator.model.spec import Incarnation, StackSpec
from orchestrator.planner.classify import incarnation
from orchestrator.reconciler.clock import Clock, monotonic_s
from orchestrator.reconciler.fabric import Weaver
from orchestrator.reconciler.newest import Newest
from orchestrator.reconciler.tasks import Tasks, together
from orchestrator.store import FabricRecord

PING_EVERY_S = 2.0
PING_TIMEOUT_S = 3.0
PAUSE_S = 0.05
"""Before a node is looked at because of a doubt: what breaks often must not keep us busy."""
DOWN_AFTER = timedelta(seconds=15)
"""Source: DESIGN section 5, node loss; Swarm's heartbeat of 5 s, three of them missed."""

STEADY_AFTER = timedelta(seconds=10)
"""Source: moby, restart manager."""

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
        record: FabricRecord,
    ) -> None:
        self.stack, self.engines, self._clock = stack, engines, clock
        self.changed: Callable[[], None] = lambda: None
        self.nodes = dict(nodes)
        self.weaver = Weaver(engines, self.nodes, record)
        self.homes = dict(homes)
        self.moves: Mapping[str, Move] = {}
        self.failures: dict[str, Failure] = {}
        self.first_trouble: EngineError | None = None
        self.fresh_images: set[str] = set()
        self.restarts: dict[str, int] = {}
        self.busy: set[str] = set()
        """Ids of containers that an operation of ours works on: its own result tells more than their events."""
        self._containers: dict[ContainerId, Container] = {}
        self._networks: dict[NodeName, tuple[Network, ...]] = {}
        self._volumes: dict[NodeName, tuple[Volume, ...]] = {}
        self._images: dict[tuple[NodeName, str], Image] = {}
        self._held_ports: dict[NodeName, tuple[HeldPort, ...]] = {}
        self._passed: set[Incarnation] = set()
        self._newest = Newest()
        self._tasks = Tasks(lambda: self.changed())
        self._streams: dict[NodeName, asyncio.Task[None]] = {}
        self._missed: set[NodeName] = set()
        """Nodes of which an answer or a stream of events was lost: only a listing tells what is there."""
        self._doubts = {node: asyncio.Event() for node in nodes}
        self.weaver.networks = lambda: tuple(n for listed in self._networks.values() for n in listed)

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
            moves=self.moves,
            failures=self.failures,
            fresh_images=frozenset(self.fresh_images),
            held_ports=self._held_ports,
            restarts=self.restarts,
            fabric=self.weaver.fabric,
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
        await together(*(self._open(node) for node in self.nodes))
        await self._look_at_fabric()

    async def _look_at_fabric(self) -> None:
        """One node alone that is in no swarm has none."""
        in_swarm = any(node.facts and node.facts.swarm.member for node in self.nodes.values())
        if in_swarm or len(self.nodes) > 1:
            await self.weaver.look()

    async def _open(self, node: NodeName) -> None:
        try:
            await self._catch_up(node)
        except EngineError as error:
            self.first_trouble = self.first_trouble or error
            self._silent(node, error, at_once=True)
        self._tasks.start(self._watch_over(node))

    async def _catch_up(self, node: NodeName) -> None:
        """Listens to the node from now on, and lists it. Asks for a sign of life first: a listing takes its time."""
        self._listen(node)
        await self.engines[node].ping(timeout_s=PING_TIMEOUT_S)
        self._missed.discard(node)
        try:
            await self.relist(node)
        except EngineError:
            self._missed.add(node)
            raise

    def _listen(self, node: NodeName) -> None:
        if known := self._streams.pop(node, None):
            known.cancel()
        self._streams[node] = self._tasks.start(self._follow(node))

    def check(self) -> None:
        """raises what has gone wrong in here, if it is not an engine's failure"""
        self._tasks.check()

    def refuse_if_all_silent(self) -> None:
        """raises the first node's own error when no node answers"""
        if self.first_trouble and all(node.status is NodeStatus.DOWN for node in self.nodes.values()):
            raise self.first_trouble

    async def turn_to(self, stack: StackSpec) -> None:
        """Another spec of the same stack: its images are looked for, too."""
        known = {ref for service in self.stack.services.values() for ref in service.images}
        self.stack = stack
        new = {ref for service in stack.services.values() for ref in service.images} - known
        ready = [node.name for node in self.nodes.values() if node.status is NodeStatus.READY]
        await together(*(self._look_for(node, ref) for node in ready for ref in sorted(new)))

    async def _look_for(self, node: NodeName, ref: str) -> None:
        try:
            await self.refresh_image(node, ref)
        except EngineError:
            self.miss(node)

    def begin(self, homes: Mapping[str, NodeName], moves: Mapping[str, Move] | None = None) -> None:
        """A new run: what failed in the one before is tried again.

        moves: of volumes, as the store knows them now
        homes: as the store knows them now; a volume without one has it where a container holds it, else on the first
        node that has it
        """
        self.failures.clear()
        self.fresh_images.clear()
        self.homes, self.moves = dict(homes), moves or {}
        held = {(c.node, v.name) for c in self._containers.values() for v in c.volumes}
        volumes = [v for listed in self._volumes.values() for v in listed]
        self._adopt_homes(sorted(volumes, key=lambda v: ((v.node, v.name) not in held, v.node)))

    async def relist(self, node: NodeName) -> None:
        """Everything of the node, anew."""
        wanted = sorted({ref for service in self.stack.services.values() for ref in service.images})
        await together(
            self.refresh_facts(node),
            self._refresh_containers(node),
            self._refresh_ports(node),
            self.refresh_networks(node),
            self.refresh_volumes(node),
            *(self.refresh_image(node, ref) for ref in wanted),
        )

    async def _refresh_containers(self, node: NodeName) -> None:
        """What the node does not name is gone, unless it was heard of since it was asked."""
        asked, listed = self._newest.ask(), await self.engines[node].containers(self.stack_name)
        found = {c.id: c for c in listed}
        known = [c.id for c in self._containers.values() if c.node == node]
        for id in {*known, *found}:
            self._keep(id, found.get(id), asked)

    def _keep(self, id: ContainerId, found: Container | None, asked: int) -> None:
        if not self._newest.is_news(id, asked):
            return
        if found is None:
            self._containers.pop(id, None)
        else:
            self._containers[id] = found

    def _adopt_homes(self, volumes: Iterable[Volume]) -> None:
        """Of several of one name the first counts. What is on a server has no home."""
        for volume in volumes:
            declared = self.stack.volumes.get(volume.key)
            is_local = volume.driver == "local" and (declared is None or declared.is_local)
            if volume.stack == self.stack_name and is_local:
                self.homes.setdefault(volume.name, volume.node)

    async def refresh_facts(self, node: NodeName) -> None:
        """What the engine says of its host. Routes that were asked for once stay known."""
        facts, known = await self.engines[node].facts(), self.nodes[node].facts
        self.nodes[node] = replace(self.nodes[node], facts=replace(facts, routes=known.routes if known else ()))

    async def _refresh_ports(self, node: NodeName) -> None:
        held = await self.engines[node].held_ports(besides=self.stack_name)
        self._held_ports[node] = tuple(
            HeldPort(port=port, protocol=protocol, host_ip=ip) for port, protocol, ip in held
        )

    async def refresh_container(self, node: NodeName, id: ContainerId) -> None:
        """One container anew; gone is gone."""
        asked = self._newest.ask()
        try:
            self._keep(id, await self.engines[node].container(id), asked)
        except NotFound:
            self._keep(id, None, asked)
        except EngineError:
            self.miss(node)
            raise

    async def refresh_networks(self, node: NodeName) -> None:
        asked, networks = self._newest.ask(), await self.engines[node].networks()
        if self._newest.is_news(("networks", node), asked):
            self._networks[node] = networks

    def with_network(self, name: str) -> list[NodeName]:
        """Nodes that answer and list a network of that name."""
        found = (node for node, listed in self._networks.items() if any(n.name == name for n in listed))
        return [node for node in found if self.nodes[node].status is NodeStatus.READY]

    async def refresh_volumes(self, node: NodeName) -> None:
        asked, volumes = self._newest.ask(), await self.engines[node].volumes()
        if self._newest.is_news(("volumes", node), asked):
            self._volumes[node] = volumes
            self._adopt_homes(volumes)

    async def refresh_image(self, node: NodeName, ref: str) -> None:
        asked, image = self._newest.ask(), await self.engines[node].image(ref)
        if not self._newest.is_news(("image", node, ref), asked):
            return
        if image is None:
            self._images.pop((node, ref), None)
        else:
            self._images[node, ref] = image

    def starts_again(self, id: ContainerId) -> None:
        """The loop is about to start it; a row of restarts is over when it has run for a while."""
        c = self._containers.get(id)
        if c is None or not c.has_ended:
            return
        lasted = c.finished_at - c.started_at if c.finished_at and c.started_at else timedelta(0)
        self.restarts[id] = 1 if lasted >= STEADY_AFTER else self.restarts.get(id, 0) + 1

    def forget(self, id: ContainerId) -> None:
        """It is gone: an answer that is still under way tells of the past."""
        self._keep(id, None, self._newest.ask())

    async def _follow(self, node: NodeName) -> None:
        """The node's events, until its stream breaks; `_watch_over` opens the next one."""
        began_s = monotonic_s()
        with suppress(EngineError):
            async with aclosing(self.engines[node].events()) as events:
                async for event in events:
                    if event.stack == self.stack_name:
                        await self._heard(event)
        self._missed.add(node)
        if monotonic_s() - began_s > PING_EVERY_S:  # a stream that never lasts is no reason to list all the time
            self.doubt(node)

    async def _heard(self, event: EngineEvent) -> None:
        if event.kind is EventKind.DESTROY:
            self.forget(ContainerId(event.id))
            self.changed()
        elif event.kind in CONTAINER_EVENTS and event.id not in self.busy:
            with suppress(EngineError):
                await self.refresh_container(event.node, ContainerId(event.id))
                self.changed()

    def miss(self, node: NodeName) -> None:
        """What became of something there is not known: it is listed again, soon."""
        self._missed.add(node)
        self.doubt(node)

    def doubt(self, node: NodeName) -> None:
        """Something of the node got no answer: it is looked at soon, rather than at the next heartbeat."""
        self._doubts[node].set()

    async def _watch_over(self, node: NodeName) -> None:
        """The heartbeat: a frozen host still accepts connections, and its event stream is silent for ever."""
        while True:
            await self._beat(node)
            try:
                await self.engines[node].ping(timeout_s=PING_TIMEOUT_S)
                if node in self._missed or self.nodes[node].status is not NodeStatus.READY:
                    await self._returned(node)
            except EngineError as error:
                self._silent(node, error)

    async def _beat(self, node: NodeName) -> None:
        """Returns when it is time to look at the node again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PING_EVERY_S):
                await self._doubts[node].wait()
                await asyncio.sleep(PAUSE_S)
        self._doubts[node].clear()

    async def _returned(self, node: NodeName) -> None:
        await self._catch_up(node)
        self.nodes[node] = replace(self.nodes[node], status=NodeStatus.READY, silent_since=None, trouble="")
        await self._look_at_fabric()
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
            if not at_once:  # else `start` looks, when all nodes have been asked
                self._tasks.start(self._look_at_fabric())
            self.changed()

    def moment(self) -> datetime:
        return self._clock()

    async def close(self) -> None:
        await self._tasks.close()


def _is_starting(c: Container) -> bool:
    return c.is_running and c.health is Health.STARTING
