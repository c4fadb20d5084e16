"""Asking a person before something is lost."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

import click

from orchestrator.cli import output
from orchestrator.errors import UsageError


def require(question: str, things: Sequence[str], *, yes: bool, flag: str = "--yes") -> None:
    """Returns when a person agrees to lose `things`, or nothing would be lost; raises click.Abort when they don't.

    yes: they have agreed already, by `flag`
    raises UsageError where there is nobody to ask
    """
    if yes or not things:
        return
    for thing in things:
        output.note(f"  {thing}")
    if not sys.stdin.isatty():
        raise UsageError(f"{question} needs a yes", why="there is no terminal to ask on", fix=f"add {flag}")
    # asyncio's own handler would only cancel the task, which can't end while it waits for an answer here
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        click.confirm(question, abort=True, err=True)
    finally:
        signal.signal(signal.SIGINT, before)
