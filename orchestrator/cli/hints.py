"""What to do instead: for a wrong command line, and for what `docker compose` has and orch has not.

Messages of click are put into our own wording here, so that all errors look alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import click

NOT_YET = "docker compose has it, orch not yet"

COMMANDS: Mapping[str, str] = {
    "attach": f"{NOT_YET}; orch logs -f follows the output",
    "cp": NOT_YET,
    "create": "orch up -d starts without waiting for health checks; orch plan shows what it would make",
    "events": NOT_YET,
    "images": "orch ps shows the image of each container",
    "kill": "orch stop -t 0",
    "pause": NOT_YET,
    "port": "orch ps shows the ports",
    "push": NOT_YET,
    "run": f"{NOT_YET}; orch exec runs a command in a running container",
    "stats": NOT_YET,
    "top": NOT_YET,
    "unpause": NOT_YET,
    "volumes": "orch volume ls; orch config --volumes shows those of a file",
    "wait": "orch up waits until the stack is what was asked for",
    "watch": NOT_YET,
    "deploy": "orch up -f stack.yml",
    "compose": "leave the word out: orch up, orch ps ...",
}
"""Commands that people try -> the way here."""

OPTIONS: Mapping[str, str] = {
    "--abort-on-container-exit": "orch up waits until all services are ready or done, and fails when one can't be",
    "--abort-on-container-failure": "orch up waits until all services are ready or done, and fails when one can't be",
    "--all-resources": NOT_YET,
    "--always-recreate-deps": NOT_YET,
    "--ansi": "set NO_COLOR=1 for output without colours",
    "--attach": "orch logs -f web follows one service",
    "--attach-dependencies": "orch logs -f follows all services",
    "--compatibility": "names are as Compose v2 makes them, with hyphens",
    "--dry-run": "orch plan shows what would happen and changes nothing",
    "--exit-code-from": "orch up fails when a job ends with another code than 0",
    "--menu": "orch up does not hold the terminal; it waits until the stack is ready and returns",
    "--no-attach": "orch up attaches to no container; orch logs shows the output",
    "--no-build": NOT_YET,
    "--no-recreate": NOT_YET,
    "--no-start": NOT_YET,
    "--no-trunc": "orch never shortens a column",
    "--parallel": NOT_YET,
    "--progress": "progress is live on a terminal and plain lines elsewhere",
    "--quiet-pull": "progress is plain lines when it does not go to a terminal",
    "--renew-anon-volumes": NOT_YET,
    "--resolve-image-digests": NOT_YET,
    "--watch": NOT_YET,
    "-V": NOT_YET,
}
"""Options of docker compose that are not here -> the way here."""


def unknown_command(name: str, known: Sequence[str], ctx: click.Context) -> click.UsageError:
    """The error for a command that does not exist, with the nearest one that does."""
    near = "" if name in COMMANDS else _did_you_mean(name, known)
    error = click.UsageError(f'{ctx.command_path} has no command "{name}"{near}', ctx=ctx)
    error.hint = COMMANDS.get(name, "")  # type: ignore[attr-defined]  # read back by `for_usage`
    return error


def for_usage(error: click.ClickException) -> str:
    """What to do about `error`, or "" when only the help can tell."""
    if isinstance(error, click.NoSuchOption):
        return OPTIONS.get(error.option_name, "")
    return str(getattr(error, "hint", ""))


def wording(message: str) -> str:
    """Click's `No such option '--fo'. Did you mean '--foo'?` as `no such option "--fo", did you mean "--foo"`."""
    text = re.sub(r"'([^']*)'", r'"\1"', message.strip()).replace("(Did", "Did").replace("?)", "?")
    parts = [part.rstrip(".?") for part in re.split(r"(?<=[.?])\s+(?=[A-Z])", text)]
    return ", ".join(part[:1].lower() + part[1:] for part in parts if part)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f', did you mean "{near[0]}"' if near else ""
