"""Data on its way to another node: what uses it stops (`classify`), it is copied, its slots go where it is then.

There is no move object: each pass sees where the home is and what is left at the other node. So a crash at any moment
leaves a world from which the next pass goes on, and a copy that is not complete is never anybody's data.
"""

from __future__ import annotations

from orchestrator.model.cluster import Container, Move, NodeStatus
from orchestrator.model.names import NodeName, slot_name
from orchestrator.model.operations import MoveVolume, RemoveCopy
from orchestrator.model.plan import Severity
from orchestrator.planner.classify import comes_back
from orchestrator.planner.draft import Draft
from orchestrator.planner.world import World


def move_volumes(world: World, draft: Draft) -> None:
    """The next step of each move of a volume of the stack."""
    for name, move in sorted(world.cluster.moves.items()):
        key = next((volume.key for volume in world.stack.volumes.values() if volume.covers(name)), None)
        if key is None:
            continue
        if world.cluster.homes.get(name) == move.target:
            _tidy(world, draft, name, key, move)
        else:
            _move(world, draft, name, key, move)


def _tidy(world: World, draft: Draft, name: str, key: str, move: Move) -> None:
    """The copy at the old place goes as soon as nothing holds it; it holds up nobody."""
    is_copy = move.source != move.target
    if is_copy and world.answers(move.source) and not _holders(world, name, move.source, at_rest=True):
        cause = f"its data is on {move.target}"
        draft.add(RemoveCopy(node=move.source, name=name, key=key, cause=cause))


def _move(world: World, draft: Draft, name: str, key: str, move: Move) -> None:
    for node in (move.source, move.target):
        if not world.answers(node):
            _block_for_node(world, draft, name, move, node)
            return
    if (move.source, name) not in world.volumes:
        reason = f"is to move from {move.source}, and is gone from there"
        draft.block(
            f"volume {name}", reason, severity=Severity.FAILED, fix=f'"orch up --new-volume {name}" gives it up'
        )
        return
    if holders := _holders(world, name, move.source):
        _block_for_holders(world, draft, name, move, holders)
        return
    cause = "its move was asked for"
    draft.add(MoveVolume(node=move.target, source=move.source, name=name, key=key, cause=cause))
    draft.block(f"volume {name}", f"is being moved from {move.source} to {move.target}")


def _block_for_holders(world: World, draft: Draft, name: str, move: Move, holders: list[Container]) -> None:
    """Most of them are on their way out; an orphan stays."""
    reason = f"is to move from {move.source} to {move.target}, and {', '.join(c.name for c in holders)} holds it"
    slots = tuple(dict.fromkeys(slot_name(c.service, c.slot) for c in holders))
    is_stuck = not world.intent.remove_orphans and any(c.service not in world.stack.services for c in holders)
    severity, fix = (Severity.FAILED, '"--remove-orphans"') if is_stuck else (Severity.WAITING, "")
    draft.block(f"volume {name}", reason, severity=severity, fix=fix, causes=slots)


def _block_for_node(world: World, draft: Draft, name: str, move: Move, node: NodeName) -> None:
    """Of a node that has just fallen silent time will tell."""
    is_suspect = node in world.nodes and world.nodes[node].status is NodeStatus.SUSPECT
    draft.block(
        f"volume {name}",
        f"is to move from {move.source} to {move.target}, and {node} does not answer",
        severity=Severity.WAITING if is_suspect else Severity.FAILED,
        fix=f'bring {node} back, or give the move up: "orch volume move {name} {move.source}"',
        node=node,
    )


def _holders(world: World, name: str, node: NodeName, *, at_rest: bool = False) -> list[Container]:
    """Containers that hold the volume there; those of jobs that are done count only `at_rest`."""
    held = (c for c in world.containers if c.node == node and any(v.name == name for v in c.volumes))
    return [c for c in held if at_rest or not (c.has_succeeded and _is_job(world, c))]


def _is_job(world: World, c: Container) -> bool:
    service = world.stack.services.get(c.service)
    return service is not None and c.service in world.awaited and not comes_back(service)
