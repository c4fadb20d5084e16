"""The registry of nodes: which Docker hosts there are, and what people allow of each; all else is observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.errors import NoSuchThing, RevisionConflict, StoreError
from orchestrator.model.cluster import Node
from orchestrator.model.names import NodeName
from orchestrator.store.protocol import Delete, Put, Store

_NODES: Final = "nodes/"
_GUARD: Final = "registry/nodes"
"""Written by every change, so that of two at the same time one looks again: endpoints are unique across keys."""


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a `nodes.json`."""

    name: NodeName
    endpoint: str
    address: str = ""
    labels: Mapping[str, str] = {}


class Nodes:
    """The nodes in `store`: name, endpoint, availability and labels of each; anything else is left out."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self) -> tuple[Node, ...]:
        """By name."""
        return tuple(msgspec.json.decode(entry.value, type=Node) for entry in await self._store.list(_NODES))

    async def add(self, node: Node) -> None:
        """raises StoreError: its name or its endpoint is in the registry"""

        def added(nodes: dict[NodeName, Node]) -> tuple[Put | Delete, ...]:
            _refuse_taken(node, nodes.values())
            return (_put(node),)

        await self._change(added)

    async def update(self, node: Node) -> None:
        """Takes the place of the one of the same name.

        raises NoSuchThing; StoreError: another node has its endpoint
        """

        def updated(nodes: dict[NodeName, Node]) -> tuple[Put | Delete, ...]:
            if node.name not in nodes:
                raise _unknown(node.name, nodes)
            _refuse_taken(node, [other for other in nodes.values() if other.name != node.name])
            return (_put(node),)

        await self._change(updated)

    async def remove(self, name: NodeName) -> None:
        """raises NoSuchThing"""

        def removed(nodes: dict[NodeName, Node]) -> tuple[Put | Delete, ...]:
            if name not in nodes:
                raise _unknown(name, nodes)
            return (Delete(key=_NODES + name),)

        await self._change(removed)

    async def adopt(self, path: Path) -> tuple[NodeName, ...]:
        """The names that were taken from a `nodes.json`: those of which neither name nor endpoint was known.

        path: a list of {"name", "endpoint"}, as `orch lab` writes it; no such file: nothing is taken
        raises StoreError: the file can't be read
        """
        listed = _read(path)
        taken: list[NodeName] = []

        def adopted(nodes: dict[NodeName, Node]) -> tuple[Put | Delete, ...]:
            new = _unknown_ones(listed, nodes.values())
            taken[:] = [node.name for node in new]
            return tuple(_put(node) for node in new)

        await self._change(adopted)
        return tuple(taken)

    async def _change(self, change: Callable[[dict[NodeName, Node]], tuple[Put | Delete, ...]]) -> None:
        """Writes what `change` makes of the registry; when somebody else changed it meanwhile, of the new one."""
        while True:
            guard = await self._store.get(_GUARD)
            changes = change({node.name: node for node in await self.list()})
            if not changes:
                return
            try:
                await self._store.write(*changes, Put(key=_GUARD, value=b"", replaces=guard.revision if guard else 0))
                return
            except RevisionConflict:
                continue


def _unknown_ones(listed: Iterable[_Listed], known: Iterable[Node]) -> list[Node]:
    names = {node.name for node in known}
    endpoints = {node.endpoint for node in known}
    new = []
    for one in listed:
        if one.name not in names and one.endpoint not in endpoints:
            new.append(Node(name=one.name, endpoint=one.endpoint, address=one.address, labels=one.labels))
            names.add(one.name)
            endpoints.add(one.endpoint)
    return new


def _put(node: Node) -> Put:
    lasting = Node(
        name=node.name,
        endpoint=node.endpoint,
        address=node.address,
        availability=node.availability,
        labels=node.labels,
    )
    return Put(key=_NODES + node.name, value=msgspec.json.encode(lasting, order="deterministic"))


def _refuse_taken(node: Node, others: Iterable[Node]) -> None:
    for other in others:
        if other.name == node.name:
            what, fix = f'there is a node "{node.name}" already', f'take another name, or "orch node rm {node.name}"'
        elif other.endpoint == node.endpoint:
            what, fix = f'node "{other.name}" has that endpoint already', "give each engine one node"
        else:
            continue
        raise StoreError(what, why=f'"{other.name}" is {other.endpoint}', fix=fix)


def _unknown(name: NodeName, nodes: Mapping[NodeName, Node]) -> NoSuchThing:
    there = ", ".join(f'"{node}"' for node in nodes) or "none"
    return NoSuchThing(f'there is no node "{name}"', why=f"nodes that are there: {there}", fix='see "orch node ls"')


def _read(path: Path) -> tuple[_Listed, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[_Listed, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(
            "the list of nodes can't be read",
            where=str(path),
            why=str(error),
            fix='write a list of {"name": ..., "endpoint": ...}, or move the file out of the way',
        ) from error
