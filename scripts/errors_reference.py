"""Writes docs/reference/errors.md from orchestrator/errors.py. `--check`: see `written`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from written import cell, written

from orchestrator.errors import OrchError

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "errors.md"
HEAD = """# Errors

Written by `make docs` from `orchestrator/errors.py`; a test fails when it is out of date.

Every error says what is wrong and where, and, where it is known, why and how to fix it:

```
stack.yml:14:9: service "web" wants host port 8080, which "api" already has
  why: "api" publishes 8080 on the same node at stack.yml:31:9
  fix: give one of them another host port, or write "80" to let orch choose
```

After a temporary one the loop tries again by itself, with growing pauses.
Kinds below another kind are indented.

| error | exit code | temporary | |
|---|---|---|---|"""


def main(args: list[str]) -> int:
    return written(TARGET, "\n".join([HEAD, *_rows(OrchError, 0)]) + "\n", args)


def _rows(kind: type[OrchError], depth: int) -> Iterator[str]:
    meaning = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    name = "&nbsp;&nbsp;" * depth + f"`{kind.__name__}`"
    yield f"| {name} | {kind.exit_code} | {'yes' if kind.temporary else ''} | {cell(meaning)} |"
    for below in kind.__subclasses__():
        yield from _rows(below, depth + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
