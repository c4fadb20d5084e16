"""`orch scale`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, ReplicaCount, detach_option, pass_project, project_options, wait_option

if TYPE_CHECKING:
    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control


@verb(
    "scale",
    ("orch scale web=3", "three containers of web"),
    ("orch -p shop scale web=3 worker=0", "two services of the stack shop"),
)
@click.argument("counts", nargs=-1, required=True, type=ReplicaCount(), metavar="SERVICE=NUMBER...")
@project_options()
@detach_option
@wait_option
@pass_project
def command(
    project: Project,
    counts: tuple[tuple[str, int], ...],
    detach: bool,
    wait_timeout_s: float | None,
) -> None:
    """Change how many containers a service has.

    Needs no files: the stack is the one of this folder, of -p, or the only one that is declared.
    """
    from orchestrator.cli import steering
    from orchestrator.model.names import ServiceName

    replicas = {ServiceName(service): count for service, count in counts}

    async def change(control: Control, stack: StackName) -> Intent:
        return await control.scale(stack, replicas)

    again = "orch scale " + " ".join(f"{service}={count}" for service, count in counts)
    steering.steer(project, change, again=again, wait_timeout_s=wait_timeout_s, detach=detach)
