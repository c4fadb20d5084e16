"""`orch cluster`: the networks that span the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.group import noun, verb
from orchestrator.cli.options import format_option

if TYPE_CHECKING:
    from orchestrator.model.names import NodeName
    from orchestrator.service.control import Control
    from orchestrator.service.fabric import FabricStatus, NodeLink

COLUMNS = ("NODE", "STATE", "ROLE", "ADDRESS", "TROUBLE")


@noun(
    "cluster",
    ("orch cluster status", "which hosts carry networks between them"),
    ("orch cluster repair", "after most of their managers were lost for good"),
)
def command() -> None:
    """Look after the networks that span hosts.

    orch makes them by itself when a stack needs them: the engines' own swarm mode, of which it uses nothing else.
    """


@verb("status", ("orch cluster status", "a line for each host"), ("orch cluster status --format json", "for programs"))
@format_option
def status(form: str) -> None:
    """Show who takes part, who manages, and whether the managers have a majority."""
    from orchestrator.cli import output, session

    async def work(control: Control) -> FabricStatus:
        return await control.fabric.status()

    found = session.run(work)
    output.listing(form, COLUMNS, [_row(link) for link in found.links], found.links)
    if form == "table":
        output.note(_summary(found))


def _row(link: NodeLink) -> tuple[str, ...]:
    return link.node, link.state, link.role or "-", link.address or "-", link.trouble or "-"


def _summary(found: FabricStatus) -> str:
    if not found.exists:
        return "no networks span hosts yet: orch up makes them when a stack needs them"
    if found.has_quorum:
        return "the managers have a majority"
    return "the managers have no majority: what runs goes on, nothing that is on such a network can be started"


@verb("repair", ("orch cluster repair", "go on with the managers that are left"))
def repair() -> None:
    """Restore the networks after most of their managers were lost.

    The managers that are left go on, silent nodes are forgotten and join again when they are back.
    Refused while the managers have a majority.
    """
    from orchestrator.cli import output, session

    async def work(control: Control) -> tuple[NodeName, ...]:
        return await control.fabric.repair()

    names = session.run(work)
    output.line("the networks across hosts are repaired" + (f"; they join again: {', '.join(names)}" if names else ""))
    output.note("orch up brings every stack back to what was asked for")


for _each in (status, repair):
    command.add_command(_each)
