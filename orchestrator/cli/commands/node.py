"""`orch node`: the Docker hosts that stacks run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import noun, verb
from orchestrator.cli.options import Assignment, format_option

if TYPE_CHECKING:
    from orchestrator.model.cluster import Node
    from orchestrator.service.control import Control

COLUMNS = ("NAME", "ENDPOINT", "STATUS", "AVAILABILITY", "ENGINE", "CPUS", "MEMORY", "LABELS")


@noun(
    "node",
    ("orch node add n1 tcp://10.0.0.5:2376", "a host becomes part of the cluster"),
    ("orch node ls", "which hosts there are, and how they are"),
)
def command() -> None:
    """Add, list and remove Docker hosts.

    Without any, orch works on the one engine that `docker` itself would use, under the name "local".
    """


@verb(
    "add",
    ("orch node add n1 tcp://10.0.0.5:2376", "over TLS, with the certificates that docker uses"),
    ("orch node add n2 ssh://root@10.0.0.6 --label disk=ssd", "over ssh, with a label"),
)
@click.argument("name")
@click.argument("endpoint")
@click.option("--label", "labels", type=Assignment(), multiple=True, help="a label for placement constraints")
@click.option("--address", default="", help="where the other hosts reach it, if not at the endpoint's")
def add(name: str, endpoint: str, labels: tuple[tuple[str, str], ...], address: str) -> None:
    """Add a Docker host to the cluster.

    It is asked first: a host that does not answer, is known already or is too old is refused.
    """
    from orchestrator.cli import output, session
    from orchestrator.model.names import NodeName

    async def work(control: Control) -> Node:
        return await control.add_node(NodeName(name), endpoint, dict(labels), address)

    node = session.run(work)
    facts = f": engine {node.facts.version}, {output.plural(node.facts.cpus, 'cpu')}" if node.facts else ""
    output.line(f"{node.name} added{facts}")


@verb("ls", ("orch node ls", "a line for each host"), ("orch node ls --format json", "for programs"))
@format_option
@click.option("-q", "--quiet", is_flag=True, help="only names")
def ls(form: str, quiet: bool) -> None:
    """List the hosts of the cluster."""
    from orchestrator.cli import output, session

    async def work(control: Control) -> tuple[Node, ...]:
        return await control.nodes()

    nodes = session.run(work)
    output.listing(form, COLUMNS, [_row(node) for node in nodes], nodes, quiet=quiet)
    for node in nodes:
        if node.trouble and form == "table" and not quiet:
            output.note(f"{node.name}: {node.trouble}")


def _row(node: Node) -> tuple[str, ...]:
    facts = node.facts
    known = (facts.version, str(facts.cpus), f"{facts.memory_bytes / 2**30:.1f} GiB") if facts else ("-", "-", "-")
    labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    return node.name, node.endpoint, node.status, node.availability, *known, labels or "-"


@verb(
    "rm",
    ("orch node rm n1", "only when nothing of ours is on it"),
    ("orch node rm --force n1", "a host that is gone for good"),
)
@click.argument("name")
@click.option("-f", "--force", is_flag=True, help="even with containers on it, or as the only place of a volume's data")
def rm(name: str, force: bool) -> None:
    """Remove a host from the cluster; what runs on it goes on running."""
    from orchestrator.cli import output, session
    from orchestrator.model.names import NodeName

    async def work(control: Control) -> None:
        await control.remove_node(NodeName(name), force=force)

    session.run(work)
    output.line(f"{name} removed")


@verb(
    "update",
    ("orch node update n1 --label-add disk=ssd", "a label for placement constraints"),
    ("orch node update n1 --availability pause", "it keeps what it has, and gets nothing new"),
)
@click.argument("name")
@click.option("--label-add", "labels", type=Assignment(), multiple=True, help="give it a label, or another value")
@click.option("--label-rm", "without", multiple=True, metavar="KEY", help="take a label from it")
@click.option("--availability", type=click.Choice(["active", "pause"]), help="may it get new containers")
@click.option("--address", help="where the other hosts reach it")
def update(
    name: str,
    labels: tuple[tuple[str, str], ...],
    without: tuple[str, ...],
    availability: str | None,
    address: str | None,
) -> None:
    """Change labels, availability or address of a host. Stacks follow with their next orch up."""
    from orchestrator.cli import output, session
    from orchestrator.model.cluster import Availability
    from orchestrator.model.names import NodeName

    chosen = Availability(availability) if availability else None

    async def work(control: Control) -> Node:
        return await control.update_node(
            NodeName(name), labels=dict(labels), without=without, availability=chosen, address=address
        )

    node = session.run(work)
    told = ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items())) or "none"
    output.line(f"{node.name} is {node.availability}; labels: {told}")


for _each in (add, ls, update, rm):
    command.add_command(_each)
