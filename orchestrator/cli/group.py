"""The kinds of commands: one that shows examples, and a group that imports a command only when it is called.

Source of the lazy group: Click's documentation, "Complex Applications"; the suggestions and the examples are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from orchestrator.cli import hints

Example = tuple[str, str]
"""A command line, and what it does."""

Entry = tuple[str, str]
"""The module whose `command` it is, and the short help, so that a list of commands imports none of them."""

HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _WithExamples(click.Command):
    """A command whose help ends with examples."""

    examples: Sequence[Example] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.examples), col_max=46)


class Verb(_WithExamples):
    """`orch up`, `orch node ls`: one verb."""


class VerbGroup(_WithExamples, click.Group):
    """`orch node`, `orch lab`: verbs about one noun."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """In the order in which they are written, which is the order in which people need them."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(self.short_helps(ctx))

    def short_helps(self, ctx: click.Context) -> list[tuple[str, str]]:
        """(name, first sentence of the help) of each verb."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [(name, each.get_short_help_str(limit=200)) for name, each in found if each]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` name; raises UsageError with the nearest name when there is none."""
        name = args[0]
        if ctx.resilient_parsing or name.startswith("-") or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        raise hints.unknown_command(name, self.list_commands(ctx), ctx)


class LazyGroup(VerbGroup):
    """A group of which `entries` says all that `--help` needs."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **settings: Any) -> None:  # Any: click's own settings
        super().__init__(*args, **settings)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in self.entries:
            return None
        found = import_module(self.entries[cmd_name][0]).command
        assert isinstance(found, click.Command), f"{cmd_name}: its module must hold a `command`"
        return found

    def short_helps(self, ctx: click.Context) -> list[tuple[str, str]]:  # noqa: ARG002  click's signature
        return [(name, text) for name, (_, text) in self.entries.items()]


def verb(name: str, *examples: Example, **settings: Any) -> Callable[[Callable[..., Any]], Verb]:
    """A decorator: the function becomes the verb `name`, its docstring the help, `examples` the end of it."""
    kind: type[Verb] = settings.pop("cls", Verb)
    context = HELP_NAMES | settings.pop("context_settings", {})

    def wrap(function: Callable[..., Any]) -> Verb:
        made: Verb = click.command(name, cls=kind, context_settings=context, **settings)(function)
        made.examples = examples
        return made

    return wrap


def noun(name: str, *examples: Example, **settings: Any) -> Callable[[Callable[..., Any]], VerbGroup]:
    """A decorator: the function becomes the group `name`."""

    def wrap(function: Callable[..., Any]) -> VerbGroup:
        made = click.group(name, cls=VerbGroup, context_settings=HELP_NAMES, **settings)(function)
        made.examples = examples
        return made

    return wrap
