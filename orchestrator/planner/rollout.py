"""The next step of each wanted slot: make, attach, start, take the place of, rename, restart.

There is no rollout object: each pass sees how far every slot is and takes its next step, within the budget of
`deploy.update_config.parallelism`. Source: semantics.md 3.3 for order and parallelism; 1.3 for the two names.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.cluster import Container, ContainerState, HeldVolume
from orchestrator.model.names import container_name, interim_name, slot_name
from orchestrator.model.plan import (
    ConnectNetwork,
    CreateContainer,
    RemoveContainer,
    RenameContainer,
    Severity,
    StartContainer,
    StopContainer,
    Verdict,
)
from orchestrator.model.spec import MountType, Order, ServiceSpec
from orchestrator.planner.classify import Judgement
from orchestrator.planner.conditions import may_start
from orchestrator.planner.draft import Draft
from orchestrator.planner.placement import Placement, Unplaceable, wanted_ports
from orchestrator.planner.prerequisites import prepare, refresh_image
from orchestrator.planner.slots import Slots, SlotState, is_unhealthy
from orchestrator.planner.world import World

CRASHES = 3
"""From so many restarts by the engine on, a container that is between two of them counts as failed."""


class Rollout:
    """Takes each slot of one service a step further."""

    def __init__(self, world: World, slots: Slots, placement: Placement, draft: Draft, service: ServiceSpec) -> None:
        self._world, self._slots, self._placement, self._draft = world, slots, placement, draft
        self._service = service
        self._states = slots.wanted[service.name]
        self._may_start = may_start(world, slots, service.name)

    def step(self) -> None:
        """All slots, those that need no permission first, then outdated ones as far as the budget goes."""
        if self._service.name in self._world.intent.stopped:
            return
        budget = self._budget()
        for state in self._states:
            if state.holder is not None:
                self._advance(state, state.holder)
            elif not state.leaving:
                self._create(state)
        for state in sorted(self._states, key=_brokenness):
            if state.holder is None and state.leaving:
                if budget > 0 or not state.leaving[0].container.is_running:
                    self._create(state)
                    budget -= state.leaving[0].container.is_running
                else:
                    self._wait(state, "its turn in the update has not come")

    def _budget(self) -> int:
        """How many more slots may begin to change."""
        under_way = sum(bool(s.leaving) and s.holder is not None for s in self._states)
        return (self._service.update.parallelism or len(self._states)) - under_way

    def _create(self, state: SlotState) -> None:
        node = self._placement.place(self._service, state.number)
        if isinstance(node, Unplaceable):
            severity = Severity.FAILED if node.is_hopeless else Severity.WAITING
            self._draft.block(_subject(state), node.reason, severity=severity, fix=node.fix)
            return
        if not prepare(self._world, self._draft, self._service, state.number, node):
            return
        old = state.leaving[0] if state.leaving else None
        self._draft.add(
            CreateContainer(
                node=node,
                service=self._service.name,
                slot=state.number,
                name=self._free_name(state, taken=self._world.names[node]),
                config=self._world.hashes[self._service.name],
                replaces=old.container.id if old else "",
                inherits=self._anonymous_volumes(old.container) if old and old.container.node == node else (),
                cause=old.reason if old else "nothing holds the slot",
            )
        )
        self._wait(state, "is being made")

    def _lasting_name(self, state: SlotState) -> str:
        return self._service.container_name or container_name(self._world.stack.name, state.service, state.number)

    def _free_name(self, state: SlotState, *, taken: set[str]) -> str:
        name = self._lasting_name(state)
        interim = interim_name(name, self._world.hashes[state.service])
        options = (name, interim, *(f"{interim}-{n}" for n in range(2, len(taken) + 3)))
        return next(option for option in options if option not in taken)

    def _anonymous_volumes(self, old: Container) -> tuple[HeldVolume, ...]:
        """Those that the new container would otherwise get empty. Source: Docker Compose, recreate without `-V`."""
        named = {m.target for m in self._service.mounts if m.type is not MountType.VOLUME or m.source}
        ours = set(self._world.volume_names(self._service))
        return tuple(v for v in old.volumes if v.target not in named and v.name not in ours)

    def _advance(self, state: SlotState, holder: Judgement) -> None:
        refresh_image(self._world, self._draft, self._service, holder.container.node)
        STEPS[holder.verdict](self, state, holder)

    def _start(self, state: SlotState, holder: Judgement) -> None:
        """Attach it, let the predecessor go where both can't run side by side, then start it."""
        c = holder.container
        if self._attach(c):
            self._wait(state, "is being attached to its networks")
        elif not self._may_start.holds:
            self._wait(state, self._may_start.reason, causes=self._may_start.causes)
        elif clash := self._in_the_way(state, c):
            if clash == state.leaving:
                self._stop_leaving(state)
            self._wait(state, f"waits until {clash[0].container.name} has stopped")
        else:
            self._draft.add(
                StartContainer(
                    node=c.node, service=c.service, slot=c.slot, container=c.id, name=c.name, cause=holder.reason
                )
            )
            self._wait(state, "is being started")

    def _in_the_way(self, state: SlotState, c: Container) -> tuple[Judgement, ...]:
        """Running containers that must stop before `c` may start: its predecessors, or who leaves with its ports."""
        running = tuple(j for j in state.leaving if j.container.is_running)
        if running and order(self._service, c) is Order.STOP_FIRST:
            return state.leaving
        ports = {(port.port, port.protocol) for port in wanted_ports(self._service, state.number)}
        return tuple(j for j in self._slots.unwanted if j.container.node == c.node and _holds(j.container, ports))

    def _stop_leaving(self, state: SlotState) -> None:
        for judgement in state.leaving:
            c = judgement.container
            if c.is_running:
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

    def _keep(self, state: SlotState, holder: Judgement) -> None:
        """It runs. When it is ready its predecessors go, and it gets its lasting name."""
        c = holder.container
        self._attach(c)
        if c.state is ContainerState.PAUSED:
            self._fail(state, holder, "is paused", fix=f'"docker unpause {c.name}" on {c.node}')
        elif is_unhealthy(c):
            self._fail(state, holder, f"is unhealthy: {c.health_log}" if c.health_log else "is unhealthy")
        elif c.state is ContainerState.RESTARTING and c.restart_count >= CRASHES:
            self._fail(state, holder, f"keeps crashing: exit code {c.exit_code}, restarted {c.restart_count} times")
        elif not c.is_ready:
            self._wait(state, "has no passed health check yet" if c.state is ContainerState.RUNNING else "restarts")
        else:
            self._tidy(state, c)

    def _tidy(self, state: SlotState, c: Container) -> None:
        self._stop_leaving(state)
        for judgement in state.leaving:
            old = judgement.container
            if not old.is_running and self._world.answers(old.node):
                self._draft.add(
                    RemoveContainer(
                        node=old.node,
                        service=old.service,
                        slot=old.slot,
                        container=old.id,
                        name=old.name,
                        cause=f"{c.name} has taken its place",
                    )
                )
        self._rename(state, c)

    def _rename(self, state: SlotState, c: Container) -> None:
        name = self._lasting_name(state)
        if c.name != name and name not in self._world.names[c.node]:
            self._draft.add(
                RenameContainer(
                    node=c.node,
                    service=c.service,
                    slot=c.slot,
                    container=c.id,
                    name=c.name,
                    to=name,
                    cause="the name is free now",
                )
            )

    def _attach(self, c: Container) -> bool:
        """True if a network was missing."""
        missing = [name for name in self._world.network_names(self._service) if name not in c.networks]
        for name in missing:
            self._draft.add(
                ConnectNetwork(
                    node=c.node,
                    service=c.service,
                    slot=c.slot,
                    container=c.id,
                    name=c.name,
                    network=name,
                    cause=f"{c.service} is on it",
                )
            )
        return bool(missing)

    def _restart(self, state: SlotState, holder: Judgement) -> None:
        """Stop and start, once what it depends on has been restarted itself."""
        c = holder.container
        if not c.is_running:
            self._start(state, holder)
        elif self._may_start.holds:
            self._draft.add(
                StopContainer(
                    node=c.node,
                    service=c.service,
                    slot=c.slot,
                    container=c.id,
                    name=c.name,
                    grace_s=self._world.intent.stop_timeout_s,
                    cause=holder.reason,
                )
            )
            self._wait(state, "is being restarted")
        else:
            self._wait(state, f"is to be restarted; {self._may_start.reason}", causes=self._may_start.causes)

    def _done(self, state: SlotState, holder: Judgement) -> None:
        self._tidy(state, holder.container)

    def _failed(self, state: SlotState, holder: Judgement) -> None:
        old = next((j.container for j in state.leaving if j.container.is_running), None)
        note = f"; {old.name} still serves" if old else ""
        self._fail(state, holder, holder.reason + note)

    def _silent(self, state: SlotState, holder: Judgement) -> None:
        self._wait(state, holder.reason)

    def _wait(self, state: SlotState, reason: str, *, causes: tuple[str, ...] = ()) -> None:
        container = state.holder.container.id if state.holder else ""
        self._draft.block(_subject(state), reason, causes=causes, container=container)

    def _fail(self, state: SlotState, holder: Judgement, reason: str, *, fix: str = "") -> None:
        c = holder.container
        self._draft.block(_subject(state), reason, severity=Severity.FAILED, container=c.id, node=c.node, fix=fix)


