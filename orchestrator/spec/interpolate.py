"""Variables: `$NAME`, `${NAME}` and its operators in values, never in keys.

`substitute` does one text, `interpolated` a tree: each text is substituted, then cast where the schema wants a number
or a boolean, so that `privileged: "${P:-no}"` is a boolean. Source: Compose Specification, "Interpolation".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from orchestrator.errors import BadValue, SpecError, UndefinedVariable
from orchestrator.spec.findings import Findings
from orchestrator.spec.shape import ANYTHING, Shape
from orchestrator.spec.tree import BROKEN, NOWHERE, At, Broken, Map, Override, Seq

Lookup = Callable[[str], str | None]
Warn = Callable[[str], None]

_NAME = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_OPERATOR = re.compile(r":?[-+?]")


class _Invalid(Exception):
    """A brace form that means nothing."""


class _Required(Exception):
    """A `?` whose variable is missing; the arguments are its name and message."""


def substitute(text: str, lookup: Lookup, warn: Warn, where: At | str = "") -> str:
    """`text` with its variables replaced; an unset one is blank, and `warn` is told.

    lookup: the value of a variable, or None if it is not set; never expanded again.
    Raises UndefinedVariable for `${NAME:?}`, BadValue for a form that means nothing.
    """
    if "$" not in text:
        return text
    try:
        return _expand(text, lookup, warn)
    except _Invalid as error:
        raise BadValue(
            f'"{_shortened(text)}" holds no valid variable',
            where=str(where),
            why=f'"{_shortened(str(error))}" means nothing',
            fix='write "$$" for a literal "$"',
        ) from None
    except RecursionError:
        what = f'"{_shortened(text)}" nests too many variables'
        raise BadValue(what, where=str(where), fix="give the inner ones names of their own") from None
    except _Required as error:
        name, message = error.args
        raise UndefinedVariable(
            f'variable "{name}" is required and not set',
            where=str(where),
            why=message,
            fix=f"set {name} in the environment or in .env",
        ) from None


class Form(NamedTuple):
    """One use of a variable: `${NAME:-word}`; a bare one has neither operator nor word."""

    name: str
    operator: str = ""
    word: str = ""


def forms(text: str) -> Iterator[Form]:
    """The uses of variables in `text`, not those inside of words; a form that means nothing is left out."""
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        position = dollar + 1
        if text.startswith("$", position):
            position += 1
        elif text.startswith("{", position):
            try:
                end = _closing_brace(text, dollar)
                yield _form(text[dollar + 2 : end])
                position = end + 1
            except _Invalid:
                continue
        elif name := _NAME.match(text, position):
            yield Form(name.group())
            position = name.end()


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _expand(text: str, lookup: Lookup, warn: Warn) -> str:
    parts, position = [], 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        value, position = _one(text, dollar, lookup, warn)
        parts.append(value)
    parts.append(text[position:])
    return "".join(parts)


def _one(text: str, dollar: int, lookup: Lookup, warn: Warn) -> tuple[str, int]:
    """What stands for the form that begins at `dollar`, and where the rest begins."""
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following == "{":
        end = _closing_brace(text, dollar)
        return _braced(text[dollar + 2 : end], lookup, warn), end + 1
    if name := _NAME.match(text, dollar + 1):
        return _value(name.group(), lookup, warn), name.end()
    return "$", dollar + 1


def _closing_brace(text: str, dollar: int) -> int:
    """The brace that ends the form: the matching one, or the line's last."""
    line_end = text.find("\n", dollar)
    line_end = len(text) if line_end < 0 else line_end
    depth, position = 0, dollar
    while position < line_end:
        if text.startswith("${", position):
            depth, position = depth + 1, position + 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position
        position += 1
    if (last := text.rfind("}", dollar, line_end)) < 0:
        raise _Invalid(_shortened(text[dollar:]))
    return last


def _braced(body: str, lookup: Lookup, warn: Warn) -> str:
    form = _form(body)
    return _operated(form, lookup, warn) if form.operator else _value(form.name, lookup, warn)


def _form(body: str) -> Form:
    """What stands between braces."""
    name = _NAME.match(body)
    if not name:
        raise _Invalid("${" + body + "}")
    if name.end() == len(body):
        return Form(body)
    operator = _OPERATOR.match(body, name.end())
    if not operator:
        raise _Invalid("${" + body + "}")
    return Form(name.group(), operator.group(), body[operator.end() :])


