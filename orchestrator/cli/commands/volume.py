"""`orch volume`: where data is, and what people do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import noun, verb
from orchestrator.cli.options import format_option, yes_option

if TYPE_CHECKING:
    from orchestrator.model.cluster import VolumeDetails
    from orchestrator.service.control import Control
    from orchestrator.service.volumes import Doomed, VolumeReport, VolumeSummary

COLUMNS = ("NAME", "STACK", "HOME", "NODES", "DRIVER", "USED BY")


@noun(
    "volume",
    ("orch volume ls", "which volumes there are, and where their data is"),
    ("orch volume move shop_data n2", "take data to another host"),
)
def command() -> None:
    """List, move and remove volumes of stacks.

    A local volume has a home: the host that has its data. What uses it runs there, and waits while that host is away.
    """


@verb(
    "ls",
    ("orch volume ls", "all volumes of stacks"),
    ("orch volume ls shop", "those of one stack"),
    ("orch volume ls --format json", "for programs"),
)
@click.argument("stack", required=False)
@format_option
@click.option("-q", "--quiet", is_flag=True, help="only names")
def ls(stack: str | None, form: str, quiet: bool) -> None:
    """List the volumes of stacks.

    HOME is where the data is, also while that host does not answer; NODES are those where one of that name is seen.
    """
    from orchestrator.cli import output, selection, session
    from orchestrator.model.names import StackName

    async def work(control: Control) -> tuple[VolumeSummary, ...]:
        found = await control.volumes.list(StackName(stack) if stack else None)
        selection.tell_silent(control)
        return found

    volumes = session.run(work)
    output.listing(form, COLUMNS, [_row(each) for each in volumes], volumes, quiet=quiet)


def _row(volume: VolumeSummary) -> tuple[str, ...]:
    home = f"{volume.home} -> {volume.moves_to}" if volume.moves_to else volume.home
    used = ",".join(volume.used_by)
    return volume.name, volume.stack or "-", home or "-", ",".join(volume.nodes) or "-", volume.driver, used or "-"


@verb(
    "inspect",
    ("orch volume inspect shop_data", "with its size, as far as the engine tells"),
    ("orch volume inspect --format json shop_data", "for programs"),
)
@click.argument("name")
@format_option
def inspect(name: str, form: str) -> None:
    """Show all that is known of a volume.

    Its size comes from the engine, which counts it file by file: that may take a while.
    """
    from orchestrator.cli import output, session

    async def work(control: Control) -> VolumeReport:
        return await control.volumes.inspect(name)

    report = session.run(work)
    if form == "json":
        output.json(report)
        return
    summary = report.summary
    for title, value in zip(COLUMNS, _row(summary), strict=True):
        output.line(f"{title.lower() + ':':<12}{value}")
    for node, details in sorted(report.details.items()):
        output.line(f"on {node}:")
        for title, value in _details(details):
            output.line(f"  {title + ':':<12}{value}")
    for node, why in sorted(report.trouble.items()):
        output.note(f"{node}: {why}")


def _details(details: VolumeDetails) -> list[tuple[str, str]]:
    """Lines of one engine's answer; what it does not tell is left out."""
    size, held = details.size_bytes, details.references
    known = [
        ("size", f"{size / 1e6:.1f} MB" if size is not None else ""),
        ("holders", str(held) if held is not None else ""),
        ("mountpoint", details.mountpoint),
        ("created", f"{details.created_at:%Y-%m-%d %H:%M:%S} UTC" if details.created_at else ""),
        ("options", ",".join(f"{key}={value}" for key, value in sorted(details.driver_opts.items()))),
    ]
    return [(title, value) for title, value in known if value]


@verb(
    "move",
    ("orch volume move shop_data n2", "its users stop, it is copied and compared, they start on n2"),
    ("orch volume move shop_data shop_wal n2", "two that one service uses"),
    ("orch volume move shop_data n1", "when n1 is where it is: gives an unfinished move up"),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.argument("node")
def move(names: tuple[str, ...], node: str) -> None:
    """Take the data of volumes to another host, and what uses them after it.

    The data stays where it is until the copy has been read back and found equal. When it ends early, by whatever
    cause, the same command or orch up goes on.
    """
    from orchestrator.cli import interrupt, output, progress, report, session
    from orchestrator.model.names import NodeName

    words = " ".join(names)
    left = (
        f"the move of {words} to {node} is under way, the data is whole: orch volume move {words} {node} or orch up "
        f"goes on; orch volume inspect {names[0]} tells where it is"
    )

    async def work(control: Control) -> None:
        with interrupt.leaves(left):
            with progress.shown() as emit:
                result = await control.move_volumes(names, NodeName(node), emit)
            done = f"{', '.join(names)}: on {node}"
            if result is None:
                output.line(done)
                return
            stack = (await control.volumes.seen()).owner(names[0])
            await report.outcome(control, stack, result, done=done)

    session.run(work)


@verb(
    "rm",
    ("orch volume rm shop_data", "names what is lost, and asks"),
    ("orch volume rm --node n2 shop_data", "only what is on n2, if the data is elsewhere"),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--node", help="only what is on this host")
@yes_option
def rm(names: tuple[str, ...], node: str | None, yes: bool) -> None:
    """Destroy volumes with their data.

    Refused while a container holds one, running or not, and while its home does not answer.
    """
    from orchestrator.cli import session
    from orchestrator.model.names import NodeName

    async def work(control: Control) -> None:
        doomed = await control.volumes.removable(names, NodeName(node) if node else None)
        await _destroy(control, doomed, yes=yes)

    session.run(work)


@verb(
    "prune",
    ("orch volume prune", "names what is lost, and asks"),
    ("orch volume prune --yes", "in a script"),
)
@yes_option
def prune(yes: bool) -> None:
    """Destroy the volumes of stacks that are no longer declared.

    Only those that orch made or took over, and that no container holds.
    """
    from orchestrator.cli import output, session

    async def work(control: Control) -> None:
        doomed, kept = await control.volumes.prunable()
        for text in kept:
            output.note(text)
        if not doomed:
            output.note("no volumes of stacks that are gone")
            return
        await _destroy(control, doomed, yes=yes)

    session.run(work)


async def _destroy(control: Control, doomed: tuple[Doomed, ...], *, yes: bool) -> None:
    """Asks, then removes."""
    from orchestrator.cli import consent, interrupt, output

    names = [str(each) for each in doomed]
    consent.require(f"destroy {output.plural(len(names), 'volume')} with all data", names, yes=yes)
    with interrupt.leaves("what was removed is gone; the same command goes on with the rest"):
        for each in await control.volumes.remove(doomed):
            output.line(f"{each.name} removed from {each.node}")


for _each in (ls, inspect, move, rm, prune):
    command.add_command(_each)
