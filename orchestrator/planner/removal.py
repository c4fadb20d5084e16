"""What has to go: surplus, stopped and doomed containers, then networks and, only when asked for, volumes.

The way down is the reverse of the graph: a container stops when nothing that depends on it, and goes too, still runs.
"""

from __future__ import annotations

from orchestrator.model.cluster import Container
from orchestrator.model.names import ServiceName, slot_name
from orchestrator.model.plan import RemoveContainer, RemoveNetwork, RemoveVolume, StopContainer, Verdict
from orchestrator.planner.classify import Judgement
from orchestrator.planner.draft import Draft
from orchestrator.planner.slots import Slots
from orchestrator.planner.world import World


class Removal:
    """Takes everything that leaves a step further."""

    def __init__(self, world: World, slots: Slots, draft: Draft) -> None:
        self._world, self._slots, self._draft = world, slots, draft
        resting = [s.holder for states in slots.wanted.values() for s in states if s.holder is not None]
        self._resting = tuple(j for j in resting if j.verdict is Verdict.REST)
        going = (*slots.unwanted, *self._resting)
        self._running = {j.container.service for j in going if j.container.is_running}

    def step(self) -> None:
        for judgement in self._resting:
            if judgement.container.is_running:
                self._stop(judgement)
        for judgement in self._slots.unwanted:
            self._take_down(judgement)
        if self._world.intent.removed:
            self._networks()
            if self._world.intent.remove_volumes:
                self._volumes()

    def _take_down(self, judgement: Judgement) -> None:
        c = judgement.container
        if not self._world.answers(c.node):
            self._wait(judgement, f"{c.node} does not answer")
        elif c.is_running and self._world.intent.stop_timeout_s != 0:
            self._stop(judgement)
        elif c.is_running and (users := self._users(c.service)):
            self._wait(judgement, f"stops after {', '.join(users)}", causes=users)
        else:
            self._draft.add(
                RemoveContainer(
                    node=c.node,
                    service=c.service,
                    slot=c.slot,
                    container=c.id,
                    name=c.name,
                    force=c.is_running,
                    volumes=self._world.intent.removed and self._world.intent.remove_volumes,
                    cause=judgement.reason,
                )
            )
            self._wait(judgement, "is being removed")

    def _stop(self, judgement: Judgement) -> None:
        c = judgement.container
        users = self._users(c.service)
        if users:
            self._wait(judgement, f"stops after {', '.join(users)}", causes=users)
            return
        self._draft.add(
            StopContainer(
                node=c.node,
                service=c.service,
                slot=c.slot,
                container=c.id,
                name=c.name,
                grace_s=self._world.intent.stop_timeout_s,
                cause=judgement.reason,
            )
        )
        self._wait(judgement, "is being stopped")

    def _users(self, service: ServiceName) -> tuple[ServiceName, ...]:
        """Services that depend on it, that go too and still run."""
        if service not in self._world.stack.services:
            return ()
        users = self._world.graph.with_dependents([service])
        return tuple(user for user in users if user != service and user in self._running)

    def _networks(self) -> None:
        for (node, name), network in sorted(self._world.networks.items()):
            if network.stack == self._world.stack.name and self._world.answers(node) and not self._members(node, name):
                self._draft.add(RemoveNetwork(node=node, name=name, key=network.key, cause="the stack is taken down"))

    def _members(self, node: str, network: str) -> list[Container]:
        return [c for c in self._world.containers if c.node == node and network in c.networks]

    def _volumes(self) -> None:
        """Only the stack's own, and only when no container is left that could hold one."""
        if self._world.containers:
            return
        for (node, name), volume in sorted(self._world.volumes.items()):
            if volume.stack == self._world.stack.name and self._world.answers(node):
                self._draft.add(RemoveVolume(node=node, name=name, key=volume.key, cause="its removal was asked for"))

    def _wait(self, judgement: Judgement, reason: str, *, causes: tuple[str, ...] = ()) -> None:
        c = judgement.container
        self._draft.block(slot_name(c.service, c.slot), reason, causes=causes, container=c.id, node=c.node)
