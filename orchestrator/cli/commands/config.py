"""`orch config`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.model.spec import StackSpec
    from orchestrator.service.control import Control
    from orchestrator.spec import Loaded, Read

LISTS: Mapping[str, Callable[[Read], Iterable[str]]] = {
    "services": lambda read: read.services,
    "volumes": lambda read: read.document.get("volumes", {}),
    "networks": lambda read: read.document.get("networks", {}),
    "models": lambda read: read.document.get("models", {}),
    "images": lambda read: [service.get("image") or f"{read.name}-{key}" for key, service in read.services.items()],
    "profiles": lambda read: read.profiles,
}
"""What `--services` and its like print, one name a line."""


def _lists(function: Any) -> Any:
    for name in reversed(list(LISTS)):
        function = click.option(f"--{name}", "only", flag_value=name, help=f"only the names of {name}")(function)
    return function


@verb(
    "config", ("orch config", "merged, complete, as YAML"), ("orch config -q", "can orch run it? the exit code tells"),
    ("orch config web", "only web and what it depends on"),
    ("orch config --variables", "which variables the files want"),
)  # fmt: skip
@project_options()
@click.argument("services", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="how to print"
)
@_lists
@click.option("--hash", "hashed", metavar="SERVICES", help='service hashes: names with commas, or "*" for all; '
              "they are orch's own, as on its containers, not Docker Compose's")  # fmt: skip
@click.option("--no-interpolate", "as_written", is_flag=True, help="leave variables as they are written")
@click.option("--variables", "only", flag_value="variables", help="the variables that the files name")
@click.option("--environment", "only", flag_value="environment", help="the variables that are filled in; what only "
              "secrets take is masked")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="only check, also that orch can run it; print nothing but errors")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path, dir_okay=False), help="write to a file")
@pass_project
def command(
    project: Project, services: Sequence[str], form: str, only: str | None, hashed: str | None, as_written: bool,
    quiet: bool, target: Path | None,
) -> None:  # fmt: skip
    """Check the files of a stack, and print what they add up to.

    All files merged, variables filled in, short forms written out, paths absolute, as Docker Compose prints it.
    What Docker Compose knows and orch can't run is printed, too, with a warning; `-q` and `orch up` refuse it.
    Exit code 2 and the place (file:line:column) for each thing that is wrong.
    """
    from orchestrator.cli import output, selection

    if quiet:
        selection.load(project, services)
        return
    if services[:1] and services[0] in _OTHERS:
        _refuse_other(project, services[0])
    if hashed is not None:
        text = _hashes(project, hashed)
    elif as_written:
        text = _printed(_as_written(project, services), form)
    elif only == "variables":
        text = _variables(project, form)
    else:
        text = _of_files(project, services, only, form)
    if target:
        output.write(target, text + "\n")
    elif text:
        output.line(text)


_OTHERS = ("create", "ls", "inspect", "rotate", "rm")
"""Verbs of `orch configs`, which Docker has as `docker config`."""


def _refuse_other(project: Project, word: str) -> None:
    """`orch config ls` where no service is called so; raises UsageError"""
    from orchestrator.cli import selection
    from orchestrator.errors import FileMissing, UsageError

    with suppress(FileMissing):
        if word in selection.read(project).services:
            return
    why = "orch config prints the stack's files, as docker compose config does"
    raise UsageError(f'there is no service "{word}"', why=why, fix=f"orch configs {word}")


def _of_files(project: Project, services: Sequence[str], only: str | None, form: str) -> str:
    """The canonical project, or a list out of it; remarks go to stderr."""
    from orchestrator.cli import output, selection

    read = selection.read(project, services)
    if only == "environment":
        return "\n".join(_environment(read))
    if only:
        return "\n".join(sorted(LISTS[only](read)))
    for error in read.refusals():
        output.warning(f"orch up refuses this: {str(error).splitlines()[0]}" + (f" ({error.why})" if error.why else ""))
    return _printed(read.project if form == "json" else read.document, form)


def _printed(project: Mapping[str, Any], form: str) -> str:
    if form == "json":
        return _json({"name": project.get("name"), **project})
    from orchestrator.spec import to_yaml

    return to_yaml({"name": project.get("name"), **project}).rstrip("\n")


def _json(value: Any) -> str:  # Any: whatever msgspec can write
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _as_written(project: Project, services: Sequence[str]) -> dict[str, Any]:
    from orchestrator import spec
    from orchestrator.cli import selection

    shown = spec.as_written(selection.request(project))
    if services:
        shown["services"] = selection.with_dependencies(shown.get("services", {}), services, shown["name"])
    return shown


def _variables(project: Project, form: str) -> str:
    from orchestrator import spec
    from orchestrator.cli import output, selection

    found = spec.variables(spec.as_written(selection.request(project)))
    if form == "json":
        return _json(found)
    rows = [[each.name, str(each.required).lower(), each.default_value, each.presence_value] for each in found.values()]
    return "\n".join(output.aligned(("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"), rows))


MASK = "********"


def _environment(read: Read) -> list[str]:
    """NAME=value, but for what a secret of the stack holds."""
    secrets = {secret.get("environment") for secret in read.document.get("secrets", {}).values()}
    return [f"{name}={MASK if name in secrets else value}" for name, value in sorted(read.env.items())]


def _hashes(project: Project, wanted: str) -> str:
    from orchestrator.cli import selection
    from orchestrator.planner import service_hash

    stack = _as_kept(selection.load(project))
    words = sorted(stack.services) if wanted == "*" else wanted.split(",")
    names = selection.check_services(words, stack.services, stack.name)
    return "\n".join(f"{name} {service_hash(stack, stack.services[name])}" for name in sorted(names))


def _as_kept(loaded: Loaded) -> StackSpec:
    """The stack with the digests of secrets and configs that its containers know: some are the store's to tell."""
    if not loaded.stack.secrets and not any(config.external for config in loaded.stack.configs.values()):
        return loaded.stack
    from orchestrator.cli import session
    from orchestrator.service.request import UpRequest

    async def work(control: Control) -> StackSpec:
        request = UpRequest(stack=loaded.stack, contents=loaded.contents)
        return (await control.files.resolved(request)).request.stack

    return session.run(work)