STEPS: dict[Verdict, Callable[[Rollout, SlotState, Judgement], None]] = {
    Verdict.KEEP: Rollout._keep,
    Verdict.START: Rollout._start,
    Verdict.RESTART: Rollout._restart,
    Verdict.DONE: Rollout._done,
    Verdict.FAILED: Rollout._failed,
    Verdict.WAIT: Rollout._silent,
}


def order(service: ServiceSpec, newcomer: Container) -> Order:
    """Stop-first where two can't live side by side: a port, an address, a name, or data with one writer."""
    if service.update.order is not Order.AUTO:
        return service.update.order
    exclusive = (
        service.container_name,
        service.network_mode.startswith(("host", "service:", "container:")),
        any(port.published for port in service.ports),
        any(join.ipv4_address or join.ipv6_address or join.mac_address for join in service.networks),
        any(mount.type is not MountType.TMPFS and not mount.read_only for mount in service.mounts),
        newcomer.volumes,
    )
    return Order.STOP_FIRST if any(exclusive) else Order.START_FIRST


def _subject(state: SlotState) -> str:
    return slot_name(state.service, state.number)


def _brokenness(state: SlotState) -> tuple[bool, bool, int]:
    """Slots that serve least come first."""
    if not state.leaving:
        return True, True, state.number
    c = state.leaving[0].container
    return c.is_running, c.is_ready, state.number


def _holds(container: Container, ports: set[tuple[int, str]]) -> bool:
    return container.is_running and any((held.port, held.protocol) in ports for held in container.ports)
