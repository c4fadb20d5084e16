"""`orch restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import (
    Project,
    detach_option,
    pass_project,
    project_options,
    timeout_option,
    wait_option,
)

if TYPE_CHECKING:
    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control


@verb("restart", ("orch restart", "all services, in order"), ("orch restart -t 1 web", "one service, quickly"))
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@click.option("--no-deps", is_flag=True, help="leave dependents alone that want to restart with it")
@timeout_option
@detach_option
@wait_option
@pass_project
def command(
    project: Project,
    services: tuple[str, ...],
    no_deps: bool,
    timeout_s: float | None,
    detach: bool,
    wait_timeout_s: float | None,
) -> None:
    """Stop containers and start them again.

    Changes in the files are not applied; `orch up` does that.
    """
    from orchestrator.cli import steering
    from orchestrator.model.names import ServiceName

    async def change(control: Control, stack: StackName) -> Intent:
        names = [ServiceName(name) for name in services]
        return await control.restart(stack, names, timeout_s=timeout_s, no_deps=no_deps)

    again = " ".join(["orch start", *services])
    steering.steer(project, change, again=again, wait_timeout_s=wait_timeout_s, detach=detach)
