"""`orch version`."""

from __future__ import annotations

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import format_option


@verb("version", ("orch version", "orch and the Python that runs it"), ("orch version --format json", "for programs"))
@format_option
@click.option("--short", is_flag=True, help="only the number")
def command(form: str, short: bool) -> None:
    """Print the version."""
    import platform

    from orchestrator import __version__
    from orchestrator.cli import output

    if form == "json":
        output.json({"version": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        output.line(__version__ if short else f"orch {__version__}, python {platform.python_version()}")
