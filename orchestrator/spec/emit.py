"""The canonical project as YAML that loads again to the same project."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from yaml.events import (
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from orchestrator.spec import scalars

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_YAML_1_1_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "="))
"""Texts that other YAML readers take for something else."""


class _Dumper(_BASE):  # type: ignore[misc] # libyaml's dumper where it is built, PyYAML's own elsewhere
    def ignore_aliases(self, _data: Any) -> bool:
        """Repeated values are written out."""
        return True


def _text(dumper: Any, value: str) -> Any:
    """Quoted wherever a reader of YAML 1.1, 1.2 or Compose's mix would see no text."""
    is_plain = isinstance(scalars.plain_scalar(value), str) and value.lower() not in _YAML_1_1_WORDS
    style = "|" if "\n" in value and _fits_block(value) else None if is_plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _fits_block(value: str) -> bool:
    """Blocks keep lines as they are, unless blanks or control characters stand at an end of one."""
    return value.isprintable() or all(
        line.isprintable() and line == line.rstrip() and "\t" not in line for line in value.split("\n")
    )


_Dumper.add_representer(str, _text)


def to_yaml(project: Mapping[str, Any]) -> str:
    """`project`, as `Read.document` gives it, in YAML; loading the text gives the same project.

    Keys keep their order, texts such as `1e3`, `08`, `on` and `null` are quoted. Values go to the writer one by one:
    the tree of nodes that `yaml.dump` makes first takes eight times the memory of the project.
    """
    stream = io.StringIO()
    yaml.emit(_events(project), stream, Dumper=_Dumper, allow_unicode=True, width=2**20)
    return stream.getvalue()


def _events(project: Mapping[str, Any]) -> Iterator[Event]:
    yield StreamStartEvent()
    yield DocumentStartEvent(explicit=False)
    yield from _Writer().events(project)
    yield DocumentEndEvent(explicit=False)
    yield StreamEndEvent()


class _Writer:
    """Values as events, scalars as the dumper represents them."""

    def __init__(self) -> None:
        self._dumper: Any = _Dumper(io.StringIO())

    def events(self, value: Any) -> Iterator[Event]:
        if isinstance(value, Mapping):
            yield MappingStartEvent(None, None, True, flow_style=False)
            for key, entry in value.items():
                yield self._scalar(key.replace("$$", "$"))  # keys are never interpolated, so their `$` stays single
                yield from self._entry(entry)
            yield MappingEndEvent()
        else:
            assert isinstance(value, list), "a project holds mappings, lists and scalars"
            yield SequenceStartEvent(None, None, True, flow_style=False)
            for entry in value:
                yield from self._entry(entry)
            yield SequenceEndEvent()

    def _entry(self, value: Any) -> Iterable[Event]:
        return self.events(value) if isinstance(value, Mapping | list) else (self._scalar(value),)

    def _scalar(self, value: Any) -> Event:
        node = self._dumper.represent_data(value)
        implicit = tuple(
            self._dumper.resolve(yaml.ScalarNode, node.value, (is_plain, not is_plain)) == node.tag
            for is_plain in (True, False)
        )
        return ScalarEvent(None, node.tag, implicit, node.value, style=node.style)
