"""Does a value have the shape that the schema wants? All that is wrong is told and taken out, each with its place."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Any

from orchestrator.errors import BadValue, SpecError, UnknownKey
from orchestrator.spec.findings import Findings
from orchestrator.spec.scalars import text
from orchestrator.spec.serviceschema import CONTAINER_NAME, PULL_POLICY
from orchestrator.spec.shape import ANYTHING, Form, Shape
from orchestrator.spec.tree import At, Map, Seq, kind, plain


def check(value: Any, shape: Shape, path: str, at: At, findings: Findings) -> bool:
    """Whether `value`, which stands at `at` and is called `path`, can stay.

    What is wrong with it goes to `findings`; what is wrong inside of it is taken out.
    """
    if shape is ANYTHING:
        return True
    found = kind(value)
    if not _fits(value, found, shape.kinds):
        findings.add(_wrong_kind(value, found, shape, path, at), path, subject=path)
    elif found == "object":
        return _check_map(value, shape, path, findings)
    elif found == "array":
        _check_seq(value, shape, path, findings)
        return True
    elif wrong := _wrong_scalar(value, found, shape):
        findings.add(BadValue(f'{path}: "{text(value)}" {wrong}', where=str(at)), path, subject=path)
    else:
        return True
    return False


def _fits(value: Any, found: str, kinds: frozenset[str]) -> bool:
    if found in kinds or not kinds:
        return value == value and value not in (float("inf"), float("-inf")) if found == "number" else True
    if found == "integer":
        return "number" in kinds
    return found == "number" and "integer" in kinds and float(value).is_integer()


_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "null": "nothing",
    "timestamp": "a timestamp",
}
_ORDER = ("string", "boolean", "integer", "number", "array", "object")


def _wrong_kind(value: Any, found: str, shape: Shape, path: str, at: At) -> BadValue:
    allowed = [_WORDS[k] for k in _ORDER if k in shape.kinds and not (k == "integer" and "number" in shape.kinds)]
    offered = f'"{text(value)}", {_WORDS[found]}' if found in ("string", "integer", "number", "boolean") else ""
    what = f"{path} must be {' or '.join(allowed)}, not {offered or _WORDS[found]}"
    return BadValue(what, where=str(at), fix=_fix(value, found, shape, path))


def _fix(value: Any, found: str, shape: Shape, path: str) -> str:
    """What to write instead of a value of the wrong kind."""
    if found == "null":
        return f"give it a value, or remove {path.rpartition('.')[2]}"
    if shape.form is Form.DURATION:
        return f"write a unit, {text(value)}s or {text(value)}m" if found == "integer" else ""
    if found == "object" and "string" in shape.kinds and path.endswith("]"):
        pair = next(iter(value.items()), ("KEY", "value"))
        return f"write {pair[0]}={text(pair[1])}, with = and no blank" if kind(pair[1]) in _SCALARS else ""
    if found not in _SCALARS:
        return ""
    if "string" in shape.kinds:
        return "put it in quotes"
    if "array" in shape.kinds:
        dash = isinstance(value, str) and value.startswith("-")
        return 'put a blank after "-"' if dash else f"write it as a list: [{json.dumps(plain(value))}]"
    return ""


_SCALARS = frozenset(("string", "integer", "number", "boolean"))


def _wrong_scalar(value: Any, found: str, shape: Shape) -> str:
    if found == "string":
        if shape.choices and value not in shape.choices:
            return f"is not one of {', '.join(shape.choices)}{_near(value, shape.choices)}"
        if shape.pattern and not shape.pattern.search(value):
            return f"is not {_PATTERNS.get(shape.pattern.pattern) or f'of the form {shape.pattern.pattern}'}"
        return ""
    if shape.minimum is not None and value < shape.minimum:
        return f"is less than {shape.minimum}"
    if shape.maximum is not None and value > shape.maximum:
        return f"is more than {shape.maximum}"
    return ""


_PATTERNS = {
    CONTAINER_NAME: "a name of two or more letters, digits, dots, hyphens and underscores",
    PULL_POLICY: "one of always, never, build, missing, if_not_present, refresh, daily, weekly, every_12h",
}
"""Patterns in words."""


def _near(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f', did you mean "{close[0]}"?' if close else ""


def _check_map(value: Map, shape: Shape, path: str, findings: Findings) -> bool:
    wrong = []
    for key, entry in value.items():
        at, inner = value.place(key), f"{path}.{key}" if path else key
        if not shape.knows(key):
            told = UnknownKey(key, where=str(at)) if findings.is_full else _unknown(key, entry, shape, path, at)
            findings.add(told, inner, subject=path)
            wrong.append(key)
        elif shape.fields is not None and key.startswith("x-"):
            continue
        elif not check(entry, shape.child(key), inner, at, findings):
            wrong.append(key)
    for key in wrong:
        del value[key]
    return _is_complete(value, shape, path, findings)


def _is_complete(value: Map, shape: Shape, path: str, findings: Findings) -> bool:
    """Whether all that is required is there; what was taken out is not missed, but the rest is of no use."""
    missing = [key for key in shape.required if key not in value]
    for key in missing:
        if not findings.is_hole(f"{path}.{key}"):
            findings.add(BadValue(f'{path} lacks "{key}"', where=str(value.at), fix=f'add "{key}"'), path, subject=path)
    if not shape.one_of or sum(key in value for key in shape.one_of) == 1:
        return not missing
    if findings.is_whole(path):
        what = f"{path} needs exactly one of {', '.join(shape.one_of)}"
        findings.add(BadValue(what, where=str(value.at)), path, subject=path)
    return False


def _unknown(key: str, value: Any, shape: Shape, path: str, at: At) -> SpecError:
    place = path or "a stack file"
    if shape.fields is None:
        return BadValue(
            f'"{key}" can\'t be a name in {place}', where=str(at), fix="use letters, digits, dot, hyphen and underscore"
        )
    return UnknownKey(f'{place} has no key "{key}"', where=str(at), fix=_known(key, value, shape, place))


_MANY = 20
"""Keys that nobody wants to read in a message."""


def _known(key: str, value: Any, shape: Shape, place: str) -> str:
    """The key that was meant, or where it belongs, or all keys if they are few."""
    fields = shape.fields or {}
    if not place.startswith("services.") and isinstance(value, Map) and ("image" in value or "build" in value):
        return f'a service stands below "services:": indent "{key}" there'
    if inner := next((f"{name}.{key}" for name, child in fields.items() if key in (child.fields or {})), ""):
        return f'it belongs to "{inner.split(".")[0]}": {inner}'
    if close := difflib.get_close_matches(key, list(fields), n=1, cutoff=0.6):
        return f'did you mean "{close[0]}"?'
    if len(fields) > _MANY:
        return f"remove it, or name it x-{key} for a note of your own"
    return f"{place} knows {', '.join(sorted(fields))}"


def _check_seq(value: Seq, shape: Shape, path: str, findings: Findings) -> None:
    items = shape.items or ANYTHING
    wrong = {
        index
        for index, (entry, at) in enumerate(value.entries())
        if not check(entry, items, f"{path}[{index}]", at, findings)
    }
    if shape.distinct:
        wrong |= _repeats(value, path, findings)
    if wrong:
        value.places[:] = [at for index, at in enumerate(value.places) if index not in wrong]
        value[:] = [entry for index, entry in enumerate(value) if index not in wrong]


def _repeats(value: Seq, path: str, findings: Findings) -> set[int]:
    """The indexes of entries that stand there before."""
    seen, found = set[str](), set[int]()
    for index, (entry, at) in enumerate(value.entries()):
        shown = entry if isinstance(entry, str) else "\0" + json.dumps(plain(entry), sort_keys=True)
        if shown in seen:
            findings.add(BadValue(f"{path} lists the same entry twice", where=str(at), fix="remove one"), subject=path)
            found.add(index)
        seen.add(shown)
    return found
