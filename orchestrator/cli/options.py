"""Options that several verbs share, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

Function = Callable[..., Any]


@dataclass
class Project:
    """Which stack is meant. A dataclass, because msgspec would be the heaviest import of `orch --help`.

    Each option counts before and after the verb: `orch -f a.yml up` is `orch up -f a.yml`.
    """

    files: list[str] = field(default_factory=list)
    name: str = ""
    env_files: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    directory: str = ""


pass_project = click.make_pass_decorator(Project, ensure=True)


def collect(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Adds what was given at this place of the command line to what was given before it."""
    project = ctx.ensure_object(Project)
    assert param.name, "an option has a name"
    if not value:
        return
    if isinstance(value, tuple):
        getattr(project, param.name).extend(value)
    else:
        setattr(project, param.name, value)


_FILE_HELP = "a Compose file; give it several times to merge them  [env: COMPOSE_FILE]"
_FILE: dict[str, Any] = {"multiple": True, "metavar": "FILE", "help": _FILE_HELP}


def project_options(*, short_file: bool = True) -> Callable[[Function], Function]:
    """`-f -p --env-file --profile --project-directory`. `short_file` False: `-f` means something else to this verb."""

    def wrap(function: Function) -> Function:
        for names, settings in reversed(_project_options(short_file)):
            function = click.option(*names, expose_value=False, callback=collect, **settings)(function)
        return function

    return wrap


def _stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from orchestrator.cli import completers

    return completers.stacks(ctx, param, incomplete)


def _project_options(short_file: bool) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    name_help = "the name of the stack  [env: COMPOSE_PROJECT_NAME]"
    profile_help = "a profile to enable; give it several times for more  [env: COMPOSE_PROFILES]"
    directory_help = "what relative paths of the files start from  [default: the folder of the first file]"
    repeat: dict[str, Any] = {"multiple": True}
    return [
        (("-f", "--file", "files") if short_file else ("--file", "files"), _FILE),
        (("-p", "--project-name", "name"), {"metavar": "NAME", "help": name_help, "shell_complete": _stacks}),
        (("--env-file", "env_files"), {**repeat, "metavar": "FILE", "help": "read variables from it, not from .env"}),
        (("--profile", "profiles"), {**repeat, "metavar": "NAME", "help": profile_help}),
        (("--project-directory", "directory"), {"metavar": "DIR", "help": directory_help}),
    ]


format_option = click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True, help="how to list"
)
timeout_option = click.option(
    "-t", "--timeout", "timeout_s", type=click.FloatRange(min=0), metavar="SECONDS",
    help="how long containers may take to stop before they are killed  [default: each one's own grace]",
)  # fmt: skip
wait_option = click.option(
    "--wait-timeout", "wait_timeout_s", type=click.FloatRange(min=0), metavar="SECONDS",
    help="give up waiting after this long, with exit code 1; the stack stays declared",
)  # fmt: skip
detach_option = click.option(
    "-d", "--detach", is_flag=True, help="return once all is started, without waiting for the last health checks"
)
yes_option = click.option("-y", "--yes", is_flag=True, help="do not ask")


class Assignment(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """`NAME=VALUE`, as a pair."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, rest = str(value).partition("=")
        if not name or not equals:
            self.fail(f'"{value}" is not of the form {self.name}', param, ctx)
        return name, rest


class ReplicaCount(Assignment):
    """`SERVICE=NUMBER`, as (service, number)."""

    name = "service=number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        service, number = super().convert(value, param, ctx)
        if not str(number).isdecimal():
            self.fail(
                f'"{number}" is not a number of replicas for "{service}"; it is a whole number from 0', param, ctx
            )
        return service, int(number)
