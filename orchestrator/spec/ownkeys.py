"""`x-orch`: what orch reads beyond the Compose Specification, on a service and on a volume.

Docker Compose keeps such keys unread, and so do the earlier phases: the canonical project has them as they are written.
The tables here are their schema; `specs/compose-support.yaml` lists every key.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec.shape import ANYTHING, Shape
from orchestrator.spec.tree import At, Map, Seq
from orchestrator.spec.validate import check
from orchestrator.spec.vocabulary import FLAG, record, text

KEY = "x-orch"
SERVICE = record({"placement": record({"strategy": text(choices=("spread", "binpack"))}, is_open=False)}, is_open=False)
VOLUME = record({"per_replica": FLAG}, is_open=False)
TABLES = {"services": SERVICE, "volumes": VOLUME}
"""What holds an `x-orch` -> its keys. Anywhere else it is refused."""


def own_keys(kind: str, name: str, holder: Map, problems: list[SpecError]) -> Map:
    """The `x-orch` of a service or volume, its texts cast; empty when there is none, or something is wrong with it."""
    if KEY not in holder:
        return Map(holder.at)
    found: list[SpecError] = []
    at, shape = holder.place(KEY), TABLES[kind]
    value = _cast(holder[KEY], shape, at, found)
    if not found:
        check(value, shape, f"{kind}.{name}.{KEY}", at, found)
    problems += found
    return Map(at) if found else value


def _cast(value: Any, shape: Shape, at: At, found: list[SpecError]) -> Any:
    """What came from a variable is a text still."""
    if isinstance(value, Map):
        result = Map(value.at, dict(value.places))
        for key, entry in value.items():
            result[key] = _cast(entry, shape.child(key), value.place(key), found)
        return result
    if isinstance(value, Seq) or shape is ANYTHING or shape.cast is None or not isinstance(value, str):
        return value
    try:
        return shape.cast(value)
    except ValueError as error:
        found.append(BadValue(f'"{value}" is {error}', where=str(at)))
        return value
