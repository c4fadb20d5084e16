"""`orch exec`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.service.control import Control


@verb(
    "exec",
    ("orch exec web sh", "a shell in a container of web"),
    ("orch exec -T db.1 pg_dump shop > shop.sql", "its output, without a terminal"),
    context_settings={"allow_interspersed_args": False},
)
@project_options()
@click.option(
    "-T", "--no-tty", "--no-TTY", "no_tty", is_flag=True, help="no terminal for it  [default: one where orch has one]"
)
@click.option("-e", "--env", "variables", multiple=True, metavar="NAME[=VALUE]", help="set a variable for the command")
@click.option("-u", "--user", default="", metavar="USER", help="run as this user (name or id, with :group if you like)")
@click.option("-w", "--workdir", default="", metavar="DIR", help="run in this folder of the container")
@click.option(
    "--index", type=click.IntRange(min=1), metavar="N", help="which container of the service, as web.N says too"
)
@click.option("--privileged", is_flag=True, help="with all rights on the host")
@click.argument("service", metavar="SERVICE[.SLOT]", shell_complete=complete_services)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG]...")
@pass_project
def command(
    project: Project,
    no_tty: bool,
    variables: tuple[str, ...],
    user: str,
    workdir: str,
    index: int | None,
    privileged: bool,
    service: str,
    words: tuple[str, ...],
) -> int:
    """Run a command in a running container, on whichever node it is.

    The exit code is the command's own. On a terminal it gets a terminal, elsewhere its input and output are piped.
    """
    from orchestrator.cli import selection, session, terminal
    from orchestrator.errors import NoSuchThing
    from orchestrator.model.names import SlotNumber

    with_tty = not no_tty and sys.stdin.isatty() and sys.stdout.isatty()
    name, slot = selection.slot_of(service)
    wanted = SlotNumber(index) if index else slot

    async def work(control: Control) -> int:
        stack = await selection.stack_name(control, project)
        try:
            engine, container = await control.locate(stack, name, wanted)
        except NoSuchThing:
            selection.tell_silent(control)
            raise
        opened = await engine.open_exec(
            container.id,
            words,
            tty=with_tty,
            stdin=True,
            env=with_values(variables),
            user=user,
            workdir=workdir,
            privileged=privileged,
        )
        return await terminal.run(opened, with_tty=with_tty)

    return session.run(work)


def with_values(variables: tuple[str, ...]) -> list[str]:
    """`NAME` alone takes the value it has here, and is left out where it has none. Source: `docker exec --env`."""
    import os

    return [
        text if "=" in text else f"{text}={os.environ[text]}" for text in variables if "=" in text or text in os.environ
    ]
