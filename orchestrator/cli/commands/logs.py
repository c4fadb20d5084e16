"""`orch logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.model.cluster import Container
    from orchestrator.service.control import Control
    from orchestrator.service.logs import TaggedLine

EACH_ITS_OWN = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""Colours of the prefixes, by slot; red is left for errors."""


class _Tail(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A number of lines, or `all`, which is None."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value) == "all":
            return -1
        if not str(value).isdecimal():
            self.fail(f'"{value}" is no number of lines; it is a whole number, or "all"', param, ctx)
        return int(value)


@verb(
    "logs",
    ("orch logs -f web", "follow one service"),
    ("orch logs --tail 20 --since 10m", "the last ones of each container"),
)
@click.argument("words", nargs=-1, metavar="[SERVICE[.SLOT]]...", shell_complete=complete_services)
@project_options(short_file=False)
@click.option("-f", "--follow", is_flag=True, help="go on with what comes, also from containers that come later")
@click.option(
    "-n", "--tail", type=_Tail(), default="all", show_default=True, help="how many of each container's last lines"
)
@click.option(
    "--since", default="", metavar="TIME", help="from this moment on: 2026-11-24T10:00:00Z, or 10m for ten minutes ago"
)
@click.option("--until", default="", metavar="TIME", help="up to this moment")
@click.option("-t", "--timestamps", is_flag=True, help="the moment of each line")
@click.option("--no-log-prefix", "bare", is_flag=True, help="without the container's name before each line")
@click.option("--no-color", "plain", is_flag=True, help="without colours")
@pass_project
def command(
    project: Project,
    words: tuple[str, ...],
    follow: bool,
    tail: int,
    since: str,
    until: str,
    timestamps: bool,
    bare: bool,
    plain: bool,
) -> None:
    """Show what the containers of a stack print.

    Lines of all containers are merged by time, whichever node they are on.
    """
    from orchestrator.cli import output, selection, session

    async def work(control: Control) -> None:
        stack = await selection.stack_name(control, project)
        found = await control.containers(stack)
        selection.tell_silent(control)
        known = selection.chosen(found, words, stack)
        prefix = Prefix(known, plain=plain)
        async for tagged in control.logs(
            stack, words, follow=follow, tail=None if tail < 0 else tail, since=since, until=until
        ):
            output.line(("" if bare else prefix.of(tagged.container)) + _text(tagged, timestamps))
            output.flush()

    session.run(work)


def _text(tagged: TaggedLine, timestamps: bool) -> str:
    moment = tagged.line.at if timestamps else None
    return f"{moment.isoformat().replace('+00:00', 'Z')} {tagged.line.text}" if moment else tagged.line.text


class Prefix:
    """`web-1  | `, as wide as the longest name so far, in a colour of the container's own."""

    def __init__(self, containers: tuple[Container, ...], *, plain: bool) -> None:
        self._width = max((len(_short(each)) for each in containers), default=0)
        self._plain = plain
        self._colours: dict[str, int] = {}

    def of(self, container: Container) -> str:
        from orchestrator.cli import output

        name = _short(container)
        self._width = max(self._width, len(name))
        colour = self._colours.setdefault(name, EACH_ITS_OWN[len(self._colours) % len(EACH_ITS_OWN)])
        text = f"{name:<{self._width}}  | "
        return text if self._plain else output.styled(text, colour)


def _short(container: Container) -> str:
    return f"{container.service}-{container.slot}"
