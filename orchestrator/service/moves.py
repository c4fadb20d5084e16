"""`orch volume move`: the data of volumes goes to another node, and what uses them goes with it.

What is asked for is written down; the loop of the stack does the rest (`planner.moves`), and the next run goes on where
one was killed. A volume of a stack that is no longer declared has no loop: it is moved right here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from orchestrator.errors import Conflict, NoSuchThing, OrchError, Refused, Unreachable, UsageError
from orchestrator.model.cluster import Availability, ClusterState, Move
from orchestrator.model.names import NodeName, StackName
from orchestrator.model.operations import MoveVolume
from orchestrator.model.plan import Blocked
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import Intent, Mode
from orchestrator.planner import World, preview
from orchestrator.planner.groups import is_confined
from orchestrator.reconciler.clock import Clock
from orchestrator.reconciler.events import (
    Emit,
    Event,
    OperationDone,
    OperationFailed,
    OperationProgressed,
    OperationStarted,
)
from orchestrator.reconciler.moving import Mover
from orchestrator.service.converge import Outcome
from orchestrator.service.hosts import Hosts
from orchestrator.service.volumes import Seen, Volumes
from orchestrator.store import Stacks, Store, hold

Look = Callable[[Intent], Awaitable[ClusterState]]
"""Gives the world of a stack as it is now."""

Converge = Callable[[StackName, Emit], Awaitable[Outcome]]

LEFT: Final = "nothing was moved, and nothing is lost"


class Moves:
    """Moves volumes between nodes."""

    def __init__(self, store: Store, hosts: Hosts, clock: Clock, command: str, look: Look, converge: Converge) -> None:
        self._store, self._hosts, self._clock, self._command = store, hosts, clock, command
        self._look, self._converge = look, converge
        self._stacks, self._volumes = Stacks(store), Volumes(store, hosts, command)

    async def move(self, names: Sequence[str], target: NodeName, emit: Emit) -> Outcome | None:
        """How the stack's loop ended, also where they were there already; None: their stack is not declared any more.

        raises NoSuchThing, Conflict, Unreachable, Refused: why they can't be moved; nothing is changed then
        """
        seen = await self._volumes.seen()
        self._check_target(target, seen)
        for name in names:
            _check(seen, name, target)
        going = list(dict.fromkeys(names))
        stacks = {seen.owner(name) for name in going}
        if len(stacks) > 1:
            raise UsageError("these volumes are of several stacks", fix="move those of one stack at a time")
        intent = next((intent for intent in seen.intents if intent.stack.name in stacks), None)
        if intent is None:
            await self._move_here(seen, going, target, emit)
            return None
        if intent.removed:
            raise Conflict(f'stack "{intent.stack.name}" is being taken down', fix="orch down ends that")
        return await self._move_with(intent, seen, going, target, emit)

    def _check_target(self, target: NodeName, seen: Seen) -> None:
        node = self._hosts.nodes.get(target)
        if node is None:
            raise NoSuchThing(f'there is no node "{target}"', fix=f"one of: {', '.join(sorted(seen.nodes))}")
        if target in seen.silent:
            error = seen.silent[target]
            raise Unreachable(f"{target} does not answer", why=error.why or error.what, fix="bring it back")
        if node.availability is not Availability.ACTIVE:
            raise Conflict(
                f"nothing may be moved to {target}",
                why=f"it is on {node.availability}",
                fix=f"orch node update --availability active {target}",
            )

    # -- with its stack --------------------------------------------------------------------------------------------

    async def _move_with(
        self, intent: Intent, seen: Seen, names: Sequence[str], target: NodeName, emit: Emit
    ) -> Outcome:
        cluster = await self._look(intent)
        found = {name: home for name in names if (home := seen.home(name))}
        homes = {**cluster.homes, **found}
        cluster = replace(cluster, homes=homes)
        world = World(intent, cluster, self._clock())
        if any(homes[name] != target for name in names):
            _check_together(world, names, target)
            _check_places(intent, cluster, names, target, world)
        for name in names:
            await self._stacks.set_home(name, homes[name])
            await self._stacks.ask_move(name, target)
        failed = _Failures(emit)
        try:
            outcome = await self._converge(intent.stack.name, failed)
        except OrchError:
            await self._give_up(names, homes, target)
            raise
        return await self._judged(intent, names, homes, target, outcome, failed)

    async def _judged(
        self,
        intent: Intent,
        names: Sequence[str],
        homes: dict[str, NodeName],
        target: NodeName,
        outcome: Outcome,
        failed: _Failures,
    ) -> Outcome:
        """The outcome where all have moved; else the stack goes on where its data is, and the reason is raised."""
        now = await self._stacks.homes()
        left = [name for name in names if now.get(name) != target]
        if not left or outcome.superseded_by:
            return outcome
        why, fix = failed.reason(left) or _reason(left, outcome.blocked)
        await self._give_up(left, homes, target)
        await self._converge(intent.stack.name, failed.emit)
        what = ", ".join(f'"{name}"' for name in left)
        at = homes[left[0]]
        raise Refused(f"volume {what} was not moved to {target}", why=why, fix=fix or f"its data is on {at} as before")

    async def _give_up(self, names: Sequence[str], homes: dict[str, NodeName], target: NodeName) -> None:
        moves = await self._stacks.moves()
        for name in names:
            move = moves.get(name)
            if move and move.target == target and (await self._stacks.homes()).get(name) == homes[name] != target:
                await self._stacks.ask_move(name, homes[name])

    # -- without one -----------------------------------------------------------------------------------------------

    async def _move_here(self, seen: Seen, names: Sequence[str], target: NodeName, emit: Emit) -> None:
        mover = Mover(self._hosts.engines, self._stacks)
        stack = seen.owner(names[0])
        homes = {name: home for name in names if (home := seen.home(name))}
        async with hold(self._store, f"locks/{stack}", owner=self._command):
            for name in names:
                await self._stacks.set_home(name, homes[name])
                move = await self._stacks.ask_move(name, target)
                if move is None:
                    continue
                if (await self._stacks.homes())[name] != target:
                    await self._told(stack, name, move, mover, emit)
                await mover.remove_copy(name, move)

    async def _told(self, stack: StackName, name: str, move: Move, mover: Mover, emit: Emit) -> None:
        operation = MoveVolume(node=move.target, source=move.source, name=name, cause="its move was asked for")
        began_at = self._clock()

        def tell(kind: type[Event], **fields: Any) -> None:
            emit(kind(stack=stack, at=self._clock(), operation=operation, **fields))  # type: ignore[call-arg]  # each kind's own fields

        tell(OperationStarted)
        await mover.move(name, move, lambda text: tell(OperationProgressed, text=text))
        tell(OperationDone, took_s=(self._clock() - began_at).total_seconds())


class _Failures:
    """Passes events on, and keeps what went wrong."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self._failed: dict[str, OperationFailed] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, OperationFailed) and isinstance(event.operation, MoveVolume):
            self._failed[event.operation.name] = event
        self.emit(event)

    def reason(self, names: Sequence[str]) -> tuple[str, str] | None:
        """(why, fix) of the first move that failed."""
        for event in (self._failed[name] for name in names if name in self._failed):
            return f"{event.what}: {event.why}" if event.why else event.what, event.fix
        return None


