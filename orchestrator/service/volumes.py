"""Volumes as people ask for them: which there are, where their data is, who uses them; and that one goes.

What is asked for is looked up on all nodes that answer, and in the store for those that don't: the home of a volume is
known while its node is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from orchestrator.errors import Conflict, EngineError, NoSuchThing, Unreachable
from orchestrator.model.cluster import Container, Move, Volume, VolumeDetails
from orchestrator.model.names import NodeName, StackName, slot_name
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import Intent, Mode
from orchestrator.planner.groups import mounted
from orchestrator.service.hosts import Hosts
from orchestrator.store import Stacks, Store, hold


class VolumeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `orch volume ls`.

    home:    the node that has the data of a local volume, also while it does not answer; empty for a shared one
    nodes:   those that answer and have one of that name
    used_by: slots that mount it (`shop/db.1`), by what is declared and by the containers that hold it
    moves_to: where its data is going
    """

    name: str
    stack: StackName
    home: NodeName | str = ""
    nodes: tuple[NodeName, ...] = ()
    driver: str = "local"
    used_by: tuple[str, ...] = ()
    moves_to: NodeName | str = ""
    is_declared: bool = True


class VolumeReport(msgspec.Struct, frozen=True, kw_only=True):
    """`orch volume inspect`. trouble: of nodes that could not be asked, why."""

    summary: VolumeSummary
    details: Mapping[NodeName, VolumeDetails]
    trouble: Mapping[NodeName, str] = {}


