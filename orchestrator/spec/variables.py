"""Which variables a stack's files name, and what stands for those that are not set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from orchestrator.spec.interpolate import Form, forms


class Variable(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One variable, as its last use in the files has it. The names in JSON are Docker Compose's."""

    name: str
    default_value: str = ""
    presence_value: str = ""
    required: bool = False


def variables(project: dict[str, Any]) -> dict[str, Variable]:
    """By name, in the order of names; forms that mean nothing are left out.

    project: as `as_written` gives it.
    """
    found: dict[str, Variable] = {}
    for text in _texts(project):
        for form in _all(text):
            if form.operator or form.name not in found:
                found[form.name] = _variable(form)
    return dict(sorted(found.items()))


def _all(text: str) -> Iterator[Form]:
    """The forms in `text`, and those inside of their words."""
    for form in forms(text):
        yield form
        yield from _all(form.word)


def _variable(form: Form) -> Variable:
    kind = form.operator[-1:]
    return Variable(
        name=form.name,
        default_value=form.word if kind == "-" else "",
        presence_value=form.word if kind == "+" else "",
        required=kind == "?",
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "$" in value:
            yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
