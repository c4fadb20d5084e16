"""`orch completion`."""

from __future__ import annotations

import click

from orchestrator.cli.group import verb

SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    ('eval "$(orch completion bash)"', "in this shell, until it ends"),
    ("orch completion fish > ~/.config/fish/completions/orch.fish", "in every fish"),
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes a shell complete orch's words."""
    from click.shell_completion import ShellComplete, get_completion_class

    from orchestrator.cli import output
    from orchestrator.cli.entry import COMPLETION_VARIABLE
    from orchestrator.cli.root import cli

    kind = get_completion_class(shell)
    assert kind, f"click knows {shell}"
    # ShellComplete's own: bash's runs a bash to look at its version, which may not be the one that will read this
    output.line(ShellComplete.source(kind(cli, {}, "orch", COMPLETION_VARIABLE)))
