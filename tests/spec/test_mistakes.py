"""What people get wrong, and what orch says: `mistakes.yaml`, compared to the letter.

`pytest tests/spec/test_mistakes.py --update-scenarios` rewrites what is said; review the difference as behaviour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

GOLDEN = Path(__file__).with_name("mistakes.yaml")
MISTAKES: dict[str, dict[str, Any]] = yaml.safe_load(GOLDEN.read_text())


class _Block(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Block.add_representer(str, _text)


def _said(folder: Any, mistake: dict[str, Any]) -> str:
    folder.write(mistake["file"])
    for name, text in mistake.get("beside", {}).items():
        (folder.path / name).write_text(text)
    files = ("compose.yaml", *(name for name in mistake.get("beside", {}) if name.startswith("over")))
    return str(folder.refuse(files=files)) + "\n"


@pytest.mark.parametrize("name", list(MISTAKES))
def test_a_mistake_is_told_so_that_it_can_be_mended(folder: Any, name: str, pytestconfig: pytest.Config) -> None:
    said = _said(folder, MISTAKES[name])
    if pytestconfig.getoption("--update-scenarios") and said != MISTAKES[name].get("says"):
        MISTAKES[name]["says"] = said
        GOLDEN.write_text(yaml.dump(MISTAKES, Dumper=_Block, sort_keys=False, allow_unicode=True, width=200))

    assert said == MISTAKES[name]["says"]
