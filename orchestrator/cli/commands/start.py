"""`orch start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, detach_option, pass_project, project_options, wait_option

if TYPE_CHECKING:
    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control


@verb("start", ("orch start", "all services that were stopped"), ("orch start web", "only this one"))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@detach_option
@wait_option
@pass_project
def command(project: Project, services: tuple[str, ...], detach: bool, wait_timeout_s: float | None) -> None:
    """Start services that were stopped."""
    from orchestrator.cli import steering
    from orchestrator.model.names import ServiceName

    async def change(control: Control, stack: StackName) -> Intent:
        return await control.start(stack, [ServiceName(name) for name in services])

    again = " ".join(["orch start", *services])
    steering.steer(project, change, again=again, wait_timeout_s=wait_timeout_s, detach=detach)
