"""The next step of each wanted slot: make, attach, start, take the place of, rename, restart.

There is no rollout object: each pass sees how far every slot is and takes its next step, within the budget of
`deploy.update_config.parallelism`. Source: semantics.md 3.3 for order and parallelism; 1.3 for the two names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.model.cluster import Container, ContainerState
from orchestrator.model.names import ServiceName, slot_name
from orchestrator.model.operations import (
    FABRIC,
    ConnectNetwork,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StopContainer,
)
from orchestrator.model.plan import Severity, Verdict
from orchestrator.model.spec import MountType, Order, ServiceSpec
from orchestrator.planner.classify import Judgement, ended
from orchestrator.planner.conditions import may_start
from orchestrator.planner.draft import Draft, on
from orchestrator.planner.groups import namespaces
from orchestrator.planner.making import Making
from orchestrator.planner.placement import PORTS, Placement
from orchestrator.planner.ports import wanted_ports
from orchestrator.planner.prerequisites import is_settling, prepare_networks, refresh_image
from orchestrator.planner.slots import Slots, SlotState, is_unhealthy
from orchestrator.planner.world import World

LEAVING = frozenset({Verdict.REPLACE, Verdict.SURPLUS, Verdict.REMOVE, Verdict.REST, Verdict.LOST})
"""Verdicts of a container that will let go of its ports by itself."""

PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 60.0
CRASHES = 3
"""From so many restarts by the engine on, a container that is between two of them counts as failed."""


class Rollout:
    """Takes each slot of one service a step further."""

    def __init__(self, world: World, slots: Slots, placement: Placement, draft: Draft, service: ServiceSpec) -> None:
        self._world, self._slots, self._draft = world, slots, draft
        self._service = service
        self._making = Making(world, slots, placement, draft, service)
        self._states = slots.wanted[service.name]
        self._is_cut_off = world.spans(service) and world.fabric.lead is None
        self._may_start = may_start(world, slots, draft, service.name)

    def step(self) -> None:
        """All slots, those that need no permission first, then outdated ones as far as the budget goes."""
        if self._service.name in self._world.intent.stopped:
            return
        for state in self._states:
            if state.holder is not None:
                self._advance(state, state.holder)
            elif not state.leaving:
                self._making.make(state)
        self._update([state for state in self._states if state.leaving])

    def _update(self, changing: list[SlotState]) -> None:
        """Begins with as many outdated slots as `parallelism` allows; those that serve nobody need no permission."""
        begun = [state for state in changing if state.holder is not None or self._is_being_made(state)]
        limit = self._service.update.parallelism or len(changing)
        for state in sorted((s for s in changing if s.holder is None), key=_brokenness):
            if self._is_being_made(state) or not state.leaving[0].container.is_running:
                self._making.make(state)
            elif len(begun) < limit:
                self._making.make(state)
                begun.append(state)
            else:
                self._wait(state, "its turn in the update has not come", causes=tuple(state.subject for state in begun))

    def _is_settling(self, service: ServiceName, c: Container) -> bool:
        return is_settling(self._world, self._world.stack.services[service], c.node)

    def _is_being_made(self, state: SlotState) -> bool:
        return state.subject in self._world.cluster.creating

    def _sleeping_lender(self, c: Container) -> ServiceName | None:
        """A service in whose namespace it can't start, because that one does not run."""
        awake = {j.container.id for j in self._slots.on(c.node)}
        lent = {name: {o.id for o in self._world.by_service[name]} & c.borrows for name in namespaces(self._service)}
        return next((name for name, ids in lent.items() if not ids & awake), None)

    def _advance(self, state: SlotState, holder: Judgement) -> None:
        refresh_image(self._world, self._draft, self._service, state.number, holder.container.node)
        STEPS[holder.verdict](self, state, holder)

    def _start(self, state: SlotState, holder: Judgement) -> None:
        """Attach it, let the predecessor go where both can't run side by side, then start it."""
        c = holder.container
        if self._is_settling(state.service, c):
            self._wait(state, "its image is being fetched")
        elif self._attach(state, c):
            self._wait(state, "is being attached to its networks")
        elif not self._may_start.holds:
            self._hold_back(state)
        elif name := self._sleeping_lender(c):
            self._making.block_for_lender(state, name, "does not run", is_vain=True)
        elif self._is_cut_off:
            self._wait(state, "can't be attached to its networks now", causes=(FABRIC,))
        elif holder.verdict is Verdict.START and (due_at := self._due_at(c)) > self._world.now:
            self._pause(state, holder, due_at)
        elif clash := self._in_the_way(state, c):
            self._clear(state, clash)
        else:
            self._draft.add(on(StartContainer, c, holder.reason))
            self._wait(state, "is being started")

    def _due_at(self, c: Container) -> datetime:
        """When the loop starts it again, in the engine's place: the pause doubles. Source: moby, restart manager."""
        tried = self._world.cluster.restarts.get(c.id, 0)
        if not (c.has_ended and c.finished_at and tried and self._world.spans(self._service)):
            return self._world.now
        return c.finished_at + timedelta(seconds=min(PAUSE_FIRST_S * 2.0 ** min(tried, 20), PAUSE_MOST_S))

    def _pause(self, state: SlotState, holder: Judgement, due_at: datetime) -> None:
        self._draft.wake(due_at)
        tried = self._world.cluster.restarts[holder.container.id]
        reason = f"{ended(holder.container)}, restarted {tried} times, again in a moment"
        if tried >= CRASHES:
            self._fail(state, holder, f"keeps crashing: {reason}")
        else:
            self._wait(state, reason)

    def _hold_back(self, state: SlotState, prefix: str = "") -> None:
        """It waits for others; if they are as they should be and it waits in vain, the failure is its own."""
        answer = self._may_start
        is_own = answer.is_hopeless and not any(map(self._draft.has_failed, answer.causes))
        self._draft.block(
            state.subject,
            prefix + answer.reason,
            severity=Severity.FAILED if is_own else Severity.WAITING,
            causes=answer.causes,
            container=state.holder.container.id if state.holder else "",
        )

    def _in_the_way(self, state: SlotState, c: Container) -> tuple[Judgement, ...]:
        """Running containers that must stop before `c` may start: its predecessors, and who leaves with its ports."""
        own = state.leaving if order(self._service, c) is Order.STOP_FIRST else ()
        ports = {(port.port, port.protocol) for port in wanted_ports(self._service, state.number)}
        others = (j for j in self._slots.on(c.node) if j not in own and j.container.id != c.id)
        clashing = (j for j in others if ports and _holds(j.container, ports))
        return (*(j for j in own if j.container.is_running), *clashing)

    def _clear(self, state: SlotState, clash: tuple[Judgement, ...]) -> None:
        """Stops what is in the way, unless another service's own update or removal will."""
        if staying := next((j.container.name for j in clash if j.verdict not in LEAVING), None):
            port = next(wanted_ports(self._service, state.number)).port
            reason = f"{staying} has its port {port}"
            self._draft.block(state.subject, reason, severity=Severity.FAILED, fix=PORTS)
            return
        dependents = self._world.graph.with_dependents([state.service])
        for judgement in clash:
            if judgement.verdict is Verdict.REPLACE and judgement.container.service in dependents:
                self._stop(judgement)
        others = [slot_name(j.container.service, j.container.slot) for j in clash]
        names = ", ".join(judgement.container.name for judgement in clash)
        causes = tuple(name for name in others if name != state.subject)
        self._wait(state, f"{names} has to stop first", causes=causes)

    def _stop_leaving(self, state: SlotState) -> None:
        for judgement in state.leaving:
            if judgement.container.is_running:
                self._stop(judgement)

    def _stop(self, judgement: Judgement) -> None:
        c = judgement.container
        self._draft.add(on(StopContainer, c, judgement.reason, grace_s=self._world.intent.stop_timeout_s))

    def _keep(self, state: SlotState, holder: Judgement) -> None:
        """It runs. When it is ready its predecessors go, and it gets its lasting name."""
        c = holder.container
        self._attach(state, c)
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
                self._draft.add(on(RemoveContainer, old, f"{c.name} has taken its place"))
        self._rename(state, c)

    def _rename(self, state: SlotState, c: Container) -> None:
        name = self._making.lasting_name(state)
        is_free = name not in self._world.names[c.node]
        if c.name != name and is_free and not self._is_settling(state.service, c):
            self._draft.add(on(RenameContainer, c, "the name is free now", to=name))

    def _attach(self, state: SlotState, c: Container) -> bool:
        """True if a network was missing."""
        if not prepare_networks(self._world, self._draft, self._service, state.number, c.node):
            return True
        missing = [name for name in self._world.network_names(self._service) if name not in c.networks]
        for name in missing:
            self._draft.add(on(ConnectNetwork, c, f"{c.service} is on it", network=name))
        return bool(missing)

    def _restart(self, state: SlotState, holder: Judgement) -> None:
        """Stop and start, once what it depends on has been restarted itself."""
        c = holder.container
        if not c.is_running:
            self._start(state, holder)
        elif self._is_settling(state.service, c):
            self._wait(state, "its image is being fetched")
        elif self._may_start.holds:
            self._stop(holder)
            self._wait(state, "is being restarted")
        else:
            self._hold_back(state, prefix="is to be restarted; ")

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
        self._draft.block(state.subject, reason, causes=causes, container=container)

    def _fail(self, state: SlotState, holder: Judgement, reason: str, *, fix: str = "") -> None:
        c = holder.container
        self._draft.block(state.subject, reason, severity=Severity.FAILED, container=c.id, node=c.node, fix=fix)


