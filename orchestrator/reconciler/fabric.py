"""The swarm that carries networks across hosts: observed, and worked on, one step at a time."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine
from orchestrator.errors import EngineError, RangeTaken, Refused, Unreachable
from orchestrator.model.cluster import Fabric, Member, Network, Node, NodeStatus, Swarm
from orchestrator.model.names import ORCH, NodeName
from orchestrator.model.operations import (
    CreateNetwork,
    InitFabric,
    JoinFabric,
    LeaveFabric,
    PinNetwork,
    PromoteMember,
    RemoveMember,
    UnpinNetwork,
)
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.tasks import together
from orchestrator.store import FabricRecord

MARK = ORCH + "fabric"
"""Label of the swarm: orch made it. So a crash before that is written down does no harm."""

SPREAD_S = 12.0
"""A new network's addresses and routes are known everywhere within this time. Measured: mostly 0.6 s, up to 10 s."""
ASK_AGAIN_S = 0.2
ROLE_S = 45.0
"""A busy engine takes its time to become a manager: more than 12 s were seen."""
Relist = Callable[[NodeName], Awaitable[None]]
"""Reads the networks of a node again."""
OWNER = "orch, networks across hosts"


class Weaver:
    """Keeps `fabric` true, and carries out the operations on it. `nodes` are the observer's, and kept up to date."""

    def __init__(self, engines: Mapping[NodeName, Engine], nodes: dict[NodeName, Node], record: FabricRecord) -> None:
        self._engines, self._nodes, self._record = engines, nodes, record
        self.fabric = Fabric()
        self.networks: Callable[[], tuple[Network, ...]] = lambda: ()

    async def look(self) -> None:
        """What is written down, and what a manager that has a quorum says."""
        known = await self._record.load()
        for node in self._managers():
            try:
                known = await self._seen_by(node, known)
            except EngineError:
                continue
            if known.members is not None:
                break
        self.fabric = known

    async def _seen_by(self, node: NodeName, known: Fabric) -> Fabric:
        """What that manager knows. A swarm of ours that is not written down, as after a crash, is taken over."""
        cluster_id = self._swarm(node).cluster_id
        if cluster_id and not known.cluster_id and MARK in await self._engines[node].swarm_labels():
            await self._record.remember(cluster_id)
            known = replace(known, cluster_id=cluster_id)
        if not cluster_id or cluster_id != known.cluster_id:
            return known
        members = await self._engines[node].members()
        return replace(known, members=members, expected=await self._written_down(known, members))

    async def _written_down(self, known: Fabric, members: tuple[Member, ...]) -> dict[NodeName, str]:
        """Node -> its id, also of those that joined when nobody lived to write it down."""
        ids = {member.id for member in members}
        seen = {name: id for name in self._nodes if (id := self._swarm(name).member) in ids}
        for name, id in seen.items():
            if known.expected.get(name) != id:
                await self._record.joined(name, id)
        return {**known.expected, **seen}

    def _swarm(self, node: NodeName) -> Swarm:
        """The node's own view, as last read."""
        facts = self._nodes[node].facts
        return facts.swarm if facts else Swarm()

    def _managers(self) -> Iterator[NodeName]:
        for name, node in sorted(self._nodes.items()):
            if node.status is NodeStatus.READY and self._swarm(name).is_manager:
                yield name

    async def _note(self, node: NodeName) -> None:
        """The node's own view is part of its facts."""
        swarm = await self._engines[node].swarm()
        if facts := self._nodes[node].facts:
            self._nodes[node] = replace(self._nodes[node], facts=replace(facts, swarm=swarm))

    async def init(self, op: InitFabric) -> None:
        async with self._record.alone(OWNER):
            await self._note(op.node)
            await self.look()
            if not self.fabric.cluster_id:
                engine, address = self._engines[op.node], await _numeric(op.address)
                await engine.init_swarm(address=address, pool=self.fabric.pool, labels={MARK: "1"})
                await self._note(op.node)
                await self.look()

    async def join(self, op: JoinFabric) -> None:
        via, engine = self._engines[op.via], self._engines[op.node]
        async with self._record.alone(OWNER):
            token, managers = await via.join_token(as_manager=op.as_manager), (await via.swarm()).managers
            await engine.join_swarm(managers=managers, token=token, address=await _numeric(op.address))
            await self._note(op.node)
            await self._record.joined(op.node, self._swarm(op.node).member)
            await self.look()

    async def promote(self, op: PromoteMember) -> None:
        async with self._record.alone(OWNER):
            await self._engines[op.node].set_manager(op.id, is_manager=op.as_manager)
            if op.member in self._engines:
                await self._changed_role(op)
            await self.look()

    async def _changed_role(self, op: PromoteMember) -> None:
        """The member learns of its new role a moment later."""
        deadline_s = monotonic_s() + ROLE_S
        while (await self._engines[op.member].swarm()).is_manager is not op.as_manager:
            if monotonic_s() > deadline_s:
                raise Unreachable(f"{op.member} has not taken its new role among the networks' managers")
            await asyncio.sleep(ASK_AGAIN_S)
        await self._note(op.member)

    async def remove_member(self, op: RemoveMember) -> None:
        async with self._record.alone(OWNER):
            await self._engines[op.node].remove_member(op.id)
            await self.look()

    async def leave(self, op: LeaveFabric) -> None:
        async with self._record.alone(OWNER):
            await self._engines[op.node].leave_swarm(force=True)
            await self._record.left(op.node)
            await self._note(op.node)
            await self.look()

    async def refuse_overlap(self, op: CreateNetwork) -> None:
        """raises RangeTaken: a host reaches something else in that range; it is known from now on."""
        ready = [name for name, node in self._nodes.items() if node.status is NodeStatus.READY]
        await together(*(self._learn_routes(name) for name in ready))
        wanted = ipaddress.ip_network(op.subnet)
        for name in ready:
            facts = self._nodes[name].facts
            for route in facts.routes if facts else ():
                other = ipaddress.ip_network(route, strict=False)
                if other.version == wanted.version and wanted.overlaps(other):
                    raise RangeTaken(f"{op.subnet} is taken", where=name, why=f"it has a route to {route}")

    async def _learn_routes(self, name: NodeName) -> None:
        facts = self._nodes[name].facts
        if facts and not facts.routes:
            routes = await self._engines[name].routes()
            self._nodes[name] = replace(self._nodes[name], facts=replace(facts, routes=routes))

    async def pin(self, op: PinNetwork, relist: Relist) -> None:
        """Held, and proved by traffic from and to every node that holds it already."""
        address = await self._engines[op.node].pin(op.name)
        await relist(op.node)
        here = next(n for n in self.networks() if (n.node, n.name) == (op.node, op.name))
        others = {n.node: n.pin for n in self.networks() if n.name == op.name and n.pin and n.node != op.node}
        alive = {node: pin for node, pin in others.items() if self._nodes[node].status is NodeStatus.READY}
        await together(
            self._reached(op.node, op.name, {pin: node for node, pin in alive.items()}),
            *(self._reached(node, op.name, {address: op.node}) for node in alive),
        )
        await self._record.prove(op.node, here.id)
        self.fabric = replace(self.fabric, proved=self.fabric.proved | {f"{op.node}/{here.id}"})

    async def _reached(self, node: NodeName, network: str, peers: Mapping[str, NodeName]) -> None:
        """raises Refused: packets do not come from one of the peers (address -> node), also not after a while"""
        deadline_s, left = monotonic_s() + SPREAD_S, dict(peers)
        while left:
            answers = await self._engines[node].reach(network, tuple(left))
            troubles = {address: why for address, why in answers.items() if why}
            left = {address: peers[address] for address in troubles}
            if left and monotonic_s() > deadline_s:
                address, why = next(iter(troubles.items()))
                raise Refused(
                    f"no traffic passes from {left[address]} to {node} over network {network}",
                    where=node,
                    why=why,
                    fix="let 4789/udp, 7946/tcp and 7946/udp pass between the hosts; mind the MTU of the way",
                )
            if left:
                await asyncio.sleep(ASK_AGAIN_S)

    async def unpin(self, op: UnpinNetwork, relist: Relist) -> None:
        await self._engines[op.node].unpin(op.name)
        await relist(op.node)


async def _numeric(address: str) -> str:
    """The engine wants a number; a name is what this machine finds under it."""
    if not address or address.replace(".", "").isdecimal() or ":" in address:
        return address
    found = await asyncio.get_running_loop().getaddrinfo(address, None, family=socket.AF_INET)
    return str(found[0][4][0])
