"""`orch ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import format_option

if TYPE_CHECKING:
    from orchestrator.service.control import Control
    from orchestrator.service.summaries import StackSummary

COLUMNS = ("NAME", "STATUS", "REVISION", "NODES", "CONFIG FILES")


@verb(
    "ls", ("orch ls", "all stacks, also those that Docker Compose started"), ("orch ls --format json", "for programs")
)
@format_option
@click.option("-q", "--quiet", is_flag=True, help="only names")
def command(form: str, quiet: bool) -> None:
    """List all stacks."""
    from orchestrator.cli import output, selection, session

    async def work(control: Control) -> tuple[StackSummary, ...]:
        found = await control.stacks()
        selection.tell_silent(control)
        return found

    stacks = session.run(work)
    rows, values = [_row(each) for each in stacks], [_fields(each) for each in stacks]
    output.listing(form, COLUMNS, rows, values, quiet=quiet)


def _row(stack: StackSummary) -> tuple[str, ...]:
    revision = str(stack.revision) if stack.revision else "-"
    return stack.name, stack.state or "-", revision, ",".join(stack.nodes) or "-", ",".join(stack.files) or "-"


def _fields(stack: StackSummary) -> dict[str, object]:
    return {name: getattr(stack, name) for name in stack.__struct_fields__}
