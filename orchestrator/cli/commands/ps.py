"""`orch ps`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, format_option, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.model.cluster import Container, HeldPort
    from orchestrator.service.control import Control

COLUMNS = ("NAME", "IMAGE", "SERVICE", "NODE", "STATUS", "PORTS")
FIELDS = (
    "id", "name", "image", "stack", "service", "slot", "node", "state", "health", "exit_code", "status", "ports",
    "created_at", "started_at", "finished_at", "restarts", "revision",
)  # fmt: skip
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


@verb("ps", ("orch ps", "what runs, and where"), ("orch ps -a --format json", "stopped ones, too, for programs"))
@click.argument("services", nargs=-1, metavar="[SERVICE[.SLOT]]...", shell_complete=complete_services)
@project_options()
@click.option("-a", "--all", "everything", is_flag=True, help="stopped containers, too")
@click.option("-q", "--quiet", is_flag=True, help="only ids of containers")
@click.option("--services", "only_services", is_flag=True, help="only names of services")
@click.option("--status", "states", type=click.Choice(STATES), multiple=True, help="only those in this state")
@format_option
@pass_project
def command(
    project: Project,
    services: tuple[str, ...],
    everything: bool,
    quiet: bool,
    only_services: bool,
    states: tuple[str, ...],
    form: str,
) -> None:
    """List the containers of a stack.

    Those that run, unless -a or --status ask for more.
    """
    from orchestrator.cli import output, selection, session

    async def work(control: Control) -> tuple[Container, ...]:
        stack = await selection.stack_name(control, project)
        found = await control.containers(stack)
        selection.tell_silent(control)
        return selection.chosen(found, services, stack)

    there = session.run(work)
    kept = [each for each in there if (each.state in states if states else everything or each.is_running)]
    if quiet or only_services:
        for text in dict.fromkeys(each.service if only_services else each.id for each in kept):
            output.line(text)
        return
    now = datetime.now(UTC)
    output.listing(form, COLUMNS, [_row(each, now) for each in kept], [_fields(each, now) for each in kept])
    hidden = len(there) - len(kept)
    if form == "table" and not there:
        output.note("the stack has no containers: orch ls lists all stacks")
    elif form == "table" and hidden and not states:
        output.note(f"{output.plural(hidden, 'container')} not running: orch ps -a")


def _row(container: Container, now: datetime) -> Sequence[str]:
    ports = ", ".join(_port(port) for port in container.ports)
    return container.name, container.image, container.service, container.node, status(container, now), ports


def status(container: Container, now: datetime) -> str:
    """`Up 3 s (healthy)`, `Exited (1) 5 s ago`: as `docker ps` says it, with our units."""
    from orchestrator.model.cluster import ContainerState as State

    code, ended, begun = container.exit_code, _span(container.finished_at, now), _span(container.started_at, now)
    health = f" ({container.health})" if container.health != "none" else ""
    words = {
        State.RUNNING: f"Up {begun}{health}",
        State.PAUSED: f"Up {begun} (paused)",
        State.RESTARTING: f"Restarting ({code}) {ended} ago",
        State.EXITED: f"Exited ({code}) {ended} ago" + (", out of memory" if container.oom_killed else ""),
        State.CREATED: f"Created: {container.error}" if container.error else "Created",
        State.REMOVING: "Removal in progress",
        State.DEAD: "Dead",
    }
    return words[container.state]


def _span(moment: datetime | None, now: datetime) -> str:
    from orchestrator.cli import output

    return output.seconds(max((now - moment).total_seconds(), 0.0), whole=True) if moment else "?"


def _port(port: HeldPort) -> str:
    return f"{port.host_ip or '*'}:{port.port}->{port.target}/{port.protocol}"


def _fields(container: Container, now: datetime) -> dict[str, Any]:
    """What `--format json` gives of each container: FIELDS."""
    ports = [
        {"host_ip": p.host_ip, "port": p.port, "target": p.target, "protocol": p.protocol} for p in container.ports
    ]
    computed = {"status": status(container, now), "ports": ports, "restarts": container.restart_count}
    return {name: computed.get(name, getattr(container, name, None)) for name in FIELDS}