def _reason(names: Sequence[str], blocked: Sequence[Blocked]) -> tuple[str, str]:
    for entry in (entry for name in names for entry in blocked if entry.subject == f"volume {name}"):
        return f"it {entry.reason}", ""
    return "the stack did not come to rest", ""


def _check(seen: Seen, name: str, target: NodeName) -> None:
    """raises why the volume can't go to the node, as far as that is a matter of it alone"""
    seen.require(name)
    home = seen.home(name)
    _check_kind(seen, name)
    assert home is not None, "`require` has found it somewhere"
    if home in seen.silent:
        why = f"its data is on {home}, which does not answer"
        raise Unreachable(f'volume "{name}" can\'t be moved', why=why, fix=f"bring {home} back")
    if home not in seen.nodes or home not in seen.places(name):
        why = f"its data was on {home}, and is gone from there"
        raise Conflict(f'volume "{name}" can\'t be moved', why=why, fix=f"orch volume rm {name} gives it up")
    if target != home and target in seen.places(name) and name not in seen.moves:
        raise Conflict(
            f'there is a volume "{name}" on {target} already',
            why=f"the data is on {home}; what the other one holds, orch does not know",
            fix=f'if it is of no use, "orch volume rm --node {target} {name}"',
        )
    stacks = {c.stack for c in seen.holders(name)} - {seen.owner(name)}
    if stacks and target != home:
        why = f"containers of {', '.join(sorted(stacks))} hold it"
        raise Conflict(f'volume "{name}" can\'t be moved', why=why, fix="take those stacks down first")


