"""The canonical project as YAML that loads again to the same project."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

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


def _loadable(value: Any) -> Any:
    """Keys are never interpolated, so their `$` stays single."""
    if isinstance(value, Mapping):
        return {key.replace("$$", "$"): _loadable(entry) for key, entry in value.items()}
    return [_loadable(entry) for entry in value] if isinstance(value, list) else value


def to_yaml(project: Mapping[str, Any]) -> str:
    """`project`, as `Read.document` gives it, in YAML; loading the text gives the same project.

    Keys keep their order, texts such as `1e3`, `08`, `on` and `null` are quoted.
    """
    text: str = yaml.dump(
        _loadable(project), Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=2**20
    )
    return text
