"""What the tables of the schema are made of: texts, flags, sizes, lists, records, and what many keys share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.spec.interpolate import as_boolean, as_integer, as_number
from orchestrator.spec.shape import Form, Rule, Shape

NAMES = r"^[a-zA-Z0-9._-]+$"


def text(**more: Any) -> Shape:
    return Shape("string", form=Form.TEXT, **more)


def integer(kinds: str = "integer string", **more: Any) -> Shape:
    return Shape(kinds, cast=as_integer, form=Form.INTEGER, **more)


def number(**more: Any) -> Shape:
    return Shape("number string", cast=as_number, form=Form.NUMBER, **more)


def boolean(**more: Any) -> Shape:
    return Shape("boolean string", cast=as_boolean, form=Form.BOOLEAN, **more)


def size(kinds: str = "number string") -> Shape:
    return Shape(kinds, form=Form.BYTES)


def strings(rule: Rule = Rule.PLAIN, *, distinct: bool = True) -> Shape:
    return Shape("array", items=TEXT, distinct=distinct, rule=rule)


def record(
    fields: Mapping[str, Shape], *, required: tuple[str, ...] = (), nullable: bool = False, **more: Any
) -> Shape:
    return Shape("object null" if nullable else "object", fields=fields, required=required, **more)


def either(shape: Shape, kinds: str) -> Shape:
    """`shape`, or one of the scalar `kinds` as its short form."""
    shape.kinds = shape.kinds | frozenset(kinds.split())
    return shape


def list_of(items: Shape, rule: Rule = Rule.PLAIN, *, distinct: bool = False) -> Shape:
    return Shape("array", items=items, rule=rule, distinct=distinct)


TEXT = text()
FLAG = boolean()
SCALAR = Shape("string number boolean null timestamp")
OPTION = Shape("string number timestamp")
DURATION = Shape("string", form=Form.DURATION, keep=True)
SPAN = Shape("string", form=Form.DURATION)
WORDS = Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS)
LABELS = Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.LABELS)
VARIABLES = Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.VARIABLES)
OPTIONS = Shape("object", values=OPTION, rule=Rule.OPTIONS)
TEXTS = Shape("object", values=Shape("string timestamp"), rule=Rule.OPTIONS)
COMMAND = Shape("null string array", items=TEXT, rule=Rule.COMMAND, keep=True)
HOSTS = Shape(
    "object array", values=Shape("string array", items=TEXT), keys=".", items=TEXT, distinct=True, rule=Rule.HOSTS
)
ULIMITS = Shape(
    "object",
    values=either(
        record(
            {"hard": integer(), "soft": integer()},
            required=("soft", "hard"), rule=Rule.ULIMIT, cast=as_integer,
        ),
        "integer string",
    ),
)  # fmt: skip


def grants(rule: Rule) -> Shape:
    grant = record(
        {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": Shape("number string", form=Form.MODE,
         keep=True)}
    )  # fmt: skip
    return list_of(either(grant, "string"), rule)
