"""`plan`: from what is wanted, what is, and the time, to the next safe step. Pure: no I/O, no clock, no chance."""

from __future__ import annotations

from datetime import datetime

from orchestrator.model.cluster import POST_START, ClusterState
from orchestrator.model.names import slot_name
from orchestrator.model.plan import Plan, Severity
from orchestrator.model.spec import Intent
from orchestrator.planner.draft import Draft
from orchestrator.planner.moves import move_volumes
from orchestrator.planner.placement import Placement
from orchestrator.planner.removal import Removal
from orchestrator.planner.rollout import Rollout
from orchestrator.planner.slots import Slots
from orchestrator.planner.world import World


def plan(intent: Intent, cluster: ClusterState, *, now: datetime) -> Plan:
    """What may happen now, what is blocked and why, and when time alone would change the answer.

    Operations of one plan may run side by side. Nothing to do and nothing blocked: the stack is what was asked for.
    now: aware UTC.
    """
    return plan_slots(Slots(World(intent, cluster, now)))


def plan_slots(slots: Slots) -> Plan:
    """`plan` on a snapshot that is indexed and judged already."""
    world = slots.world
    draft = Draft(world)
    Removal(world, slots, draft).step()
    if not world.intent.removed:
        move_volumes(world, draft)
        if any(world.spans(service) for service in world.stack.services.values()):
            world.fabric.step(draft)
        placement = Placement(world, slots)
        for name in world.graph.order:
            Rollout(world, slots, placement, draft, world.stack.services[name]).step()
    _report_hooks(world, draft)
    return draft.plan()


def _report_hooks(world: World, draft: Draft) -> None:
    """A container whose `post_start` failed runs on, as under Docker Compose; its slot is not what was asked for."""
    for container in world.containers:
        failure = world.cluster.failures.get(f"{container.node}/container/{container.id}{POST_START}")
        if failure and container.is_running and container.service in world.stack.services:
            draft.block(
                slot_name(container.service, container.slot),
                f"{failure.what}: {failure.why}",
                severity=Severity.FAILED,
                fix=failure.fix,
                container=container.id,
                node=container.node,
            )
