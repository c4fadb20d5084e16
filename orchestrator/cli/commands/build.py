"""`orch build`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.service.control import Control


@verb(
    "build",
    ("orch build", "all images that the files say how to build"),
    ("orch build --no-cache web", "one, from scratch"),
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@click.option("--no-cache", is_flag=True, help="run each step again")
@pass_project
def command(project: Project, services: tuple[str, ...], no_cache: bool) -> None:
    """Build the images of a stack.

    On the node that would run them first; `orch up` copies an image to other nodes that need it.
    """
    from orchestrator.cli import interrupt, output, progress, selection, session

    stack = selection.load(project, services).stack
    named = selection.check_services(services, stack.services, stack.name)
    built = [name for name in named or sorted(stack.services) if stack.services[name].build]

    async def work(control: Control) -> None:
        with interrupt.leaves("images that were built stay; orch build goes on"), progress.shown() as emit:
            await control.images.build(stack, built, emit, no_cache=no_cache)

    if not built:
        output.note("nothing to build: no service here has a build")
        return
    session.run(work)
    output.line(f"{stack.name}: {output.plural(len(built), 'image')} built")
