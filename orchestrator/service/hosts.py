"""Hosts: the registered nodes and a connection to each, opened when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine
from orchestrator.errors import Conflict, EngineError, NoSuchThing, TooOld
from orchestrator.model.cluster import Availability, Container, EngineFacts, Node, NodeStatus
from orchestrator.model.names import NodeName, StackName
from orchestrator.store import Nodes, Stacks

T = TypeVar("T")

OLDEST_API = (1, 41)
"""Docker Engine 20.10: older ones are not tested."""
ANSWER_WITHIN_S = 3.0

Connect = Callable[[NodeName, str], Engine]


class Hosts:
    """All nodes of this cluster. `registry` is None where the one engine of `docker` itself is the whole cluster."""

    def __init__(self, nodes: tuple[Node, ...], connect: Connect, registry: Nodes | None) -> None:
        self.nodes: dict[NodeName, Node] = {node.name: node for node in nodes}
        self._connect, self._registry = connect, registry
        self.silent: dict[NodeName, EngineError] = {}
        """Those that gave no answer when all were asked last, and why."""

    @cached_property
    def engines(self) -> dict[NodeName, Engine]:
        return {node.name: self._connect(node.name, node.endpoint) for node in self.nodes.values()}

    async def ask(
        self, question: Callable[[Engine], Awaitable[T]]
    ) -> tuple[dict[NodeName, T], dict[NodeName, EngineError]]:
        """The answers of all nodes, and the errors of those that gave none within ANSWER_WITHIN_S."""
        answers = await asyncio.gather(*(self._asked(engine, question) for engine in self.engines.values()))
        by_node = dict(zip(self.engines, answers, strict=True))
        self.silent = {node: answer for node, answer in by_node.items() if isinstance(answer, EngineError)}
        return {n: a for n, a in by_node.items() if not isinstance(a, EngineError)}, self.silent

    async def _asked(self, engine: Engine, question: Callable[[Engine], Awaitable[T]]) -> T | EngineError:
        try:
            await engine.ping(timeout_s=ANSWER_WITHIN_S)
            return await question(engine)
        except EngineError as error:
            return error

    async def containers(self, stack: StackName | None) -> tuple[Container, ...]:
        """Of all nodes that answer, sorted; raises the node's own error when none does."""
        answers, silent = await self.ask(lambda engine: engine.containers(stack))
        if silent and not answers:
            raise next(iter(silent.values()))
        found = [c for containers in answers.values() for c in containers]
        return tuple(sorted(found, key=lambda c: (c.stack, c.service, c.slot, c.name)))

    async def described(self) -> tuple[Node, ...]:
        """The nodes with their facts; those that don't answer are down, with the reason."""
        answers, silent = await self.ask(lambda engine: engine.facts())
        found = [replace(self.nodes[name], facts=facts) for name, facts in answers.items()]
        for name, error in silent.items():
            found.append(replace(self.nodes[name], status=NodeStatus.DOWN, trouble=error.why or error.what))
        return tuple(sorted(found, key=lambda node: node.name))

    async def add(
        self,
        name: NodeName,
        endpoint: str,
        labels: Mapping[str, str],
        address: str,
        is_ours: Callable[[EngineFacts], Awaitable[bool]],
    ) -> Node:
        """Registers an engine that answers, once, under one name."""
        registry = self._writable()
        engine = self._connect(name, endpoint)
        try:
            await engine.ping(timeout_s=ANSWER_WITHIN_S)
            facts = await engine.facts()
        finally:
            await engine.close()
        if facts.api_version < OLDEST_API:
            raise TooOld(
                f'node "{name}" can\'t be added: its engine {facts.version} is too old',
                why=f"it speaks API {_dotted(facts.api_version)}; orch needs {_dotted(OLDEST_API)}",
                fix="upgrade Docker there to 20.10 or newer",
            )
        if facts.swarm.state != "inactive" and not await is_ours(facts):
            raise Conflict(
                f'node "{name}" can\'t be added: its engine is part of another swarm',
                why=f"its swarm mode is {facts.swarm.state}, and orch did not make that swarm",
                fix='"docker swarm leave" there, if nothing needs it any more, or leave this host out',
            )
        for other in await self.described():
            if other.facts and other.facts.engine_id == facts.engine_id and other.name in await self._known():
                raise Conflict(
                    f'node "{name}" is there already, as "{other.name}"',
                    why=f"both endpoints lead to engine {facts.engine_id}",
                    fix=f'use "{other.name}", or remove it first: orch node rm {other.name}',
                )
        node = Node(name=name, endpoint=endpoint, address=address, labels=labels)
        await registry.add(node)
        return replace(node, facts=facts)

    async def _known(self) -> frozenset[NodeName]:
        return frozenset(node.name for node in await self._writable().list())

    async def update(
        self,
        name: NodeName,
        *,
        labels: Mapping[str, str],
        without: Sequence[str],
        availability: Availability | None,
        address: str | None,
    ) -> Node:
        """The node as it is registered from now on; raises NoSuchThing, also for a label that it does not have."""
        registry = self._writable()
        known = {node.name: node for node in await registry.list()}
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise NoSuchThing(f'there is no node "{name}"', fix=f"one of: {there}")
        node = known[name]
        if missing := [key for key in without if key not in node.labels]:
            raise NoSuchThing(f'node "{name}" has no label "{missing[0]}"', fix='see "orch node ls"')
        kept = {key: value for key, value in node.labels.items() if key not in without}
        node = replace(node, labels={**kept, **labels})
        node = replace(node, availability=availability or node.availability)
        node = node if address is None else replace(node, address=address)
        await registry.update(node)
        return node

    async def refuse_removal(self, name: NodeName, stacks: Stacks, *, force: bool) -> None:
        """raises NoSuchThing; Conflict: something of ours is there, and no `force`"""
        if name not in await self._known():
            there = ", ".join(sorted(await self._known())) or "none"
            raise NoSuchThing(f'there is no node "{name}"', fix=f"one of: {there}")
        if not force:
            await self._refuse_in_use(name, stacks)

    async def remove(self, name: NodeName) -> None:
        """Takes it out of the registry; raises NoSuchThing"""
        await self._writable().remove(name)

    async def _refuse_in_use(self, name: NodeName, stacks: Stacks) -> None:
        volumes = sorted(volume for volume, node in (await stacks.homes()).items() if node == name)
        containers = await self._containers_on(name)
        held = [f"containers {', '.join(containers)}"] if containers else []
        held += [f"the data of volumes {', '.join(volumes)}"] if volumes else []
        if held:
            raise Conflict(
                f'node "{name}" is in use',
                why=f"it has {' and '.join(held)}",
                fix=f"take the stacks down first, or leave them there: orch node rm --force {name}",
            )

    async def _containers_on(self, name: NodeName) -> list[str]:
        """Names; raises Conflict when the node does not say."""
        if name not in self.engines:
            return []
        answer = await self._asked(self.engines[name], lambda engine: engine.containers())
        if isinstance(answer, EngineError):
            raise Conflict(
                f'node "{name}" can\'t be asked what runs there',
                why=answer.why or answer.what,
                fix=f"when it won't come back, leave what is there: orch node rm --force {name}",
            )
        return [c.name for c in answer]

    def _writable(self) -> Nodes:
        assert self._registry is not None, "`open_control` gives every cluster a registry"
        return self._registry

    async def close(self) -> None:
        if "engines" in self.__dict__:
            await asyncio.gather(*(engine.close() for engine in self.engines.values()))


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
