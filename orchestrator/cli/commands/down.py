"""`orch down`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options, timeout_option, wait_option, yes_option

if TYPE_CHECKING:
    from orchestrator.service.control import Control


@verb(
    "down",
    ("orch down", "containers and networks go, volumes stay"),
    ("orch down -v", "volumes go, too: it names them and asks"),
)
@project_options()
@click.option("-v", "--volumes", is_flag=True, help="destroy the stack's volumes and their data; asks first")
@yes_option
@click.option(
    "--rmi", type=click.Choice(["local", "all"]), help="remove images, too: local ones have no tag of their own"
)
@click.option("--remove-orphans", is_flag=True, help="remove containers of services that are no longer declared, too")
@timeout_option
@wait_option
@pass_project
def command(
    project: Project,
    volumes: bool,
    yes: bool,
    rmi: str | None,
    remove_orphans: bool,
    timeout_s: float | None,
    wait_timeout_s: float | None,
) -> None:
    """Remove a stack; volumes stay unless you say so.

    Dependents stop before what they depend on. It also removes a stack that Docker Compose started.
    """
    from orchestrator.cli import consent, output, progress, selection, session, steering
    from orchestrator.errors import NoSuchThing

    async def work(control: Control) -> None:
        stack = await selection.stack_name(control, project)
        if volumes:
            doomed = [f'volume "{name}" on {node}' for node, name in await control.doomed_volumes(stack)]
            consent.require(f"destroy {output.plural(len(doomed), 'volume')} with all data", doomed, yes=yes)
        try:
            spec = (await control.intent(stack)).stack if rmi else None
            intent = await control.down(stack, volumes=volumes, timeout_s=timeout_s, remove_orphans=remove_orphans)
        except NoSuchThing as error:
            output.note(f"nothing to remove: {error.what}")
            return
        again = f"orch -p {stack} down{' -v' if volumes else ''}"
        await steering.converge(control, intent, again=again, wait_timeout_s=wait_timeout_s, done=f"{stack}: removed")
        if spec:
            with progress.shown() as emit:
                await control.images.remove(spec, emit, local_only=rmi == "local")

    session.run(work)