def _check_kind(seen: Seen, name: str) -> None:
    specs = [spec for _, spec in seen.declared(name)]
    owners = [spec for spec in specs if not spec.external]
    drivers = [v.driver for v in seen.volumes if v.name == name]
    if specs and not owners:
        why = "it is external: made by hand, and a matter of whoever made it"
    elif any(not spec.is_local for spec in specs) or any(driver != "local" for driver in drivers):
        why = "its data is not on a node: its driver or its options name a server"
    elif not seen.owner(name):
        why = "it is of no stack"
    else:
        return
    raise Conflict(f'volume "{name}" has no home that could change', why=why, fix="orch volume ls shows those that do")


def _check_together(world: World, names: Sequence[str], target: NodeName) -> None:
    """raises Conflict where one slot would have its volumes on two nodes"""
    for service in world.stack.services.values():
        slots = world.slots[service.name]
        if service.mode is Mode.GLOBAL and any(
            name in world.mounted(service, slot) for name in names for slot in slots
        ):
            why = f"{service.name} has one on each node"
            raise Conflict(f'volume "{names[0]}" can\'t be moved', why=why, fix="it need not")
        for slot in slots:
            _check_slot(world, _bound(world, service.name, slot), names, target)


def _bound(world: World, service: Any, slot: Any) -> dict[str, VolumeSpec]:
    """Local volumes that have to be where the slot is."""
    group = world.groups[service]
    members = [(world.stack.services[service], slot)]
    if is_confined(world.stack, group):
        members += [(world.stack.services[name], number) for name in sorted(group) for number in world.slots[name]]
    found = {name: spec for member in members for name, spec in world.mounted(*member).items()}
    return {name: spec for name, spec in sorted(found.items()) if spec.is_local}


def _check_slot(world: World, bound: dict[str, VolumeSpec], names: Sequence[str], target: NodeName) -> None:
    going = [name for name in names if name in bound]
    staying = [name for name in bound if name not in names and world.home(name) not in (None, target)]
    if not going or not staying:
        return
    together = " ".join([*going, *staying])
    external = [name for name in staying if bound[name].external]
    raise Conflict(
        f'volume "{going[0]}" can\'t be moved alone',
        why=f"what uses it also uses {', '.join(staying)}, or has to be on one node with what does",
        fix=f"{external[0]} is external: it would have to be there first" if external
        else f"orch volume move {together} {target}",
    )  # fmt: skip


def _check_places(intent: Intent, cluster: ClusterState, names: Sequence[str], target: NodeName, world: World) -> None:
    """raises Conflict where something could run before and not after; what is broken already is no reason."""
    asked = {name: Move(source=cluster.homes[name], target=target) for name in names}
    before = {entry.subject for entry in preview(intent, cluster, now=world.now).blocked}
    after = preview(intent, replace(cluster, moves={**cluster.moves, **asked}), now=world.now).blocked
    for entry in after:
        if entry.subject not in before:
            raise Conflict(f"{entry.subject} could not run on {target}", why=entry.reason, fix=entry.fix or LEFT)
