"""How far each service is, for people who watch."""

from __future__ import annotations

from orchestrator.model.cluster import ContainerState
from orchestrator.model.names import ServiceName, slot_name
from orchestrator.model.plan import Blocked, Phase, Plan, ServiceStatus, Severity, Verdict
from orchestrator.planner.slots import Slots, SlotState
from orchestrator.planner.world import World


def statuses(slots: Slots, decided: Plan) -> tuple[ServiceStatus, ...]:
    """One line for each service, dependencies first. `decided` is the plan for these slots."""
    world = slots.world
    blocked = {entry.subject: entry for entry in decided.blocked}
    return tuple(_status(world, slots.wanted[name], name, blocked) for name in world.graph.order)


def _status(
    world: World, states: tuple[SlotState, ...], name: ServiceName, blocked: dict[str, Blocked]
) -> ServiceStatus:
    reasons = [b for s in states if (b := blocked.get(slot_name(name, s.number)))]
    worst = min(reasons, key=lambda b: (b.severity is not Severity.FAILED, b.subject), default=None)
    return ServiceStatus(
        service=name,
        phase=_phase(world, name, states, worst),
        wanted=len(states),
        running=sum(c.is_running for c in world.by_service[name]),
        ready=sum(s.is_settled for s in states),
        detail=worst.reason if worst else "",
    )


def _phase(world: World, name: ServiceName, states: tuple[SlotState, ...], worst: Blocked | None) -> Phase:
    """The phase of the slot that is furthest behind; a failure outranks all."""
    if worst is not None and worst.severity is Severity.FAILED:
        return Phase.FAILED
    if name in world.intent.stopped or world.intent.removed:
        return Phase.STOPPED
    return min((_slot_phase(s, worst) for s in states), key=list(Phase).index, default=Phase.READY)


def _slot_phase(state: SlotState, worst: Blocked | None) -> Phase:
    holder = state.holder
    if holder is None:
        return Phase.PREPARING
    if holder.verdict is Verdict.DONE:
        return Phase.DONE
    if holder.verdict is Verdict.START and worst is not None and worst.causes:
        return Phase.WAITING
    if holder.container.state is ContainerState.RUNNING and holder.verdict is Verdict.KEEP:
        return Phase.READY if state.is_ready and not state.leaving else Phase.CHECKING
    return Phase.STARTING
