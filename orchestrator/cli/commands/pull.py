"""`orch pull`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.service.control import Control


@verb("pull", ("orch pull", "all images of the files"), ("orch pull web db", "those of two services"))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@pass_project
def command(project: Project, services: tuple[str, ...]) -> None:
    """Pull the images of a stack on all nodes.

    Images that are built here are left out.
    """
    from orchestrator.cli import interrupt, output, progress, selection, session

    stack = selection.load(project, services).stack
    named = selection.check_services(services, stack.services, stack.name)
    pulled = [name for name in named or sorted(stack.services) if not stack.services[name].build]

    async def work(control: Control) -> None:
        with interrupt.leaves("images that were pulled stay; orch pull goes on"), progress.shown() as emit:
            await control.images.pull(stack, pulled, emit)

    if not pulled:
        output.note("nothing to pull: all images of these services are built here")
        return
    session.run(work)
    images = {stack.services[name].image for name in pulled}
    output.line(f"{stack.name}: {output.plural(len(images), 'image')} pulled")
