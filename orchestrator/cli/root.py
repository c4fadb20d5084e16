"""The command `orch` itself: the list of its verbs, and the options that count for all of them."""

from __future__ import annotations

import click

from orchestrator import __version__
from orchestrator.cli.group import HELP_NAMES, Entry, LazyGroup
from orchestrator.cli.options import project_options

_COMMANDS = "orchestrator.cli.commands."

ENTRIES: dict[str, Entry] = {
    "up": (_COMMANDS + "up", "Declare a stack, and wait until it is true."),
    "down": (_COMMANDS + "down", "Remove a stack; volumes stay unless you say so."),
    "plan": (_COMMANDS + "plan", "Show what `orch up` would do, and change nothing."),
    "ps": (_COMMANDS + "ps", "List the containers of a stack."),
    "ls": (_COMMANDS + "ls", "List all stacks."),
    "logs": (_COMMANDS + "logs", "Show what the containers of a stack print."),
    "exec": (_COMMANDS + "exec", "Run a command in a running container, on whichever node it is."),
    "scale": (_COMMANDS + "scale", "Change how many containers a service has."),
    "start": (_COMMANDS + "start", "Start services that were stopped."),
    "stop": (_COMMANDS + "stop", "Stop services; their containers stay."),
    "restart": (_COMMANDS + "restart", "Stop containers and start them again."),
    "rm": (_COMMANDS + "rm", "Remove stopped containers."),
    "config": (_COMMANDS + "config", "Check the files of a stack, and print what they add up to."),
    "graph": (_COMMANDS + "graph", "Show which service waits for which."),
    "build": (_COMMANDS + "build", "Build the images of a stack."),
    "pull": (_COMMANDS + "pull", "Pull the images of a stack on all nodes."),
    "node": (_COMMANDS + "node", "Add, list and remove Docker hosts."),
    "cluster": (_COMMANDS + "cluster", "Look after the networks that span hosts."),
    "secret": (_COMMANDS + "secret", "Keep secrets for stacks that name them as external."),
    "configs": (_COMMANDS + "configs", "Keep configs for stacks that name them as external."),
    "volume": (_COMMANDS + "volume", "List, move and remove volumes of stacks."),
    "lab": (_COMMANDS + "lab", "Run a throw-away cluster of real Docker engines on this machine."),
    "completion": (_COMMANDS + "completion", "Print the script that makes a shell complete orch's words."),
    "version": (_COMMANDS + "version", "Print the version."),
}
"""name -> (module, short help), in the order of `orch --help`. A test compares the help with the command's own."""


@click.group("orch", cls=LazyGroup, entries=ENTRIES, context_settings=HELP_NAMES)
@project_options()
@click.version_option(__version__, message="orch %(version)s")
def cli() -> None:
    """Runs Compose files on one Docker host or many, and keeps them true.

    \b
    orch up -f stack.yml      declare a stack; wait until it is true; say why when it can't be
    orch ps                   what runs, and where
    orch down                 remove it again
    """
