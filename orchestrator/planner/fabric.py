"""The swarm that carries networks across hosts: who takes part, who manages it, what keeps a node out.

One manager while there are fewer than three members, three from then on, never two for long: of two managers both have
to live. Source: Docker Swarm, Raft quorum.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from orchestrator.model.cluster import Member, Node, NodeStatus, Swarm
from orchestrator.model.names import NodeName
from orchestrator.model.operations import (
    FABRIC,
    AnyOperation,
    InitFabric,
    JoinFabric,
    LeaveFabric,
    PromoteMember,
    RemoveMember,
)
from orchestrator.model.plan import Severity
from orchestrator.planner.draft import Draft
from orchestrator.planner.world import World

REPAIR = 'bring it back, or "orch cluster repair" if it is gone for good'
MANAGERS = 3
TRIES = 3
"""After so many a node that can't join is left out, until the next command."""
ACTIVE = "active"


class Fabric:
    """The swarm as one pass sees it."""

    def __init__(self, world: World) -> None:
        self._world, self._known = world, world.cluster.fabric

    def refusal(self, node: NodeName) -> str:
        """Why the node can't be on a network that spans hosts, or empty."""
        host = self._world.nodes[node]
        if host.facts is None or self.holds(node):
            return ""
        swarm = host.facts.swarm
        if host.facts.live_restore:
            return 'its engine has "live-restore" on, which swarm mode refuses'
        if swarm.state in ("locked", "error"):
            return f"its engine's swarm mode is {swarm.state}" + (f" ({swarm.error})" if swarm.error else "")
        if swarm.state == ACTIVE and not self._was_ours(host.name, swarm):
            return "it is part of another swarm"
        failure = self._world.cluster.failures.get(f"{node}/fabric")
        is_lasting = failure and (not failure.temporary or failure.count >= TRIES)
        return f"{failure.what}: {failure.why}" if failure and is_lasting else ""

    def holds(self, node: NodeName) -> bool:
        """The node is a member, as far as is known."""
        host = self._world.nodes.get(node)
        swarm = host.facts.swarm if host and host.facts else None
        if swarm is None or swarm.state != ACTIVE or not self._known.cluster_id:
            return False
        if self._known.members is not None:
            return swarm.member in self._members
        return self._was_ours(node, swarm)

    def _was_ours(self, node: NodeName, swarm: Swarm) -> bool:
        is_remembered = self._known.expected.get(node, "") == swarm.member
        return bool(self._known.cluster_id) and (swarm.cluster_id == self._known.cluster_id or is_remembered)

    @cached_property
    def _members(self) -> dict[str, Member]:
        return {member.id: member for member in self._known.members or ()}

    @cached_property
    def lead(self) -> NodeName | None:
        """A manager that answers and has a quorum; the first by name."""
        if self._known.members is None:
            return None
        leads = (name for name in self._world.nodes if self._world.manages(name) and self.holds(name))
        return next(leads, None)

    def step(self, draft: Draft) -> None:
        """Plans what the swarm lacks, or says why it can't be had."""
        if self._known.members is not None and self.lead:
            for operation in self._changes(self.lead):
                draft.add(operation)
        elif any(self.holds(name) for name in self._world.nodes) or self._is_out_of_sight():
            self._without_quorum(draft)
        elif first := next(self._eligible(), None):
            draft.add(InitFabric(node=first.name, address=address_of(first), cause="networks are to span hosts"))
        else:
            reasons = "; ".join(f"{name}: {why}" for name in self._world.usable_nodes if (why := self.refusal(name)))
            draft.block(FABRIC, f"no node can carry them: {reasons or 'none answers'}", severity=Severity.FAILED)

    def _is_out_of_sight(self) -> bool:
        """There is one, and those who carry it can't be asked."""
        return any(name in self._world.nodes and not self._world.answers(name) for name in self._known.expected)

    def _eligible(self) -> Iterator[Node]:
        """Nodes that could become members, by name."""
        for name in self._world.usable_nodes:
            node = self._world.nodes[name]
            if node.facts is not None and not self.holds(name) and not self.refusal(name):
                yield node

    def _changes(self, lead: NodeName) -> Iterator[AnyOperation]:
        """Those who are gone leave, workers join all at once, managers one after another."""
        yield from self._departures(lead)
        joiners = list(self._eligible())
        lost = [node for node in joiners if node.facts and node.facts.swarm.state != "inactive"]
        yield from (LeaveFabric(node=n.name, cause="the others don't know it any more") for n in lost)
        joiners = [node for node in joiners if node not in lost]
        short = self._target(len(joiners)) - len(self._managers)
        for node in joiners[: max(short, 0)][:1]:
            yield _join(node, lead, as_manager=True)
        for node in joiners[max(short, 0) :]:
            yield _join(node, lead, as_manager=False)
        if not joiners:
            yield from self._balance(lead, short)

    @cached_property
    def _managers(self) -> list[Member]:
        return [member for member in self._members.values() if member.is_manager]

    @cached_property
    def _names(self) -> dict[str, NodeName]:
        """Member id -> node of this cluster."""
        found = {member: node for node, member in self._known.expected.items() if node in self._world.nodes}
        seen = {n.facts.swarm.member: n.name for n in self._world.nodes.values() if n.facts and n.facts.swarm.member}
        return {**found, **seen}

    def _target(self, joiners: int) -> int:
        ours = sum(member in self._names for member in self._members)
        return MANAGERS if ours + joiners >= MANAGERS else 1

    def _departures(self, lead: NodeName) -> Iterator[RemoveMember]:
        """Members that are no node of the cluster any more, and what a node that joined again was before."""
        for member in self._members.values():
            if member.id not in self._names and not member.is_ready:
                name = member.hostname or member.id
                yield RemoveMember(node=lead, member=name, id=member.id, cause="it is no node of this cluster")

    def _balance(self, lead: NodeName, short: int) -> Iterator[PromoteMember]:
        """One step towards the right number of managers."""
        if short > 0:
            plain = sorted(self._names[m.id] for m in self._members.values() if self._may_manage(m))
            for name in plain[:1]:
                yield self._promotion(lead, name, as_manager=True)
        elif short < 0:
            others = sorted(self._names[m.id] for m in self._managers if m.id in self._names)
            for name in [name for name in others if name != lead][:1]:
                yield self._promotion(lead, name, as_manager=False)

    def _may_manage(self, member: Member) -> bool:
        name = self._names.get(member.id)
        return not member.is_manager and member.is_ready and name in self._world.usable_nodes

    def _promotion(self, lead: NodeName, name: NodeName, *, as_manager: bool) -> PromoteMember:
        ids = {node: id for id, node in self._names.items() if id in self._members}
        cause = f"{len(self._members)} members have {self._target(0)} manager(s)"
        return PromoteMember(node=lead, member=name, id=ids[name], as_manager=as_manager, cause=cause)

    def _without_quorum(self, draft: Draft) -> None:
        """Containers run on and talk; none that is on such a network can be started anywhere."""
        silent = [n for n in self._world.nodes.values() if n.name in self._known.expected and not self._answers(n)]
        who = ", ".join(f"{n.name}, which is {n.status}" for n in silent) or "none of the managers can be asked"
        is_new = any(n.status is NodeStatus.SUSPECT for n in silent)
        draft.block(
            FABRIC,
            f"their managers are out of reach or have no majority: {who}; what runs goes on, nothing can be started",
            severity=Severity.WAITING if is_new else Severity.FAILED,
            fix=REPAIR,
        )

    def _answers(self, node: Node) -> bool:
        return self._world.answers(node.name)


def address_of(node: Node) -> str:
    """Where the other nodes reach it: as a person said, else the host of its endpoint; empty: the engine must know."""
    if node.address:
        return node.address
    scheme, _, rest = node.endpoint.partition("://")
    host = rest.rpartition("@")[2].partition("/")[0].partition("?")[0]
    return host.rpartition(":")[0] or host if scheme in ("tcp", "ssh", "http", "https") else ""


def _join(node: Node, via: NodeName, *, as_manager: bool) -> JoinFabric:
    cause = "networks are to span hosts"
    return JoinFabric(node=node.name, via=via, address=address_of(node), as_manager=as_manager, cause=cause)
