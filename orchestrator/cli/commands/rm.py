"""`orch rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.service.control import Control


@verb("rm", ("orch rm", "all stopped containers; asks first"), ("orch rm -fs web", "stop web, then remove it"))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options(short_file=False)
@click.option("-f", "--force", "-y", "--yes", "force", is_flag=True, help="do not ask")
@click.option("-s", "--stop", is_flag=True, help="stop the services first")
@click.option("-v", "--volumes", is_flag=True, help="remove anonymous volumes of the containers, too")
@pass_project
def command(project: Project, services: tuple[str, ...], force: bool, stop: bool, volumes: bool) -> None:
    """Remove stopped containers.

    The services stay declared and at rest; `orch up` and `orch start` make new containers. Named volumes stay.
    """
    from orchestrator.cli import consent, interrupt, output, selection, session
    from orchestrator.model.names import ServiceName

    async def work(control: Control) -> None:
        stack = await selection.stack_name(control, project)
        names = [ServiceName(name) for name in services]
        there = await control.removable(stack, names, stop=stop)
        doomed = [f"{each.name} on {each.node}" for each in there]
        if not doomed:
            output.note("no stopped containers")
            return
        question = f"remove {output.plural(len(doomed), 'container')}"
        consent.require(question, doomed, yes=force, flag="--force")
        with interrupt.leaves("what was removed is gone; orch rm goes on with the rest"):
            removed = await control.remove_stopped(stack, names, stop=stop, volumes=volumes)
        for each in removed:
            output.line(f"{each.name} removed")

    session.run(work)
