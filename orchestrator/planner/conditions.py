"""May a container start now: the `depends_on` conditions of its service, evaluated against the world, each time.

Source: Compose Specification, `depends_on`; semantics.md 1.5. Conditions look only at containers of today's
configuration, so that an update goes through a stack in the order of its graph.
"""

from __future__ import annotations

import msgspec

from orchestrator.model.cluster import Container, Health
from orchestrator.model.names import ServiceName, slot_name
from orchestrator.model.plan import Verdict
from orchestrator.model.spec import Condition, Dependency
from orchestrator.planner.classify import comes_back
from orchestrator.planner.draft import Draft
from orchestrator.planner.prerequisites import is_settling
from orchestrator.planner.slots import Slots, SlotState
from orchestrator.planner.world import World


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a condition holds; if not, why, which slots it waits for, and whether waiting alone can help."""

    holds: bool = True
    reason: str = ""
    causes: tuple[str, ...] = ()
    is_hopeless: bool = False


HOLDS = Answer()


def may_start(world: World, slots: Slots, draft: Draft, service: ServiceName) -> Answer:
    """Whether all dependencies of the service let it start. `draft` has what this plan says of them already."""
    edges = sorted(world.graph.dependencies[service].items())
    answers = [_dependency(world, slots, draft, name, how) for name, how in edges]
    open_ones = [answer for answer in answers if not answer.holds]
    if not open_ones:
        return HOLDS
    return Answer(
        holds=False,
        reason="; ".join(answer.reason for answer in open_ones),
        causes=tuple(cause for answer in open_ones for cause in answer.causes),
        is_hopeless=any(answer.is_hopeless for answer in open_ones),
    )


def _dependency(world: World, slots: Slots, draft: Draft, name: ServiceName, how: Dependency) -> Answer:
    """Nobody waits for what is scaled to 0 or stopped by request, nor in vain for what is optional.

    Of several open slots the first is told.
    """
    if name in world.intent.stopped:
        return HOLDS
    for state in slots.wanted[name]:
        answer = _slot(world, state, how.condition)
        is_vain = answer.is_hopeless or draft.has_failed(slot_name(state.service, state.number))
        if not answer.holds and (how.required or not is_vain):
            return answer
    return HOLDS


def _slot(world: World, state: SlotState, condition: Condition) -> Answer:
    holder, name = state.holder, slot_name(state.service, state.number)
    service = world.stack.services[state.service]
    if holder is None or (state.leaving and not state.is_settled):
        return _wait(name, "is not there yet" if not state.leaving else "is being replaced")
    if holder.verdict in (Verdict.START, Verdict.RESTART, Verdict.WAIT):
        return _wait(name, f"has to start first ({holder.reason})")
    if is_settling(world, service, holder.container.node):
        return _wait(name, "may have to be replaced: its image is being fetched")
    if condition is Condition.COMPLETED and comes_back(service):
        return _hopeless(name, "never finishes: its restart policy starts it again")
    return CHECKS[condition](name, holder.container)


def _started(name: str, container: Container) -> Answer:
    del name, container
    return HOLDS


def _healthy(name: str, container: Container) -> Answer:
    if not container.is_running:
        return _hopeless(name, f"exited with {container.exit_code}")
    if container.health is Health.NONE:
        return _hopeless(name, "has no health check to wait for")
    if container.health is Health.UNHEALTHY:
        return _hopeless(name, "is unhealthy")
    return HOLDS if container.is_ready else _wait(name, "is not healthy yet")


def _completed(name: str, container: Container) -> Answer:
    if container.is_running:
        return _wait(name, "has not finished yet")
    return HOLDS if container.has_succeeded else _hopeless(name, f"exited with {container.exit_code}")


CHECKS = {Condition.STARTED: _started, Condition.HEALTHY: _healthy, Condition.COMPLETED: _completed}


def _wait(name: str, what: str) -> Answer:
    return Answer(holds=False, reason=f"{name} {what}", causes=(name,))


def _hopeless(name: str, what: str) -> Answer:
    return Answer(holds=False, reason=f"{name} {what}", causes=(name,), is_hopeless=True)