STEPS: dict[Verdict, Callable[[Rollout, SlotState, Judgement], None]] = {
    Verdict.KEEP: Rollout._keep,
    Verdict.START: Rollout._start,
    Verdict.RESTART: Rollout._restart,
    Verdict.DONE: Rollout._done,
    Verdict.FAILED: Rollout._failed,
    Verdict.WAIT: Rollout._silent,
}


def order(service: ServiceSpec, newcomer: Container) -> Order:
    """Stop-first where two can't live side by side: a port, an address, a name, or data with one writer.

    A port that the old one holds, or a volume that both would write to, leaves no choice, even if the file has one;
    that many may write is for the file to say.
    """
    if any(port.published for port in service.ports) or _shares_data(service, newcomer):
        return Order.STOP_FIRST
    if service.update.order is not Order.AUTO:
        return service.update.order
    exclusive = (
        service.container_name,
        service.network_mode.startswith(("host", "service:", "container:")),
        any(join.ipv4_address or join.ipv6_address or join.mac_address for join in service.networks),
        any(mount.type is MountType.BIND and not mount.read_only for mount in service.mounts)
        and not service.many_writers,
    )
    return Order.STOP_FIRST if any(exclusive) else Order.START_FIRST


def _shares_data(service: ServiceSpec, newcomer: Container) -> bool:
    """The newcomer and the one that it replaces would both write to a volume: named, inherited, or lent."""
    if service.many_writers:
        return False
    mounted = {mount.target for mount in service.mounts}
    return (
        any(mount.type is MountType.VOLUME and not mount.read_only for mount in service.mounts)
        or any(held.target not in mounted for held in newcomer.volumes)
        or any(not lender.read_only for lender in service.volumes_from)
    )


def _brokenness(state: SlotState) -> tuple[bool, bool, int]:
    """Slots that serve least come first."""
    c = state.leaving[0].container
    return c.is_running, c.is_ready, state.number


def _holds(container: Container, ports: set[tuple[int, str]]) -> bool:
    return container.is_running and any((held.port, held.protocol) in ports for held in container.ports)
