"""`x-orch`: what orch reads beyond the Compose Specification, on a service and on a volume.

Docker Compose keeps such keys unread, and so do the earlier phases: the canonical project has them as they are written.
The tables here are their schema; `specs/compose-support.yaml` lists every key.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec.findings import Findings
from orchestrator.spec.shape import ANYTHING, Shape
from orchestrator.spec.tree import At, Map, Seq
from orchestrator.spec.validate import check
from orchestrator.spec.vocabulary import FLAG, record, text

KEY = "x-orch"
_PLACEMENT = record({"strategy": text(choices=("spread", "binpack"))}, is_open=False)
SERVICE = record({"placement": _PLACEMENT, "many_writers": FLAG}, is_open=False)
VOLUME = record({"per_replica": FLAG}, is_open=False)
TABLES = {"services": SERVICE, "volumes": VOLUME}
"""What holds an `x-orch` -> its keys. Anywhere else it is refused."""


def own_keys(kind: str, name: str, holder: Map, problems: list[SpecError]) -> Map:
    """The `x-orch` of a service or volume, its texts cast; empty when there is none, or something is wrong with it."""
    if KEY not in holder:
        return Map(holder.at)
    found, at, shape, path = Findings(), holder.place(KEY), TABLES[kind], f"{kind}.{name}.{KEY}"
    value = _cast(holder[KEY], shape, path, at, found)
    check(value, shape, path, at, found)
    problems += found.errors()
    return Map(at) if found else value


def _cast(value: Any, shape: Shape, path: str, at: At, found: Findings) -> Any:
    """What came from a variable is a text still."""
    if isinstance(value, Map):
        result = Map(value.at, dict(value.places))
        for key, entry in value.items():
            inner = f"{path}.{key}"
            new = _cast(entry, shape.child(key), inner, value.place(key), found)
            if found.is_whole(inner):
                result[key] = new
        return result
    if isinstance(value, Seq) or shape is ANYTHING or shape.cast is None or not isinstance(value, str):
        return value
    try:
        return shape.cast(value)
    except ValueError as error:
        found.add(BadValue(f'{path}: "{value}" is {error}', where=str(at)), path)
        return value
