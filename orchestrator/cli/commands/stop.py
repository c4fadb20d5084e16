"""`orch stop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options, timeout_option, wait_option

if TYPE_CHECKING:
    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control


@verb("stop", ("orch stop", "all services"), ("orch stop -t 1 web", "one service, killed after a second"))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@timeout_option
@wait_option
@pass_project
def command(project: Project, services: tuple[str, ...], timeout_s: float | None, wait_timeout_s: float | None) -> None:
    """Stop services; their containers stay.

    They stay stopped until `orch start`, `orch up` or `orch scale`, also after a restart of the engine.
    """
    from orchestrator.cli import steering
    from orchestrator.model.names import ServiceName

    async def change(control: Control, stack: StackName) -> Intent:
        return await control.stop(stack, [ServiceName(name) for name in services], timeout_s=timeout_s)

    steering.steer(project, change, again=" ".join(["orch stop", *services]), wait_timeout_s=wait_timeout_s)
