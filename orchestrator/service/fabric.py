"""What people ask of the networks across hosts beside stacks: how they are, repair, and a node that takes its leave."""

from __future__ import annotations

import msgspec

from orchestrator.errors import Conflict, EngineError, NoSuchThing
from orchestrator.model.cluster import EngineFacts, Member, Swarm
from orchestrator.model.names import NodeName
from orchestrator.planner.fabric import address_of
from orchestrator.service.hosts import Hosts
from orchestrator.store import FabricRecord, Store

OWNER = "orch cluster"


class NodeLink(msgspec.Struct, frozen=True, kw_only=True):
    """A node's part in the networks across hosts. `state`: ready, down, out (no member), or silent."""

    node: NodeName
    state: str
    role: str = ""
    address: str = ""
    trouble: str = ""


class FabricStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`exists`: orch has made them. `has_quorum`: something that is on them can be started."""

    exists: bool
    has_quorum: bool
    links: tuple[NodeLink, ...] = ()


class FabricVerbs:
    """`orch cluster` and the part that `orch node rm` has in it."""

    def __init__(self, store: Store, hosts: Hosts) -> None:
        self._record, self._hosts = FabricRecord(store), hosts

    async def status(self) -> FabricStatus:
        known = await self._record.load()
        swarms, silent = await self._hosts.ask(lambda engine: engine.swarm())
        members = await self._members(swarms, known.cluster_id)
        by_id = {member.id: member for member in members or ()}
        links = [_link(node, swarm, by_id) for node, swarm in swarms.items()]
        links += [NodeLink(node=node, state="silent", trouble=why.why or why.what) for node, why in silent.items()]
        ordered = tuple(sorted(links, key=lambda link: link.node))
        return FabricStatus(exists=bool(known.cluster_id), has_quorum=members is not None, links=ordered)

    async def _members(self, swarms: dict[NodeName, Swarm], cluster_id: str) -> tuple[Member, ...] | None:
        for node, swarm in sorted(swarms.items()):
            if swarm.is_manager and cluster_id and swarm.cluster_id == cluster_id:
                try:
                    return await self._hosts.engines[node].members()
                except EngineError:
                    continue
        return None

    async def is_ours(self, facts: EngineFacts) -> bool:
        """An engine that is in a swarm is in that of this cluster."""
        known = await self._record.load()
        swarm = facts.swarm
        is_known = swarm.cluster_id == known.cluster_id or swarm.member in known.expected.values()
        return bool(known.cluster_id) and is_known

    async def repair(self) -> tuple[NodeName, ...]:
        """Goes on with the managers that are left; the nodes that were forgotten, which join again by themselves.

        raises Conflict: there is a quorum, so nothing is to be repaired; NoSuchThing: there is no such network
        """
        async with self._record.alone(OWNER):
            known = await self._record.load()
            if not known.cluster_id:
                raise NoSuchThing("no networks span hosts here", fix="orch up makes them when a stack needs them")
            swarms, _ = await self._hosts.ask(lambda engine: engine.swarm())
            if await self._members(swarms, known.cluster_id) is not None:
                raise Conflict("the networks across hosts have their quorum", fix='see "orch cluster status"')
            left = [n for n, s in sorted(swarms.items()) if s.is_manager and known.expected.get(n) == s.member]
            if left:
                return await self._rebuilt(left[0])
            return await self._begun_anew(swarms)

    async def _rebuilt(self, node: NodeName) -> tuple[NodeName, ...]:
        """One manager goes on alone; who is silent is forgotten, or old managers that return would go their own way."""
        engine = self._hosts.engines[node]
        await engine.rebuild_swarm(address=address_of(self._hosts.nodes[node]))
        await self._record.remember((await engine.swarm()).cluster_id)
        expected = (await self._record.load()).expected
        there = {member.id for member in await engine.members()}
        gone = [name for name in sorted(expected) if name in self._hosts.silent]
        for name in gone:
            if expected[name] in there:
                await engine.remove_member(expected[name])
            await self._record.left(name)
        return tuple(gone)

    async def _begun_anew(self, swarms: dict[NodeName, Swarm]) -> tuple[NodeName, ...]:
        """No manager is left: all leave, and the next `orch up` makes the networks anew."""
        inside = [node for node, swarm in swarms.items() if swarm.member]
        for node in inside:  # at once, they would hold on to port 7946: FAREWELL_S in engine/docker_swarm.py
            await self._hosts.engines[node].leave_swarm(force=True)
        await self._record.forget()
        return tuple(sorted(inside))

    async def leave(self, node: NodeName) -> None:
        """A node that is removed from the cluster takes its leave of the others first, as far as it can be reached."""
        known = await self._record.load()
        if node not in known.expected:
            return
        async with self._record.alone(OWNER):
            swarms, _ = await self._hosts.ask(lambda engine: engine.swarm())
            others = [n for n, s in sorted(swarms.items()) if n != node and s.cluster_id == known.cluster_id]
            if others and swarms.get(node, Swarm()).is_manager:
                await self._hosts.engines[others[0]].set_manager(known.expected[node], is_manager=False)
            if node in swarms:
                await self._hosts.engines[node].leave_swarm(force=True)
            if others:
                await self._hosts.engines[others[0]].remove_member(known.expected[node])
            await self._record.left(node)
            if not others and set(known.expected) == {node}:
                await self._record.forget()


def _link(node: NodeName, swarm: Swarm, members: dict[str, Member]) -> NodeLink:
    member = members.get(swarm.member)
    if not swarm.member:
        return NodeLink(node=node, state="out", trouble=swarm.error)
    role = "manager" if swarm.is_manager else "member"
    state = "ready" if member is None or member.is_ready else "down"
    return NodeLink(node=node, state=state, role=role, address=swarm.address, trouble=swarm.error)
