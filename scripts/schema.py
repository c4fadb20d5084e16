"""Writes specs/stack.schema.json, by which editors complete and check stack files, from the loader's own tables.

`--check`: see `written`. JSON Schema, draft 2020-12. It takes files as people write them:
variables not yet put in, one of several files, short forms and long ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from written import written

from orchestrator.spec import buildschema, deployschema, ownkeys, schema, serviceschema, vocabulary
from orchestrator.spec.shape import ANYTHING, Shape
from orchestrator.spec.support import REFUSED, WITHOUT_EFFECT

TARGET = Path(__file__).resolve().parents[1] / "specs" / "stack.schema.json"
HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A stack of orch: the Compose Specification",
    "description": "Written by scripts/schema.py from the tables of orchestrator/spec; a test fails where they differ.",
}
TYPES = {"timestamp": "string"}
"""What YAML has and JSON has not."""
ORDER = ("string", "integer", "number", "boolean", "array", "object", "null")
WITH_A_VARIABLE = r"\$"
"""Any value may come from a variable: `"${PORT:-80}"`."""
SHARED = {
    id(shape): name.lower().strip("_")
    for module in (vocabulary, buildschema, deployschema, serviceschema, schema)
    for name, shape in vars(module).items()
    if isinstance(shape, Shape) and (shape.fields or shape.items or shape.values)
}
"""Shapes with a name of their own become `$defs`."""


EXTENDED = {id(schema.SERVICE): ownkeys.SERVICE, id(schema.VOLUME): ownkeys.VOLUME}
"""What has keys of orch's own, and which."""


def main(args: list[str]) -> int:
    return written(TARGET, json.dumps(document(), indent=1) + "\n", args)


def document() -> dict[str, Any]:
    """The whole schema."""
    definitions: dict[str, Any] = {}
    root = _Writer(definitions).written(schema.PROJECT, "", as_reference=False)
    return {**HEAD, **root, "$defs": dict(sorted(definitions.items()))}


class _Writer:
    """Shape -> JSON Schema. `path` is the key's, as `support` names it; shared shapes say nothing of one path."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def written(self, shape: Shape, path: str, *, as_reference: bool = True) -> dict[str, Any]:
        if shape is ANYTHING:
            return {}
        if as_reference and (name := SHARED.get(id(shape))) and not _is_remarkable(path):
            return self._reference(name, shape)
        return {**_remark(path), **_scalars(shape), **self._object(shape, path), **self._array(shape, path)}

    def _reference(self, name: str, shape: Shape) -> dict[str, Any]:
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name] = self.written(shape, PATHS.get(name, name), as_reference=False)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, shape: Shape, path: str) -> dict[str, Any]:
        if shape.fields is not None:
            inner = {key: self.written(child, f"{path}.{key}".lstrip(".")) for key, child in shape.fields.items()}
            if extended := EXTENDED.get(id(shape)):
                inner[ownkeys.KEY] = self.written(extended, "")
            own = {"patternProperties": {"^x-": {}}} if shape.is_open else {}
            return {"properties": inner, **own, "additionalProperties": False}
        if shape.values is None:
            return {}
        values = self.written(shape.values, path)
        if shape.keys is None:
            return {"additionalProperties": values}
        return {"patternProperties": {shape.keys.pattern: values}, "additionalProperties": False}

    def _array(self, shape: Shape, path: str) -> dict[str, Any]:
        return {} if shape.items is None else {"items": self.written(shape.items, path)}


PATHS = {"service": "services", "network": "networks", "volume": "volumes", "secret": "secrets", "config": "configs"}
"""Definition -> what keys in it are called. Others are used in several places, or have no remarks."""
PATHS |= {"build": "services.build", "deploy": "services.deploy", "mount": "services.volumes"}
PATHS |= {"update": "services.deploy.update_config"}


def _is_remarkable(path: str) -> bool:
    return path in REFUSED or path in WITHOUT_EFFECT


def _remark(path: str) -> dict[str, Any]:
    if path in REFUSED:
        return {"description": f"refused by orch: {REFUSED[path]}", "deprecated": True}
    if path in WITHOUT_EFFECT:
        return {"description": f"without effect: {WITHOUT_EFFECT[path]}"}
    return {}


def _scalars(shape: Shape) -> dict[str, Any]:
    kinds = {TYPES.get(kind, kind) for kind in shape.kinds} | ({"string"} if shape.cast else set())
    bounds = {"minimum": shape.minimum, "maximum": shape.maximum}
    found: dict[str, Any] = {"type": _one_or_several(kinds), **{k: v for k, v in bounds.items() if v is not None}}
    if limits := list(_limits(shape)):
        others = [{"type": _one_or_several(kinds - {"string"})}] if kinds != {"string"} else []
        found["anyOf"] = [*limits, {"type": "string", "pattern": WITH_A_VARIABLE}, *others]
    return found


def _limits(shape: Shape) -> Iterator[dict[str, Any]]:
    if shape.choices:
        yield {"enum": list(shape.choices)}
    if shape.pattern:
        yield {"type": "string", "pattern": shape.pattern.pattern}


def _one_or_several(kinds: set[str]) -> str | list[str]:
    found = [kind for kind in ORDER if kind in kinds and not (kind == "integer" and "number" in kinds)]
    return found[0] if len(found) == 1 else found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
