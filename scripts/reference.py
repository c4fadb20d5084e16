"""Writes docs/reference/cli.md from the commands themselves. `--check`: see `written`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from written import cell, written

from orchestrator.cli import options
from orchestrator.cli.commands import ps
from orchestrator.cli.group import VerbGroup
from orchestrator.cli.root import cli
from orchestrator.lab import NodeReport
from orchestrator.model.cluster import Node
from orchestrator.service.summaries import StackSummary

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
HEAD = """# The command line

Written by `make docs` from the commands themselves; a test fails when it is out of date.

Results go to stdout, all else to stderr.
Exit codes: 0 done, 1 an error of the world, 2 a wrong command line or file, 130 and 143 interrupted.
`orch plan` and `orch exec` have codes of their own.
"""
STACK = """## Which stack

Verbs that work on a stack take these options, before or after the verb.
Without any, the stack is that of the Compose file in this folder or above it.
Where there is none, verbs that need no file take the only stack that is declared.
"""
JSON = """## JSON

`--format json` prints one array; each entry has these keys.
A key that is not known of an entry is null or left out; more keys may come.

| verb | keys |
|---|---|"""
KEYS = {
    "orch ps": ps.FIELDS,
    "orch ls": StackSummary.__struct_fields__,
    "orch node ls": Node.__struct_fields__,
    "orch lab status": NodeReport.__struct_fields__,
}


def main(args: list[str]) -> int:
    return written(TARGET, "\n".join(page()).rstrip() + "\n", args)


def page() -> Iterator[str]:
    """The lines of the reference: what all share, then one section for each verb in the order of `orch --help`."""
    yield from (HEAD, STACK)
    yield from _table(each for each in cli.params if _is_shared(each))
    yield JSON
    yield from (f"| `{verb}` | {', '.join(f'`{key}`' for key in keys)} |" for verb, keys in KEYS.items())
    for path, command in _commands(cli, "orch"):
        yield from _section(path, command)


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command, name
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")


def _section(path: str, command: click.Command) -> Iterator[str]:
    yield f"\n## {path}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    if not isinstance(command, VerbGroup):
        pieces = command.collect_usage_pieces(click.Context(command, info_name=path))
        yield f"```\n{' '.join([path, *pieces])}\n```\n"
    yield from _table(each for each in command.params if not _is_shared(each))
    yield from (f"- `{line}`: {meaning}" for line, meaning in getattr(command, "examples", ()))


def _is_shared(parameter: click.Parameter) -> bool:
    """It says which stack is meant."""
    return parameter.callback is options.collect


def _table(parameters: Iterable[click.Parameter]) -> Iterator[str]:
    found = [each for each in parameters if isinstance(each, click.Option)]
    if found:
        yield "| option | |\n|---|---|"
    for option in found:
        names, meaning = option.get_help_record(click.Context(click.Command("orch"))) or ("", "")
        yield f"| `{cell(names)}` | {cell(meaning)} |"
    if found:
        yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
