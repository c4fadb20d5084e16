"""Plain values that remember where they stand: what every phase of the room takes and gives.

A mapping is a `Map` (a dict), a sequence a `Seq` (a list); both carry the places of their entries, so that merging,
extending and including keep them without knowing. Scalars are str, int, float, bool, None or `Timestamp`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class At(NamedTuple):
    """A place in a file. `file` is as shown to people."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


NOWHERE = At("", 0, 0)


class Map(dict[str, Any]):
    """A mapping; `places[key]` is where the key stands."""

    __slots__ = ("at", "places")

    def __init__(self, at: At = NOWHERE, places: dict[str, At] | None = None) -> None:
        super().__init__()
        self.at = at
        self.places: dict[str, At] = {} if places is None else places

    def put(self, key: str, value: Any, at: At | None = None) -> None:
        """Set `key`; it stands at `at`, or where it stood before."""
        self[key] = value
        if at is not None:
            self.places[key] = at

    def place(self, key: str) -> At:
        """Where `key` stands, or else the mapping."""
        return self.places.get(key, self.at)


class Seq(list[Any]):
    """A sequence; `places[i]` is where item i stands."""

    __slots__ = ("at", "places")

    def __init__(self, at: At = NOWHERE) -> None:
        super().__init__()
        self.at = at
        self.places: list[At] = []

    def push(self, value: Any, at: At) -> None:
        """Append `value`, which stands at `at`."""
        self.append(value)
        self.places.append(at)

    def place(self, index: int) -> At:
        """Where the item stands, or else the sequence."""
        return self.places[index] if index < len(self.places) else self.at

    def entries(self) -> Iterable[tuple[Any, At]]:
        """Each item with its place."""
        return zip(self, self.places, strict=True)


class Broken:
    """In place of a value that can't be known, for the text is wrong there; `interpolate` takes it out."""

    __slots__ = ()


BROKEN = Broken()


class Timestamp(NamedTuple):
    """A YAML timestamp: as Go prints it in a text (`go`) and in JSON (`json`)."""

    go: str
    json: str


class Reset(NamedTuple):
    """`!reset`: what earlier files said here is taken back."""

    at: At


class Override(NamedTuple):
    """`!override`: what earlier files said here is replaced, not merged."""

    value: Any


def kind(value: Any) -> str:
    """What JSON Schema calls the type of `value`."""
    return _KINDS.get(type(value), "null")


_KINDS = {
    Map: "object",
    Seq: "array",
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    Timestamp: "timestamp",
}


def clone(value: Any) -> Any:
    """A copy that shares nothing that can change."""
    if isinstance(value, Map):
        copy = Map(value.at, dict(value.places))
        for key, entry in value.items():
            copy[key] = clone(entry)
        return copy
    if isinstance(value, Seq):
        items = Seq(value.at)
        for entry, at in value.entries():
            items.push(clone(entry), at)
        return items
    return value


def size(value: Any) -> int:
    """How many values stand in `value`, itself included."""
    if isinstance(value, dict):
        return 1 + sum(map(size, value.values()))
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


def plain(value: Any) -> Any:
    """The same as dicts and lists, places forgotten; a timestamp as JSON prints it."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value.json if isinstance(value, Timestamp) else value
