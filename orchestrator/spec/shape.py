"""What a value of a stack file may be: the words that `schema` is written in.

A `Shape` says which JSON types a key takes, how a text is cast, what its children are, which rule merges it and turns
its short form into the long one (`Rule`), and how the canonical project prints it (`Form`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

Cast = Callable[[str], Any]


class Rule(Enum):
    """What kind of thing a value is; `merge`, `unique` and `canonical` each have a table by it."""

    PLAIN = auto()
    REPLACED = auto()
    COMMAND = auto()
    TEST = auto()
    VARIABLES = auto()
    LABELS = auto()
    WORDS = auto()
    SET = auto()
    ENV_FILES = auto()
    LABEL_FILES = auto()
    EXPOSED = auto()
    PORTS = auto()
    MOUNTS = auto()
    DEVICES = auto()
    SECRETS = auto()
    CONFIGS = auto()
    BUILD_SECRETS = auto()
    DEPENDENCIES = auto()
    ATTACHMENTS = auto()
    MODELS = auto()
    BUILD = auto()
    LOGGING = auto()
    ULIMIT = auto()
    HOSTS = auto()
    POOLS = auto()
    GPUS = auto()
    SSH = auto()
    RESOURCE = auto()
    OPTIONS = auto()
    LISTED = auto()
    OPT_OUT = auto()
    WATCH = auto()
    NAMESERVERS = auto()


class Form(Enum):
    """How the canonical project prints a value."""

    AS_IS = auto()
    TEXT = auto()
    INTEGER = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    DURATION = auto()
    BYTES = auto()
    MODE = auto()
    COUNT = auto()


class Shape:
    """See the module. `keep`: a zero value is printed too; `exact`: a text is never cast to what `kinds` lacks."""

    __slots__ = (
        "cast",
        "choices",
        "distinct",
        "fields",
        "form",
        "is_open",
        "items",
        "keep",
        "keys",
        "kinds",
        "maximum",
        "minimum",
        "one_of",
        "pattern",
        "required",
        "rule",
        "values",
    )

    def __init__(
        self,
        kinds: str = "",
        *,
        cast: Cast | None = None,
        form: Form = Form.AS_IS,
        rule: Rule = Rule.PLAIN,
        fields: Mapping[str, Shape] | None = None,
        required: tuple[str, ...] = (),
        one_of: tuple[str, ...] = (),
        is_open: bool = True,
        values: Shape | None = None,
        keys: str = "",
        items: Shape | None = None,
        distinct: bool = False,
        keep: bool = False,
        choices: tuple[str, ...] = (),
        pattern: str = "",
        minimum: int | None = None,
        maximum: int | None = None,
    ) -> None:
        self.kinds = frozenset(kinds.split())
        self.cast, self.form, self.rule = cast, form, rule
        self.fields, self.required, self.one_of, self.is_open = fields, required, one_of, is_open
        self.values, self.items, self.distinct, self.keep = values, items, distinct, keep
        self.keys = re.compile(keys) if keys else None
        self.pattern = re.compile(pattern) if pattern else None
        self.choices, self.minimum, self.maximum = choices, minimum, maximum

    def child(self, key: str) -> Shape:
        """The shape of what stands under `key`; `ANYTHING` where the schema doesn't say."""
        if self.fields is not None:
            return self.fields.get(key, ANYTHING)
        return self.values or ANYTHING

    def knows(self, key: str) -> bool:
        """True if `key` may stand here."""
        if self.fields is None:
            return self.keys is None or bool(self.keys.search(key))
        return key in self.fields or (self.is_open and key.startswith("x-"))


ANYTHING = Shape()
