"""What has to go: surplus, stopped and doomed containers, then networks and, only when asked for, volumes.

The way down is the reverse of the graph: a container stops when nothing that depends on it, and goes too, still runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from orchestrator.model.cluster import Container
from orchestrator.model.names import NodeName, ServiceName, slot_name
from orchestrator.model.operations import RemoveContainer, RemoveVolume, StopContainer
from orchestrator.model.plan import Severity, Verdict
from orchestrator.model.shared import NetworkSpec
from orchestrator.planner.classify import Judgement
from orchestrator.planner.draft import Draft, on
from orchestrator.planner.links import members, removal
from orchestrator.planner.slots import Slots
from orchestrator.planner.world import World


class Removal:
    """Takes everything that leaves a step further."""

    def __init__(self, world: World, slots: Slots, draft: Draft) -> None:
        self._world, self._slots, self._draft = world, slots, draft
        resting = [s.holder for states in slots.wanted.values() for s in states if s.holder is not None]
        self._resting = tuple(j for j in resting if j.verdict is Verdict.REST)
        self._users_of: dict[ServiceName, tuple[str, tuple[str, ...]]] = {}
        self._running: dict[ServiceName, list[str]] = defaultdict(list)
        for judgement in (*slots.unwanted, *self._resting, *slots.evicted):
            if judgement.container.is_running:
                self._running[judgement.container.service].append(_subject(judgement.container))

    def step(self) -> None:
        for judgement in (*self._resting, *self._slots.evicted):
            if judgement.container.is_running:
                self._stop(judgement)
        for judgement in self._slots.unreachable:
            self._give_up(judgement)
        for judgement in self._slots.unwanted:
            self._take_down(judgement)
        if self._world.intent.removed:
            self._networks()
            if self._world.intent.remove_volumes:
                self._volumes()

    def _take_down(self, judgement: Judgement) -> None:
        c = judgement.container
        if c.is_running and self._world.intent.stop_timeout_s != 0:
            self._stop(judgement)
        elif not (c.is_running and self._has_users(judgement)):
            self._draft.add(
                on(
                    RemoveContainer,
                    c,
                    judgement.reason,
                    force=c.is_running,
                    volumes=self._world.intent.removed and self._world.intent.remove_volumes,
                )
            )
            self._wait(judgement, "is being removed")

    def _stop(self, judgement: Judgement) -> None:
        c = judgement.container
        if self._has_users(judgement):
            return
        self._draft.add(on(StopContainer, c, judgement.reason, grace_s=self._world.intent.stop_timeout_s))
        self._wait(judgement, "is being stopped")

    def _has_users(self, judgement: Judgement) -> bool:
        """Containers of services that depend on its own go, too, and still run: it waits for them."""
        reason, users = self._users(judgement.container.service)
        if users:
            self._wait(judgement, reason, causes=users)
        return bool(users)

    def _users(self, service: ServiceName) -> tuple[str, tuple[str, ...]]:
        """(reason, slots that it waits for)"""
        if service not in self._users_of:
            known = service in self._world.stack.services
            others = self._world.graph.with_dependents([service]) if known else ()
            running = [name for name in others if name != service and name in self._running]
            slots = tuple(slot for name in running for slot in self._running[name])
            self._users_of[service] = f"stops after {', '.join(running)}", slots
        return self._users_of[service]

    def _give_up(self, judgement: Judgement) -> None:
        """A stack that is taken down is forgotten, so what can't be reached must be told before."""
        c = judgement.container
        if judgement.verdict is not Verdict.LOST:
            self._wait(judgement, judgement.reason)
            return
        fix = f'bring it back, or "orch node rm {c.node}" to give up what is there'
        self._draft.block(_subject(c), judgement.reason, severity=Severity.FAILED, fix=fix, container=c.id, node=c.node)

    def _networks(self) -> None:
        for (node, name), network in sorted(self._world.networks.items()):
            if network.stack != self._world.stack.name or _is_external(self._world.stack.networks, name):
                continue
            if self._world.answers(node) and not members(self._world, network, running=False):
                for operation in removal(self._world, network, "the stack is taken down"):
                    self._draft.add(operation)

    def _volumes(self) -> None:
        """The stack's own, each as soon as no container holds it; what can't go is told."""
        for (node, name), volume in sorted(self._world.volumes.items()):
            is_external = any(spec.external and spec.covers(name) for spec in self._world.stack.volumes.values())
            if volume.stack == self._world.stack.name and not is_external:
                self._volume(node, name, volume.key)

    def _volume(self, node: NodeName, name: str, key: str) -> None:
        users = [c for c in self._world.containers if c.node == node and any(v.name == name for v in c.volumes)]
        staying = next((c for c in users if c.service not in self._world.stack.services), None)
        if not self._world.answers(node):
            self._keep_volume(name, f"{node} does not answer", fix="bring the node back and try again")
        elif staying and not self._world.intent.remove_orphans:
            self._keep_volume(name, f"{staying.name}, of no service in the file, holds it", fix='"--remove-orphans"')
        elif not users:
            self._draft.add(RemoveVolume(node=node, name=name, key=key, cause="its removal was asked for"))

    def _keep_volume(self, name: str, reason: str, *, fix: str) -> None:
        self._draft.block(f"volume {name}", f"it can't be removed: {reason}", severity=Severity.FAILED, fix=fix)

    def _wait(self, judgement: Judgement, reason: str, *, causes: tuple[str, ...] = ()) -> None:
        c = judgement.container
        self._draft.block(_subject(c), reason, causes=causes, container=c.id, node=c.node)


def _subject(c: Container) -> str:
    return slot_name(c.service, c.slot)


def _is_external(declared: Mapping[str, NetworkSpec], name: str) -> bool:
    """It may have been the stack's once, and is declared to be somebody else's now."""
    return any(entry.name == name and entry.external for entry in declared.values())
