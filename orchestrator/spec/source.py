"""Text -> documents: YAML as Compose reads it, every value with its file:line:column.

libyaml gives events, this module the values: duplicate keys and keys that are no strings are refused, anchors may be
set again, `<<` merges, aliases and depth have a budget, `!reset` and `!override` are kept for `merge`.
A mistake that leaves the rest of the file readable does not end the reading.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestrator.errors import BadYaml, SpecError
from orchestrator.spec import scalars
from orchestrator.spec.findings import MAX_FINDINGS, raise_all
from orchestrator.spec.tree import BROKEN, At, Broken, Map, Override, Reset, Seq

MAX_DEPTH = 100
MAX_VALUES = 200_000
"""Values in one file, those that aliases stand for included: ten times the largest real one, too few for a bomb."""

_TAGS = "tag:yaml.org,2002:"
_TAGGED: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(content: bytes, file: str) -> list[Any]:
    """Each YAML document in `content`, in order; none for a file of comments.

    file: its name as people shall see it.
    Raises BadYaml with the place, or all of them as SeveralErrors.
    """
    errors: list[SpecError] = []
    found = readable(content, file, errors)
    raise_all(errors)
    return found or []


def readable(content: bytes, file: str, errors: list[SpecError]) -> list[Any] | None:
    """The same with all that is wrong in `errors` and BROKEN in place of its value; None if no further can be read."""
    composer = _Composer(file, yaml.parse(content, Loader=_LOADER), errors)
    try:
        return composer.documents()
    except BadYaml as error:
        errors.append(error)
    except yaml.MarkedYAMLError as error:
        errors.append(_bad_yaml(content, file, error))
    except (yaml.YAMLError, UnicodeError) as error:
        errors.append(BadYaml("the text is no YAML", where=file, why=" ".join(str(error).split())))
    return None


def _bad_yaml(content: bytes, file: str, error: Any) -> BadYaml:
    mark = error.problem_mark or error.context_mark
    place = file if mark is None else f"{file}:{mark.line + 1}:{mark.column + 1}"
    told = " ".join(str(part) for part in (error.context, error.problem) if part)
    character = _character(content, mark) if mark else ""
    for words, is_meant, why, fix in _REASONS:
        if words in told and (not is_meant or character in is_meant):
            return BadYaml("the text is no YAML", where=place, why=why.format(character), fix=fix)
    return BadYaml("the text is no YAML", where=place, why=told, fix="mind indentation, colons and quotes")


_REASONS = (
    ("cannot start any token", "\t", "a tab can't indent", "use blanks"),
    ("cannot start any token", "@`%", 'a text can\'t begin with "{}"', "put it in quotes"),
    ("cannot start any token", "", '"{}" can\'t begin a text', "put it in quotes"),
    ("mapping values are not allowed", "", 'a second ": " in a line, or a line too far to the right',
     "put a text with a colon in quotes, or mind the indentation"),
    ("did not find expected key", "", "the line is not as far to the right as its neighbours, or a key has no value",
     "begin the keys of a mapping in one column"),
    ("expected '-' indicator", "", "a line of a list begins without a dash, or not in its column",
     'begin each entry with "- " in one column'),
    ("could not find expected ':'", "", "a line that is no key with a value", 'write "key: value"'),
    ("unexpected end of stream", "", "a quote or a bracket has no end", "close it"),
    ("maximum nesting depth", "", f"nested deeper than {MAX_DEPTH} levels", "nest it less"),
    ("expected ',' or", "", "a bracket has no end, or a comma is missing", "close it, or put a comma between entries"),
)  # fmt: skip
"""(libyaml's words, the characters at the place or "" for any, why, fix); the first that fits counts."""


def _character(content: bytes, mark: Any) -> str:
    lines = content.decode("utf-8", "replace").split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]


class _Anchor(NamedTuple):
    value: Any
    size: int
    height: int