def _operated(form: Form, lookup: Lookup, warn: Warn) -> str:
    name, operator, word = form
    value = lookup(name)
    is_set = bool(value) if operator[0] == ":" else value is not None
    if operator[-1] == "+":
        return _expand(word, lookup, warn) if is_set else ""
    if is_set:
        return value or ""
    word = _expand(word, lookup, warn)
    if operator[-1] == "?":
        raise _Required(name, word)
    return word


def _value(name: str, lookup: Lookup, warn: Warn) -> str:
    value = lookup(name)
    if value is None:
        warn(f'the variable "{name}" is not set, a blank takes its place')
        return ""
    return value


def interpolated(tree: Any, shape: Shape, lookup: Lookup | None, warn: Warn, findings: Findings) -> Any:
    """A copy of `tree`, shared with nothing, substituted and cast as `shape` says.

    What is wrong goes to `findings`, and is a hole in the copy.
    lookup: None leaves texts as they are written.
    """
    return _Walk(lookup, warn, findings).value(tree, shape, "", getattr(tree, "at", NOWHERE))


class _Walk:
    def __init__(self, lookup: Lookup | None, warn: Warn, findings: Findings) -> None:
        self._lookup, self._warn, self._findings = lookup, warn, findings

    def value(self, value: Any, shape: Shape, path: str, at: At) -> Any:
        """What stands for `value`, or BROKEN."""
        if isinstance(value, str):
            return self._text(value, shape, path, at)
        if isinstance(value, Map):
            return self._map(value, shape, path)
        if isinstance(value, Seq):
            return self._seq(value, shape, path)
        if isinstance(value, float) and not math.isfinite(value):
            return self._wrong(BadValue(f"{path}: {value} can't stand in a stack file", where=str(at)), path)
        if isinstance(value, Override):
            inner = self.value(value.value, shape, path, at)
            return BROKEN if inner is BROKEN else Override(inner)
        return value

    def _wrong(self, error: SpecError, path: str) -> Broken:
        self._findings.add(error, path, subject=path)
        return BROKEN

    def _map(self, value: Map, shape: Shape, path: str) -> Map:
        result = Map(value.at, dict(value.places))
        for key, entry in value.items():
            inner = f"{path}.{key}" if path else key
            new = self.value(entry, shape.child(key), inner, value.place(key))
            if new is BROKEN:
                self._findings.hole(inner)
            else:
                result[key] = new
        return result

    def _seq(self, value: Seq, shape: Shape, path: str) -> Seq:
        result, items = Seq(value.at), shape.items or ANYTHING
        for index, (entry, at) in enumerate(value.entries()):
            inner = f"{path}[{index}]"
            new = self.value(entry, items, inner, at)
            if new is BROKEN:
                self._findings.hole(inner)
            else:
                result.push(new, at)
        return result

    def _text(self, value: str, shape: Shape, path: str, at: At) -> Any:
        if self._lookup is None:
            return value
        try:
            replaced = substitute(value, self._lookup, self._warn, at) if "$" in value else value
        except SpecError as error:
            error.what = f"{path}: {error.what}"
            return self._wrong(error, path)
        if shape.cast is None:
            return replaced
        try:
            return shape.cast(replaced)
        except ValueError as error:
            why = "" if replaced == value else f'"{value}" gives "{replaced}"'
            return self._wrong(BadValue(f'{path}: "{replaced}" is {error}', where=str(at), why=why), path)


def as_boolean(text: str) -> bool:
    """Source: YAML 1.1's booleans, as Compose casts them; `1` is none."""
    word = text.lower()
    if word in ("true", "y", "yes", "on"):
        return True
    if word in ("false", "n", "no", "off"):
        return False
    raise ValueError("no boolean (true or false)")


def as_integer(text: str) -> int:
    """A decimal integer, without blanks or underscores."""
    if not re.fullmatch(r"[-+]?[0-9]{1,19}", text):
        raise ValueError("no integer")
    return int(text)


def as_number(text: str) -> float:
    """A decimal number, without blanks; underscores may stand between digits."""
    digits = re.sub(r"(?<=\d)_(?=\d)", "", text)
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", digits):
        raise ValueError("no number")
    return float(digits)