class Doomed(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that is to go from one node. `exists` False: only the memory of it is left."""

    name: str
    node: NodeName
    stack: StackName
    used_by: tuple[str, ...] = ()
    is_home: bool = False
    exists: bool = True

    def __str__(self) -> str:
        last = f", used by {', '.join(self.used_by)}" if self.used_by else ""
        gone = "" if self.exists else " (gone already)"
        return f'volume "{self.name}" on {self.node}: stack {self.stack or "-"}{last}{gone}'


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What all nodes say of volumes at one moment, and what is written down."""

    volumes: tuple[Volume, ...]
    containers: tuple[Container, ...]
    homes: Mapping[str, NodeName]
    moves: Mapping[str, Move]
    intents: tuple[Intent, ...]
    silent: Mapping[NodeName, EngineError]
    nodes: frozenset[NodeName]

    def home(self, name: str) -> NodeName | None:
        """As it is written down, or else where a container holds it, or else where it is."""
        held = [c.node for c in self.holders(name)]
        return self.homes.get(name) or next(iter([*held, *self.places(name)]), None)

    def places(self, name: str) -> tuple[NodeName, ...]:
        return tuple(sorted(v.node for v in self.volumes if v.name == name))

    def holders(self, name: str, node: NodeName | None = None) -> list[Container]:
        """Containers of any stack that hold it, running or not."""
        held = (c for c in self.containers if any(v.name == name for v in c.volumes))
        return [c for c in held if node in (None, c.node)]

    def declared(self, name: str) -> list[tuple[Intent, VolumeSpec]]:
        """Stacks that have it in their file, as their own or as an external one."""
        return [(i, v) for i in self.intents for v in i.stack.volumes.values() if v.covers(name)]

    def owner(self, name: str) -> StackName:
        labels = [v.stack for v in self.volumes if v.name == name and v.stack]
        owners = [intent.stack.name for intent, spec in self.declared(name) if not spec.external]
        return next(iter([*labels, *owners]), StackName(""))

    def used_by(self, name: str) -> tuple[str, ...]:
        slots = {f"{c.stack}/{slot_name(c.service, c.slot)}" for c in self.holders(name)}
        for intent, _ in self.declared(name):
            slots |= {f"{intent.stack.name}/{slot}" for slot in _mounting(intent, name)}
        return tuple(sorted(slots))

    def summary(self, name: str) -> VolumeSummary:
        move, home = self.moves.get(name), self.homes.get(name, NodeName(""))
        listed = [v.driver for v in self.volumes if v.name == name]
        specs = [spec for _, spec in self.declared(name)]
        owner = self.owner(name)
        return VolumeSummary(
            name=name,
            stack=owner,
            home=home,
            nodes=self.places(name),
            driver=next(iter([*listed, *(spec.driver for spec in specs)]), "") or "local",
            used_by=self.used_by(name),
            moves_to=move.target if move and home != move.target else "",
            is_declared=any(intent.stack.name == owner for intent in self.intents),
        )

    def names(self) -> list[str]:
        """Those of stacks, and those that are remembered."""
        ours = {v.name for v in self.volumes if v.stack or self.declared(v.name)}
        return sorted(ours | self.homes.keys())

    def require(self, name: str) -> None:
        """raises NoSuchThing, naming those that are there"""
        if name not in self.homes and not self.places(name):
            silent = f"; {', '.join(sorted(self.silent))} can't be asked" if self.silent else ""
            there = ", ".join(self.names()) or "none"
            raise NoSuchThing(f'there is no volume "{name}"', why=f"those of stacks: {there}{silent}", fix=LOOK)


LOOK = "orch volume ls shows them"


class Volumes:
    """`orch volume ls, inspect, rm, prune`."""

    def __init__(self, store: Store, hosts: Hosts, command: str) -> None:
        self._store, self._hosts, self._command = store, hosts, command
        self._stacks = Stacks(store)

    async def seen(self) -> Seen:
        """Of all nodes that answer; raises the node's own error when none does."""
        volumes, _ = await self._hosts.ask(lambda engine: engine.volumes())
        containers = await self._hosts.containers(None)
        stored = [await self._stacks.get(name) for name in await self._stacks.names()]
        return Seen(
            volumes=tuple(v for listed in volumes.values() for v in listed),
            containers=containers,
            homes=await self._stacks.homes(),
            moves=await self._stacks.moves(),
            intents=tuple(each.intent for each in stored if each),
            silent=dict(self._hosts.silent),
            nodes=frozenset(self._hosts.nodes),
        )

    async def list(self, stack: StackName | None = None) -> tuple[VolumeSummary, ...]:
        """Of stacks, sorted by stack and name; anonymous volumes and those of nobody are left out."""
        seen = await self.seen()
        found = [seen.summary(name) for name in seen.names()]
        return tuple(sorted((v for v in found if stack in (None, v.stack)), key=lambda v: (v.stack, v.name)))

    async def inspect(self, name: str) -> VolumeReport:
        """With all that the engines say of it; raises NoSuchThing."""
        seen = await self.seen()
        seen.require(name)
        places = seen.places(name)
        asked = [self._hosts.engines[node].volume(name, is_sized=True) for node in places]
        answers = dict(zip(places, await asyncio.gather(*asked, return_exceptions=True), strict=True))
        trouble = {node: error.why or error.what for node, error in seen.silent.items()}
        details: dict[NodeName, VolumeDetails] = {}
        for node, answer in answers.items():
            if isinstance(answer, EngineError):
                trouble[node] = answer.why or answer.what
            elif isinstance(answer, BaseException):
                raise answer
            else:
                details[node] = answer
        return VolumeReport(summary=seen.summary(name), details=details, trouble=trouble)

    async def removable(self, names: Sequence[str], node: NodeName | None = None) -> tuple[Doomed, ...]:
        """What `remove` would destroy, for the confirmation. `node`: only what is there.

        raises NoSuchThing; Conflict: a container holds it, or it is moving; Unreachable: its home does not answer
        """
        seen = await self.seen()
        if node is not None and node not in seen.nodes:
            raise NoSuchThing(f'there is no node "{node}"', fix="orch node ls shows them")
        return tuple(doomed for name in dict.fromkeys(names) for doomed in _doomed(seen, name, node))

    async def prunable(self) -> tuple[tuple[Doomed, ...], tuple[str, ...]]:
        """(volumes of stacks that are no longer declared, what stays although its stack is gone, and why).

        Only those that orch made or took over: data of a project that Docker Compose runs alone is not ours to judge.
        """
        seen = await self.seen()
        found: list[Doomed] = []
        kept: list[str] = []
        for name in seen.names():
            is_ours = name in seen.homes or any(v.config for v in seen.volumes if v.name == name)
            if not is_ours or seen.declared(name) or seen.summary(name).is_declared:
                continue
            try:
                found += _doomed(seen, name, None)
            except (Conflict, Unreachable) as error:
                kept.append(f"{error.what}: {error.why}")
        return tuple(found), tuple(kept)

    async def remove(self, doomed: Sequence[Doomed]) -> tuple[Doomed, ...]:
        """Destroys them; what was removed. The memory of a home goes last: until then a volume that is gone is missed.

        raises Conflict: a container came to hold one meanwhile
        """
        async with AsyncExitStack() as locks:
            for stack in sorted({each.stack for each in doomed if each.stack}):
                await locks.enter_async_context(hold(self._store, f"locks/{stack}", owner=self._command))
            for each in sorted(doomed, key=lambda each: each.is_home):
                if each.exists:
                    await self._hosts.engines[each.node].remove_volume(each.name)
                if each.is_home:
                    await self._stacks.forget_home(each.name)
        return tuple(doomed)


def _mounting(intent: Intent, name: str) -> Iterator[str]:
    """Slots of the stack that mount it; of a service with one on each node, the service."""
    for service in intent.stack.services.values():
        for volume in mounted(intent.stack, service):
            if service.mode is Mode.GLOBAL and volume.covers(name):
                yield service.name
            else:
                slots = range(1, service.replicas + 1)
                yield from (f"{service.name}.{slot}" for slot in slots if volume.name_for(slot) == name)


def _doomed(seen: Seen, name: str, node: NodeName | None) -> Iterable[Doomed]:
    seen.require(name)
    home, move = seen.homes.get(name), seen.moves.get(name)
    places = [place for place in seen.places(name) if node in (None, place)]
    concerns_home = home is not None and node in (None, home)
    if home is not None and concerns_home and home in seen.silent:
        raise Unreachable(
            f'volume "{name}" can\'t be removed',
            why=f"its data is on {home}, which does not answer ({seen.silent[home].why or seen.silent[home].what})",
            fix=f'bring {home} back, or give up what is there: "orch node rm --force {home}", then remove it again',
        )
    if move and home == move.source and node is None:
        raise Conflict(
            f'volume "{name}" is moving to {move.target}',
            why="its data is being copied, or was when that ended early",
            fix=f'"orch volume move {name} {home}" gives the move up',
        )
    for place in places:
        _refuse_held(seen, name, place)
    if not places and not concerns_home:
        raise NoSuchThing(f'there is no volume "{name}" on {node}', fix=LOOK)
    if concerns_home and home is not None and home not in places:
        places.append(home)
    return [
        Doomed(
            name=name,
            node=place,
            stack=seen.owner(name),
            used_by=seen.used_by(name),
            is_home=place == home,
            exists=place in seen.places(name),
        )
        for place in places
    ]


def _refuse_held(seen: Seen, name: str, node: NodeName) -> None:
    holders = seen.holders(name, node)
    if holders:
        services = sorted({c.service for c in holders})
        raise Conflict(
            f'volume "{name}" is in use',
            why=f"{', '.join(sorted(c.name for c in holders))} on {node} holds it",
            fix=f"orch -p {holders[0].stack} rm -fs {' '.join(services)}, or orch -p {holders[0].stack} down",
        )
