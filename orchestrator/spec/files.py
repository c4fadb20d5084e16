"""The bytes of the files that a command line or a stack names."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import BadYaml, FileMissing

MAX_BYTES = 16 * 2**20


def read(path: Path, shown: str, where: str = "") -> bytes:
    """The bytes of a file that the command line or a stack names; `where` is the place that names it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileMissing(f'can\'t read "{shown}"', where=where, why=reason, fix="check the path") from error
    if len(content) > MAX_BYTES:
        raise BadYaml("the file is larger than 16 MiB", where=where or shown, fix="split it with `include`")
    return content
