"""`orch config`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.model.spec import StackSpec

LISTS: Mapping[str, Callable[[StackSpec, Mapping[str, Any]], Iterable[str]]] = {
    "services": lambda stack, _: sorted(stack.services),
    "volumes": lambda stack, _: sorted(stack.volumes),
    "networks": lambda stack, _: sorted(stack.networks),
    "images": lambda stack, _: sorted({service.image for service in stack.services.values()}),
    "profiles": lambda _, project: sorted(_profiles(project)),
}
"""What `--services` and its like print, one name a line."""


def _lists(function: Any) -> Any:
    for name in reversed(list(LISTS)):
        function = click.option(f"--{name}", "only", flag_value=name, help=f"only the names of {name}")(function)
    return function


@verb("config", ("orch config", "merged, complete, as YAML"), ("orch config -q", "is it right? the exit code tells"))
@project_options()
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="how to print"
)
@_lists
@click.option("-q", "--quiet", is_flag=True, help="only check; print nothing but errors")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path, dir_okay=False), help="write to a file")
@pass_project
def command(project: Project, form: str, only: str | None, quiet: bool, target: Path | None) -> None:
    """Check the files of a stack, and print what they add up to.

    All files merged, variables filled in, short forms written out, paths absolute. Exit code 2 and the place
    (file:line:column) for each thing that is wrong.
    """
    from orchestrator.cli import output, selection

    loaded = selection.load(project, everything=only == "profiles")
    if quiet:
        return
    text = "\n".join(LISTS[only](loaded.stack, loaded.project)) if only else _printed(loaded.project, form)
    if target:
        output.write(target, text + "\n")
    elif text:
        output.line(text)


def _printed(canonical: Mapping[str, Any], form: str) -> str:
    project = {"name": canonical.get("name"), **canonical}
    if form == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode(project), indent=2).decode()
    from orchestrator.spec import to_yaml

    return str(to_yaml(project)).rstrip("\n")


def _profiles(project: Mapping[str, Any]) -> set[str]:
    return {name for service in project.get("services", {}).values() for name in service.get("profiles", ())}
