"""The only printer: lines, tables, JSON and errors. Results go to stdout, all else to stderr.

Colours appear only on a terminal, and not when NO_COLOR is set (https://no-color.org).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from orchestrator.errors import OrchError

RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = 31, 32, 33, 34, 35, 36
BOLD, DIM = 1, 2
GAP = "   "
"""Between two columns of a table."""


def line(text: str = "") -> None:
    """One line of the result."""
    sys.stdout.write(text + "\n")


def flush() -> None:
    """What was printed is seen now, also through a pipe."""
    sys.stdout.flush()


def write(path: Path, text: str) -> None:
    """A result into a file that the command line names; raises FileMissing when it can't be written."""
    from orchestrator.errors import FileMissing

    try:
        path.write_text(text)
    except OSError as error:
        raise FileMissing(f'can\'t write "{path}"', why=error.strerror or str(error)) from error


def note(text: str) -> None:
    """One line beside the result. A stderr that nobody reads stops nothing."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def warning(text: str) -> None:
    """Something that a person should know and that stops nothing."""
    note(f"{styled('warning:', YELLOW, stream=sys.stderr)} {text}")


def failure(error: OrchError) -> None:
    """`orch: what`, then why and fix on lines of their own."""
    head = f"{error.where}: {error.what}" if error.where else error.what
    note(f"{styled('orch:', RED, stream=sys.stderr)} {head}")
    for label, text in (("why", error.why), ("fix", error.fix)):
        if text:
            note(f"  {styled(label + ':', DIM, stream=sys.stderr)} {text}")


def traceback_of(error: BaseException) -> None:
    """For ORCH_DEBUG=1 only."""
    import traceback

    note("".join(traceback.format_exception(error)).rstrip())


def json(value: Any) -> None:  # Any: whatever msgspec can write
    """`value` as JSON, indented, its keys as the struct has them."""
    import msgspec

    line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Plain columns under their names, each as wide as its longest cell, the last one free."""
    for number, text in enumerate(aligned(columns, rows)):
        line(styled(text, BOLD) if number == 0 else text)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its head first."""
    cells = [tuple(columns), *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def listing(
    form: str, columns: Sequence[str], rows: Sequence[Sequence[str]], values: Sequence[Any], *, quiet: bool = False
) -> None:
    """A list as `form` says: `json` prints `values`, `table` prints `rows`. quiet: the first of each row alone."""
    if quiet:
        for first, *_ in rows:
            line(first)
    elif form == "json":
        json(values)
    else:
        table(columns, rows)


def styled(text: str, *codes: int, stream: TextIO | None = None) -> str:
    """`text` in a colour where `stream` (stdout unless told) shows colours; as it is elsewhere."""
    if not codes or not has_colours(stream or sys.stdout):
        return text
    return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m"


def has_colours(stream: TextIO) -> bool:
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def is_terminal(stream: TextIO) -> bool:
    """Somebody looks at it, and it can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def plural(count: int, word: str) -> str:
    """`1 container`, `2 containers`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def seconds(span_s: float, *, whole: bool = False) -> str:
    """`0.3 s`, `12 s`, `3 min`, `5 h`, `2 d`: as exact as a person wants it. whole: `0 s` for `0.3 s`."""
    if span_s < 10 and not whole:
        return f"{span_s:.1f} s"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if span_s < limit:
            return f"{int(span_s / divisor)} {unit}"
    return f"{int(span_s / 86400)} d"
