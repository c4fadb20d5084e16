"""`orch`: commands, their options, and the only place that prints. Decides nothing about a stack.

`main` is the entry point of the `orch` command; importing this room costs nothing until it is called.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line of this process and ends it with the command's exit code."""
    from orchestrator.cli.entry import run

    sys.exit(run(sys.argv[1:]))
