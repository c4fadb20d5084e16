"""What verbs that change a stack have in common: they store what is asked for, then wait until it is so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from orchestrator.cli import interrupt, progress, report, selection, session

if TYPE_CHECKING:
    from orchestrator.cli.options import Project
    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control


async def converge(
    control: Control,
    intent: Intent,
    *,
    again: str,
    wait_timeout_s: float | None = None,
    detach: bool = False,
    done: str = "",
) -> None:
    """Waits until the stack of `intent` is what was asked for, and prints how it ended. raises NotConverged

    again: the command that goes on after an interruption
    """
    stack = intent.stack.name
    left = (
        f'revision {intent.revision} of stack "{stack}" is stored and what was done stands; {again} goes on from there'
    )
    with interrupt.leaves(left):
        with progress.shown() as emit:
            result = await control.converge(stack, emit, wait_timeout_s=wait_timeout_s, detach=detach)
        await report.outcome(control, stack, result, done=done)


def steer(
    project: Project,
    change: Callable[[Control, StackName], Awaitable[Intent]],
    *,
    again: str,
    wait_timeout_s: float | None = None,
    detach: bool = False,
) -> None:
    """For verbs that need no files: finds the stack, stores the change, waits.

    again: the command that goes on after an interruption
    """

    async def work(control: Control) -> None:
        stack = await selection.stack_name(control, project)
        intent = await change(control, stack)
        await converge(control, intent, again=again, wait_timeout_s=wait_timeout_s, detach=detach)

    session.run(work)