class _Composer:
    """Builds values from events; one per file."""

    def __init__(self, file: str, events: Iterator[Event], errors: list[SpecError]) -> None:
        self._file, self._errors = file, errors
        self._next: Callable[[], Event] = events.__next__
        self._events = events
        self._anchors: dict[str, _Anchor | None] = {}
        self._size = 0
        self._deepest = 0

    def documents(self) -> list[Any]:
        found = []
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._anchors.clear()
                self._check_version(event)
                found.append(self._node(self._next(), 0))
        return found

    def _check_version(self, event: Any) -> None:
        """Docker Compose reads a file that calls itself YAML 1.1, or nothing. Source: go-yaml."""
        if event.version not in (None, (1, 1)):
            what = f"the file says that it is YAML {'.'.join(map(str, event.version))}"
            why = "Docker Compose refuses every version but 1.1, also where the text reads the same"
            raise self._fail(event, what, why, "remove the line that begins with %YAML")

    def _at(self, event: Any) -> At:
        mark = event.start_mark
        return At(self._file, mark.line + 1, mark.column + 1)

    def _fail(self, event: Event, what: str, why: str = "", fix: str = "") -> BadYaml:
        return BadYaml(what, where=str(self._at(event)), why=why, fix=fix)

    def _broken(self, event: Event, what: str, why: str = "", fix: str = "") -> Broken:
        """Note a mistake that the rest of the file can be read in spite of."""
        error = self._fail(event, what, why, fix)
        if len(self._errors) >= MAX_FINDINGS:
            raise error
        self._errors.append(error)
        return BROKEN

    def _node(self, event: Event, depth: int) -> Any:
        kind = type(event)
        self._size += 1
        if kind is AliasEvent:
            return self._alias(event, depth)
        self._deepest = max(self._deepest, depth)
        if self._size > MAX_VALUES:
            raise self._fail(event, f"the file holds more than {MAX_VALUES} values", fix="split it into several files")
        if depth > MAX_DEPTH:
            raise self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        anchor: str | None = event.anchor  # type: ignore[attr-defined]
        if not anchor:
            return self._value(event, kind, depth)
        return self._anchored(event, kind, depth, anchor)

    def _anchored(self, event: Event, kind: type, depth: int, anchor: str) -> Any:
        size, deepest = self._size, self._deepest
        self._anchors[anchor] = None
        self._deepest = depth
        value = self._value(event, kind, depth)
        self._anchors[anchor] = _Anchor(value, self._size - size + 1, self._deepest - depth)
        self._deepest = max(deepest, self._deepest)
        return value

    def _alias(self, event: Event, depth: int) -> Any:
        name: str = event.anchor  # type: ignore[attr-defined]
        if name not in self._anchors:
            return self._broken(event, f'alias "*{name}" has no anchor', fix=f'write "&{name}" before it')
        anchor = self._anchors[name]
        if anchor is None:
            raise self._fail(event, f'anchor "&{name}" contains itself')
        self._size += anchor.size
        self._deepest = max(self._deepest, depth + anchor.height)
        if self._size > MAX_VALUES and anchor.size > 1:
            raise self._fail(event, f"aliases stand for more than {MAX_VALUES} values")
        if depth + anchor.height > MAX_DEPTH:
            raise self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        return anchor.value

    def _value(self, event: Event, kind: type, depth: int) -> Any:
        tag: str | None = event.tag  # type: ignore[attr-defined]
        if kind is ScalarEvent:
            value = self._scalar(event, tag)
            value = "<<" if value is scalars.MERGE else value
        elif kind is MappingStartEvent:
            value = self._mapping(event, depth)
        else:
            assert kind is SequenceStartEvent, "libyaml starts a node with one of four events"
            value = self._sequence(event, depth)
        if tag == "!reset":
            return Reset(self._at(event))
        return Override(value) if tag == "!override" else value

    def _scalar(self, event: Event, tag: str | None) -> Any:
        text: str = event.value  # type: ignore[attr-defined]
        is_plain = not event.style  # type: ignore[attr-defined]
        if tag and tag.startswith(_TAGS):
            return self._tagged(event, tag[len(_TAGS) :], text)
        if tag:
            return text
        return scalars.plain_scalar(text) if is_plain else text

    def _tagged(self, event: Event, tag: str, text: str) -> Any:
        if tag == "binary":
            try:
                return base64.b64decode(text, validate=False).decode()
            except (binascii.Error, UnicodeDecodeError):
                return self._broken(event, "!!binary holds no base64 text")
        if tag == "str":
            return text
        value = scalars.plain_scalar(text)
        wanted = _TAGGED.get(tag)
        if wanted and not isinstance(value, wanted):
            return self._broken(event, f'"{text}" is no !!{tag}')
        return float(value) if tag == "float" else value

    def _sequence(self, event: Event, depth: int) -> Seq:
        items = Seq(self._at(event))
        while type(entry := self._next()) is not SequenceEndEvent:
            at = self._at(entry)
            value = self._node(entry, depth + 1)
            if not isinstance(value, Reset):
                items.push(value.value if isinstance(value, Override) else value, at)
        return items

    def _mapping(self, event: Event, depth: int) -> Map:
        result = Map(self._at(event))
        merged: list[Any] = []
        while type(key_event := self._next()) is not MappingEndEvent:
            key = self._key(key_event)
            at = self._at(key_event)
            if key is scalars.MERGE:
                if merged:
                    self._broken(key_event, 'duplicate key "<<"', fix="list the aliases: <<: [*a, *b]")
                merged += self._merge_list(key_event, self._node(self._next(), depth + 1))
                continue
            value = self._node(self._next(), depth + 1)
            if key in result:
                what = f'duplicate key "{key}"'
                why = f"it stands at {result.places[key]} too"
                self._broken(key_event, what, why, "keep one")
                result[key] = _completed(result[key], value)
            else:
                result.put(key, value, at)
        for source in merged:
            for key, value in source.items():
                if key not in result:
                    result.put(key, value, source.place(key))
        return result

    def _merge_list(self, event: Event, value: Any) -> list[Map]:
        if value is BROKEN or (isinstance(value, Seq) and BROKEN in value):
            broken = Map()
            broken.put("<<", BROKEN)
            return [broken]
        sources = list(value) if isinstance(value, Seq) else [value]
        if not all(isinstance(source, Map) for source in sources):
            raise self._fail(event, '"<<" takes a mapping or a list of mappings')
        self._size += sum(len(source) for source in sources)
        if self._size > MAX_VALUES * 2:
            raise self._fail(event, f"aliases stand for more than {MAX_VALUES} values")
        return sources or [Map()]

    def _key(self, event: Event) -> Any:
        if type(event) is AliasEvent:
            value = self._alias(event, 0)
        elif type(event) is not ScalarEvent:
            raise self._fail(event, "a key must be a text", why="here it is a list or a mapping")
        else:
            value = self._scalar(event, event.tag)
            if event.anchor:
                self._anchors[event.anchor] = _Anchor(value, 1, 0)
        if value is not scalars.MERGE and not isinstance(value, str):
            return self._text_key(event, value)
        return value

    def _text_key(self, event: Event, value: Any) -> str:
        """The key that was meant, by an error."""
        if not isinstance(value, Map | Seq | Broken):
            what = f'the key "{scalars.text(value)}" is no text'
            self._broken(event, what, fix="put it in quotes")
            return scalars.text(value)
        if isinstance(value, Broken):
            raise self._errors.pop()
        raise self._fail(event, "a key must be a text", why="here it is an alias of something else")


def _completed(first: Any, second: Any) -> Any:
    """Of a key that stands twice the first value counts; what only the second one says may be referred to.

    A value of its own: the second one may hold an alias of the first.
    """
    if not isinstance(first, Map) or not isinstance(second, Map):
        return first
    result = Map(first.at)
    for source in (first, second):
        for key, value in source.items():
            if key not in result:
                result.put(key, value, source.place(key))
    return result
