"""What a person sees of an error that is our own fault: one paragraph, and where the details are."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from orchestrator import __version__
from orchestrator.cli import output
from orchestrator.errors import OrchError


def report(error: BaseException) -> int:
    """Writes the traceback to a file, says so on stderr; the exit code."""
    if os.environ.get("ORCH_DEBUG") == "1":
        output.traceback_of(error)
    path = _write(error)
    output.failure(
        OrchError(
            f"internal error, {type(error).__name__}: {error}",
            why="this is a defect of orch; what was done so far stands, and the same command can be given again",
            fix=f"report it with {path}"
            if path
            else "give the command again with ORCH_DEBUG=1 and report what it says",
        )
    )
    return 1


def home(environment: dict[str, str]) -> Path:
    """`$ORCH_HOME`, else `$XDG_STATE_HOME/orch`, else `~/.local/state/orch`."""
    if chosen := environment.get("ORCH_HOME"):
        return Path(chosen)
    return Path(environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "orch"


def _write(error: BaseException) -> Path | None:
    """The file with the traceback, or None where none can be written. Arguments are left out: they may hold secrets."""
    name = f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    head = f"orch {__version__}, python {sys.version.split()[0]}, {platform.platform()}\n"
    text = head + "".join(traceback.format_exception(error))
    for folder in (home(dict(os.environ)) / "errors", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        except OSError:
            continue
        return folder / name
    return None
