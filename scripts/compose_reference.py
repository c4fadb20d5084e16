"""Writes docs/reference/compose.md from specs/compose-support.yaml. `--check`: see `written`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import yaml
from written import cell, written

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = ROOT / "specs" / "compose-support.yaml", ROOT / "docs" / "reference" / "compose.md"
Row = dict[str, str]
HEAD = """# Compose keys

Written by `make docs` from `specs/compose-support.yaml`; a test fails when it is out of date.

Every key of the Compose Specification is honoured, or refused with its place, the reason and a way out.
Keys that begin with `x-` are kept everywhere and not listed.
"API" is the Docker Engine API that a key needs, where it is newer than 1.41 (Docker Engine 20.10).
An older engine is refused for that key, by name; the other nodes may take it.
"""


COUNTED = {
    "honoured": "keys are honoured",
    "refused": "are refused, with all keys below them",
    "ignored-with-reason": "have no effect, which a warning says",
}


def main(args: list[str]) -> int:
    support = yaml.safe_load(SOURCE.read_text())
    return written(
        TARGET, "\n".join(page(support["keys"], support["own"], support["differences"])).rstrip() + "\n", args
    )


def page(rows: list[Row], own: list[Row], differences: list[Row]) -> Iterator[str]:
    """The lines of the page."""
    refused = {row["key"] for row in rows if row["status"] == "refused"}
    rows = [row for row in rows if row["key"].rpartition(".")[0] not in refused]
    count = Counter(row["status"] for row in rows)
    yield HEAD
    yield ", ".join(f"{count[status]} {words}" for status, words in COUNTED.items()) + ".\n"
    yield from _refused(rows)
    for top, found in groupby(rows, key=lambda row: row["key"].partition(".")[0]):
        yield from _section(top, found)
    yield "## Keys of orch's own\n"
    yield "Docker Compose keeps what stands below `x-orch` unread; orch refuses what is not in this list.\n"
    yield "| key | |\n|---|---|"
    yield from (f"| `{each['key']}` | {cell(each['why'])} |" for each in own)
    yield ""
    yield "## Where orch and Docker Compose differ\n"
    yield "| case | |\n|---|---|"
    yield from (f"| {cell(each['case'])} | {cell(each['why'])} |" for each in differences)


def _refused(rows: list[Row]) -> Iterator[str]:
    yield "## Refused\n"
    yield "| key | why |\n|---|---|"
    for row in rows:
        if row["status"] == "refused":
            yield f"| `{_short(row['key'])}` | {cell(row['why'])} |"
    yield ""


def _section(top: str, rows: Iterable[Row]) -> Iterator[str]:
    yield f"## {top}\n"
    yield "| key | | API | |\n|---|---|---|---|"
    for row in rows:
        status = row["status"].replace("ignored-with-reason", "no effect")
        yield f"| `{_short(row['key'])}` | {status} | {row.get('since_engine_api', '')} | {cell(row.get('why', ''))} |"
    yield ""


def _short(key: str) -> str:
    """People think of keys of a service without `services.` in front."""
    return key.removeprefix("services.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
