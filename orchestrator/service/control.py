"""What people can ask of orch: declare, look, steer. The command line and (later) the HTTP API both call this.

Each asking verb reads the stack's stored intent, changes it (`intents.py`), and puts it back naming what it replaces;
`converge` then runs the loop until the world agrees. In one process this is all there is; a server would run the same
object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.engine.protocol import Engine
from orchestrator.errors import EngineError, NoSuchThing, RevisionConflict, StoreError
from orchestrator.model.cluster import Availability, ClusterState, Container, Node
from orchestrator.model.names import ContainerId, NodeName, ServiceName, SlotNumber, StackName, slot_name
from orchestrator.model.plan import Preview
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.reconciler.clock import Clock
from orchestrator.service.hosts import Hosts
from orchestrator.service.request import UpRequest
from orchestrator.service.summaries import StackSummary, summaries
from orchestrator.store import FabricRecord, Put, Stacks, Store, Stored, Vault, hold, sweep

if TYPE_CHECKING:
    from orchestrator.reconciler.events import Emit
    from orchestrator.reconciler.observe import Observer
    from orchestrator.service.converge import Outcome
    from orchestrator.service.fabric import FabricVerbs
    from orchestrator.service.files import Files
    from orchestrator.service.images import Images
    from orchestrator.service.logs import TaggedLine
    from orchestrator.service.volumes import Volumes

# what only some verbs need is imported by these: `orch ps` is to take 200 ms


class Control:
    """The verbs. Open it with `open_control`."""

    def __init__(self, store: Store, vault: Vault, hosts: Hosts, clock: Clock, command: str = "orch") -> None:
        self._store, self._vault, self._hosts, self._clock, self._command = store, vault, hosts, clock, command
        self._stacks = Stacks(store)
        self._watched: dict[StackName, Observer] = {}
        self._looking = asyncio.Lock()

    @property
    def files(self) -> Files:
        """Secrets and configs that stacks find by name."""
        from orchestrator.service.files import Files

        return Files(self._store, self._vault, self._clock)

    @property
    def images(self) -> Images:
        """Built, pulled and removed on the nodes."""
        from orchestrator.service.images import Images

        return Images(self._hosts, self._clock)

    @property
    def volumes(self) -> Volumes:
        """Which there are, and that one goes."""
        from orchestrator.service.volumes import Volumes

        return Volumes(self._store, self._hosts, self._command)

    async def move_volumes(self, names: Sequence[str], target: NodeName, emit: Emit) -> Outcome | None:
        """See `Moves.move`."""
        from orchestrator.service.moves import Moves

        async def world(intent: Intent) -> ClusterState:
            observer = await self._look(intent.stack)
            observer.begin(await self._stacks.homes(), await self._stacks.moves())
            return observer.state()

        moves = Moves(self._store, self._hosts, self._clock, self._command, world, self.converge)
        return await moves.move(names, target, emit)

    @cached_property
    def fabric(self) -> FabricVerbs:
        """Networks across hosts."""
        from orchestrator.service.fabric import FabricVerbs

        return FabricVerbs(self._store, self._hosts)

    # -- what is wanted --------------------------------------------------------------------------------------------

    async def stack_names(self) -> tuple[StackName, ...]:
        """Stacks that are declared in the store, sorted."""
        return await self._stacks.names()

    async def intent(self, stack: StackName) -> Intent:
        """raises NoSuchThing, naming the stacks that exist"""
        return (await self._stored(stack)).intent

    async def _stored(self, stack: StackName) -> Stored:
        stored = await self._stacks.get(stack)
        if stored is None:
            there = ", ".join(await self.stack_names()) or "none"
            raise NoSuchThing(f'no stack "{stack}" has been declared', fix=f"orch up declares one; there are: {there}")
        return stored

    async def _live(self, stack: StackName) -> Stored:
        """As declared; raises NoSuchThing, also for a stack whose `down` has not come to its end."""
        stored = await self._stored(stack)
        if stored.intent.removed:
            raise NoSuchThing(
                f'stack "{stack}" is being taken down', fix="orch down ends that; orch up declares it again"
            )
        return stored

    async def _put(self, intent: Intent, before: Stored | None, also: Sequence[Put] = ()) -> Intent:
        put = (await self._stacks.put(intent, replaces=before, also=also)).intent
        if before is None or put.revision != before.intent.revision:
            with suppress(StoreError):  # what is left lying is found by the next one
                await sweep(self._store)
        return put

    async def preview_up(self, request: UpRequest) -> Preview:
        """What `up` would do, without a single mutating call."""
        from orchestrator.planner import preview
        from orchestrator.service import intents

        before = await self._stacks.get(request.stack.name)
        observer = await self._look(request.stack)
        request = (await self.files.resolved(request)).request
        intent = intents.after_up(before.intent if before else None, request, observer.state())
        await observer.turn_to(intent.stack)
        homes = await self._stacks.homes()
        kept = {volume: node for volume, node in homes.items() if volume not in request.new_volumes}
        observer.begin(kept, await self._stacks.moves())
        return preview(intent, observer.state(), now=self._clock())

    async def _look(self, stack: StackSpec) -> Observer:
        """The stack as it runs, watched from now on; raises the node's own error when none answers."""
        from orchestrator.reconciler.observe import Observer

        async with self._looking:
            if observer := self._watched.get(stack.name):
                await observer.turn_to(stack)
            else:
                homes = await self._stacks.homes()
                record = FabricRecord(self._store)
                observer = Observer(stack, self._hosts.nodes, self._hosts.engines, homes, self._clock, record)
                self._watched[stack.name] = observer
                await observer.start()
        observer.check()
        observer.refuse_if_all_silent()
        return observer

    async def _seen(self, stack: StackSpec) -> tuple[Container, ...]:
        return (await self._look(stack)).state().containers

    async def up(self, request: UpRequest) -> Intent:
        """Declares; raises RevisionConflict when somebody else declared the same stack meanwhile.

        raises SpecError: an external secret or config is not in the store
        """
        from orchestrator.service import intents

        before = await self._stacks.get(request.stack.name)
        was, observer = before.intent if before else None, await self._look(request.stack)
        while True:
            resolved = await self.files.resolved(request)
            intent = intents.after_up(was, resolved.request, observer.state())
            try:
                put = await self._put(intent, before, await self.files.changes(resolved, was))
                break
            except RevisionConflict:  # a secret that it names was rotated meanwhile, or the stack changed
                if not await self._stacks.stands(request.stack.name, before):
                    raise
        for volume in request.new_volumes:
            await self._stacks.forget_home(volume)
        return put

    async def down(
        self, stack: StackName, *, volumes: bool = False, timeout_s: float | None = None, remove_orphans: bool = False
    ) -> Intent:
        """Works for a stack that only runs (one that Docker Compose started), too; raises NoSuchThing for none.

        With `volumes`, also for one of which only volumes are left.
        """
        from orchestrator.service import intents

        before = await self._stacks.get(stack)
        if before is None and not await self._leaves_something(stack, volumes=volumes):
            await self._stored(stack)
        intent = intents.after_down(
            before.intent if before else None,
            stack,
            volumes=volumes,
            timeout_s=timeout_s,
            remove_orphans=remove_orphans,
        )
        return await self._put(intent, before)

    async def _leaves_something(self, stack: StackName, *, volumes: bool) -> bool:
        return bool(await self._seen(StackSpec(name=stack)) or (volumes and await self.doomed_volumes(stack)))

    async def doomed_volumes(self, stack: StackName) -> tuple[tuple[NodeName, str], ...]:
        """(node, engine name) of the volumes that `down --volumes` would destroy, external ones left out."""
        answers, _ = await self._hosts.ask(lambda engine: engine.volumes())
        return tuple(sorted((v.node, v.name) for listed in answers.values() for v in listed if v.stack == stack))

    async def scale(self, stack: StackName, replicas: Mapping[ServiceName, int]) -> Intent:
        from orchestrator.service import intents

        before = await self._live(stack)
        return await self._put(intents.after_scale(before.intent, replicas), before)

    async def start(self, stack: StackName, services: Sequence[ServiceName] = ()) -> Intent:
        from orchestrator.service import intents

        before = await self._live(stack)
        containers = await self._seen(before.intent.stack)
        return await self._put(intents.after_start(before.intent, services, containers), before)

    async def stop(
        self, stack: StackName, services: Sequence[ServiceName] = (), *, timeout_s: float | None = None
    ) -> Intent:
        from orchestrator.service import intents

        before = await self._live(stack)
        return await self._put(intents.after_stop(before.intent, services, timeout_s), before)

    async def restart(
        self,
        stack: StackName,
        services: Sequence[ServiceName] = (),
        *,
        timeout_s: float | None = None,
        no_deps: bool = False,
    ) -> Intent:
        from orchestrator.service import intents

        before = await self._live(stack)
        containers = await self._seen(before.intent.stack)
        return await self._put(
            intents.after_restart(before.intent, services, containers, timeout_s, no_deps=no_deps), before
        )

    async def removable(
        self, stack: StackName, services: Sequence[ServiceName] = (), *, stop: bool = False
    ) -> tuple[Container, ...]:
        """The containers that `remove_stopped` would take, for the confirmation."""
        from orchestrator.service import intents

        before = await self._stored(stack)
        intents.check_services(before.intent.stack, services)
        containers = [c for c in await self._hosts.containers(stack) if not services or c.service in services]
        return tuple(c for c in containers if stop or not c.is_running)

    async def remove_stopped(
        self, stack: StackName, services: Sequence[ServiceName] = (), *, stop: bool = False, volumes: bool = False
    ) -> tuple[Container, ...]:
        """`orch rm`: removes the stopped containers, and lets their services rest; what was removed.

        Those slots stay empty until the next `up`, `start` or `scale`. `stop` takes running ones, too.
        """
        from orchestrator.service import intents

        before = await self._live(stack)
        doomed = await self.removable(stack, services, stop=stop)
        await self._put(intents.after_rest(before.intent, doomed, await self._hosts.containers(stack)), before)
        async with hold(self._store, f"locks/{stack}", owner=self._command):
            ends = await asyncio.gather(*(self._remove(c, volumes=volumes) for c in doomed), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return doomed

    async def _remove(self, c: Container, *, volumes: bool) -> None:
        engine = self._hosts.engines[c.node]
        if c.is_running:
            await engine.stop(c.id)
        await engine.remove(c.id, volumes=volumes)

    async def converge(
        self, stack: StackName, emit: Emit, *, wait_timeout_s: float | None = None, detach: bool = False
    ) -> Outcome:
        """Runs the loop until the stack is what was asked for, or can't become it without a person.

        detach: do not wait for health checks that nothing depends on.
        Cancelling leaves a consistent world: operations under way end or are given up, the next `converge` goes on.
        raises LeaseLost: another process works on the stack and does not end; Unreachable: no node answers
        """
        from orchestrator.service.converge import Convergence

        stored = await self._stored(stack)
        observer = await self._look(stored.intent.stack)
        convergence = Convergence(self._store, self._vault, observer, emit)
        return await convergence.run(stored, self._command, wait_timeout_s=wait_timeout_s, detach=detach)

    # -- what is ---------------------------------------------------------------------------------------------------

    async def containers(self, stack: StackName | None = None) -> tuple[Container, ...]:
        """Of all nodes that answer, sorted by stack, service and slot."""
        return await self._hosts.containers(stack)

    @property
    def silent_nodes(self) -> tuple[tuple[NodeName, str], ...]:
        """(node, why) of those that did not answer when all were asked last: what is on them is not in the answer."""
        return tuple((node, error.why or error.what) for node, error in sorted(self._hosts.silent.items()))

    async def stacks(self) -> tuple[StackSummary, ...]:
        """Declared ones, and those that only run."""
        declared = [await self._stacks.get(name) for name in await self.stack_names()]
        return summaries([stored.intent for stored in declared if stored], await self._hosts.containers(None))

    async def locate(self, stack: StackName, service: ServiceName, slot: SlotNumber | None) -> tuple[Engine, Container]:
        """The running container of the slot (None: the lowest); raises NoSuchThing with the slots that run."""
        running = [c for c in await self._hosts.containers(stack) if c.is_running]
        for c in running:
            if c.service == service and slot in (None, c.slot):
                return self._hosts.engines[c.node], c
        there = ", ".join(sorted({slot_name(c.service, c.slot) for c in running})) or "nothing"
        wanted = service if slot is None else slot_name(service, slot)
        raise NoSuchThing(f'"{wanted}" of stack "{stack}" does not run', fix=f"running: {there}")

    async def log_tail(self, node: str, container: str, lines: int) -> tuple[str, ...]:
        """The last lines of one container, running or not; none when they can't be had."""
        with suppress(EngineError, KeyError):
            stream = self._hosts.engines[NodeName(node)].logs(ContainerId(container), tail=lines)
            return tuple([line.text async for line in stream])
        return ()

    async def logs(
        self,
        stack: StackName,
        services: Sequence[str] = (),
        *,
        follow: bool = False,
        tail: int | None = None,
        since: str = "",
        until: str = "",
    ) -> AsyncIterator[TaggedLine]:
        """Merged by time; with `follow`, containers that come later are joined, those that end are left.

        services:     names of services or slots (`web.2`); none is all
        since, until: as `docker logs` takes them: RFC 3339, Unix seconds, or a span such as `10m`
        """
        from orchestrator.service.logs import Window, followed, merged, moment

        def is_wanted(c: Container) -> bool:
            return c.stack == stack and (
                not services or bool({c.service, slot_name(c.service, c.slot)} & set(services))
            )

        window = Window(tail=tail, since=moment(since, self._clock()), until=moment(until, self._clock()))
        containers = tuple(c for c in await self._hosts.containers(stack) if is_wanted(c))
        engines = self._hosts.engines
        lines = followed(engines, containers, window, is_wanted) if follow else merged(engines, containers, window)
        async for tagged in lines:
            yield tagged

    # -- nodes -----------------------------------------------------------------------------------------------------

    async def nodes(self) -> tuple[Node, ...]:
        """As registered, with facts and status; those that don't answer within 3 s are `down` with `trouble`."""
        return await self._hosts.described()

    async def add_node(self, name: NodeName, endpoint: str, labels: Mapping[str, str], address: str = "") -> Node:
        """Asks the engine first: unreachable, the same engine under another name, an API that is too old: refused."""
        return await self._hosts.add(name, endpoint, labels, address, self.fabric.is_ours)

    async def update_node(
        self,
        name: NodeName,
        *,
        labels: Mapping[str, str],
        without: Sequence[str] = (),
        availability: Availability | None = None,
        address: str | None = None,
    ) -> Node:
        """Changes what a person says of a node; stacks follow with their next `up`."""
        return await self._hosts.update(
            name, labels=labels, without=without, availability=availability, address=address
        )

    async def remove_node(self, name: NodeName, *, force: bool = False) -> None:
        """Refused while containers or homes of volumes are on it, unless `force`."""
        await self._hosts.refuse_removal(name, self._stacks, force=force)
        await self.fabric.leave(name)
        await self._hosts.remove(name)

    async def close(self) -> None:
        try:
            await asyncio.gather(*(observer.close() for observer in self._watched.values()))
            await self._hosts.close()
        finally:
            await self._store.close()
