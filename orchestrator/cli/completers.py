"""What a shell offers on TAB. Whatever goes wrong, it offers nothing and says nothing: it runs while a person types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Project

if TYPE_CHECKING:
    from orchestrator.service.control import Control


def services(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  click's
    """Services of the declared stack that is meant here."""
    from orchestrator.cli import selection, session

    async def work(control: Control) -> list[str]:
        stack = await selection.stack_name(control, ctx.ensure_object(Project))
        return sorted((await control.intent(stack)).stack.services)

    try:
        return [name for name in session.run(work) if name.startswith(incomplete)]
    except Exception:  # see the module's docstring
        return []


def stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001  click's
    """Stacks that are declared."""
    from orchestrator.cli import session

    async def work(control: Control) -> tuple[str, ...]:
        return await control.stack_names()

    try:
        return [name for name in session.run(work) if name.startswith(incomplete)]
    except Exception:  # see the module's docstring
        return []
