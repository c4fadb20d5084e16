"""A file that a script writes: `--check` writes nothing, and fails where the file differs."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path


def written(target: Path, text: str, args: list[str]) -> int:
    """The exit code. args: those of the script."""
    if args != ["--check"]:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return 0
    there = target.read_text() if target.exists() else ""
    sys.stdout.writelines(difflib.unified_diff(there.splitlines(True), text.splitlines(True), target.name, "made now"))
    return int(there != text)


def cell(text: str) -> str:
    """Fit for a cell of a Markdown table."""
    return text.replace("|", "\\|")
