"""`orch up`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, ReplicaCount, detach_option, pass_project, project_options, wait_option

if TYPE_CHECKING:
    from orchestrator.service.control import Control
    from orchestrator.service.request import UpRequest
    from orchestrator.spec import Loaded


@verb(
    "up",
    ("orch up -f stack.yml", "all services of the file; wait until they are ready"),
    ("orch up web --scale web=3", "web and what it depends on, three of it"),
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@detach_option
@click.option("--wait", is_flag=True, help="wait for the last health checks even with --detach  [default without it]")
@wait_option
@click.option("--scale", "scales", type=ReplicaCount(), multiple=True, help="how many containers a service has")
@click.option("--force-recreate", is_flag=True, help="replace containers whose configuration is unchanged, too")
@click.option("--no-deps", is_flag=True, help="leave out what the named services depend on")
@click.option("--remove-orphans", is_flag=True, help="remove containers of services that the files no longer have")
@click.option("--span", is_flag=True, help="networks span hosts, so services that share one may be anywhere")
@click.option("--build", is_flag=True, help="build images again before anything starts")
@click.option(
    "--new-volume",
    "new_volumes",
    multiple=True,
    metavar="VOLUME",
    help="give up the lost data of this volume: make it anew, empty, where it is missing",
)
@click.option("--pull", type=click.Choice(["always", "missing", "never"]), help="when to pull images")
@pass_project
def command(
    project: Project,
    services: tuple[str, ...],
    detach: bool,
    wait: bool,
    wait_timeout_s: float | None,
    scales: tuple[tuple[str, int], ...],
    force_recreate: bool,
    no_deps: bool,
    remove_orphans: bool,
    span: bool,
    build: bool,
    new_volumes: tuple[str, ...],
    pull: str | None,
) -> None:
    """Declare a stack, and wait until it is true.

    True means: services run and are healthy where they have a check, jobs have ended with 0.
    What is as it should be stays untouched. Exit code 1 and the reason when the stack can't become true.
    """
    from orchestrator.cli import selection, session, steering

    request = asked(
        selection.load(project, services), services, scales,
        force_recreate=force_recreate, no_deps=no_deps, remove_orphans=remove_orphans, build=build,
        span=span, new_volumes=new_volumes, pull=pull or "",
    )  # fmt: skip

    async def work(control: Control) -> None:
        intent = await control.up(request)
        await steering.converge(
            control, intent, again="the same command", wait_timeout_s=wait_timeout_s, detach=detach and not wait
        )

    session.run(work)


def asked(
    loaded: Loaded, services: Sequence[str], scales: Sequence[tuple[str, int]], **flags: Any
) -> UpRequest:  # Any: the other fields of UpRequest
    """What the command line asks of the service; raises NoSuchThing for a service that the files do not have."""
    from orchestrator.cli import selection
    from orchestrator.model.names import ServiceName
    from orchestrator.service.request import UpRequest

    stack = loaded.stack
    named = selection.check_services(services, stack.services, stack.name)
    selection.check_services([name for name, _ in scales], stack.services, stack.name)
    scale = {ServiceName(name): count for name, count in scales}
    return UpRequest(stack=stack, contents=loaded.contents, services=named, scale=scale, **flags)
