"""What became of it: the last lines of a verb that waits, good or bad."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli import output
from orchestrator.errors import NotConverged
from orchestrator.model.plan import Blocked, Severity

if TYPE_CHECKING:
    from orchestrator.model.cluster import Container
    from orchestrator.model.names import StackName
    from orchestrator.service.control import Control
    from orchestrator.service.converge import Outcome

LAST_LINES = 10


async def outcome(control: Control, stack: StackName, result: Outcome, *, done: str = "") -> None:
    """Prints how it ended; raises NotConverged when it did not become what was asked for.

    done: what to print in place of the summary of what runs now
    """
    if not result.converged:
        await _failed(control, stack, result)
    else:
        output.line(done or await _summary(control, stack, result))


async def _summary(control: Control, stack: StackName, result: Outcome) -> str:
    """`shop: revision 3, 5 containers on 2 nodes in 3.2 s`."""
    there = [container for container in await control.containers(stack) if container.is_running]
    nodes = len({container.node for container in there})
    where = f" on {output.plural(nodes, 'node')}" if nodes else ""
    count = output.plural(len(there), "container")
    return f"{stack}: revision {result.revision}, {count}{where} in {output.seconds(result.took_s)}"


async def _failed(control: Control, stack: StackName, result: Outcome) -> None:
    roots = [] if result.superseded_by else failed_roots(result.blocked)
    there = {str(each.id): each for each in await control.containers(stack)} if roots else {}
    for root in roots:
        _show(root, there.get(root.container))
        if root.container:
            await _last_lines(control, root)
    for each in result.blocked:
        if each not in roots:
            output.note(f"{each.subject}: {each.reason}")
    raise _verdict(stack, result, roots)


def failed_roots(blocked: Sequence[Blocked]) -> list[Blocked]:
    """What a person has to look at first: failed, and not because of something else that failed."""
    failed = {each.subject for each in blocked if each.severity is Severity.FAILED}
    all_failed = [each for each in blocked if each.subject in failed]
    return [each for each in all_failed if not failed.intersection(each.causes)] or all_failed


def _show(root: Blocked, container: Container | None) -> None:
    node = f" on {root.node}" if root.node else ""
    code = (
        f" (exit code {container.exit_code})"
        if container and container.has_ended and "exited" not in root.reason
        else ""
    )
    output.note(f"{output.styled(root.subject, output.RED, stream=sys.stderr)}{node}: {root.reason}{code}")
    if root.fix:
        output.note(f"  fix: {root.fix}")


async def _last_lines(control: Control, root: Blocked) -> None:
    """The end of what the container wrote; nothing when its engine can't tell."""
    lines = await control.log_tail(root.node, root.container, LAST_LINES)
    if lines:
        output.note(f"  last lines of {root.subject}:")
    for text in lines:
        output.note(f"  {output.styled('|', output.DIM, stream=sys.stderr)} {text}")


def _verdict(stack: StackName, result: Outcome, roots: Sequence[Blocked]) -> NotConverged:
    took = output.seconds(result.took_s)
    if result.superseded_by:
        is_newer = result.superseded_by != result.revision
        return NotConverged(
            f'revision {result.revision} of stack "{stack}" was replaced by revision {result.superseded_by}'
            if is_newer else f'another command took over stack "{stack}"',
            why="somebody else changed the stack meanwhile" if is_newer else "it was given while this one waited",
            fix="orch plan shows what is left to do for your files",
        )  # fmt: skip
    if roots:
        names = ", ".join(root.subject for root in roots)
        return NotConverged(
            f'stack "{stack}" is not what was asked for, after {took}', why=f"{names} failed",
            fix="mend it, then give the same command again: it goes on from here",
        )  # fmt: skip
    waits = ", ".join(each.subject for each in result.blocked) or "the last step to end"
    if result.timed_out:
        what, fix = (
            f'stack "{stack}" is not ready after {took}',
            "give it a longer --wait-timeout; it goes on from here",
        )
        return NotConverged(what, why=f"still waiting for {waits}", fix=fix)
    return NotConverged(f'stack "{stack}" is not what was asked for, after {took}', why=f"waiting for {waits}")
