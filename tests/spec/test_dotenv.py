"""Env files: `.env`, `--env-file`, `env_file`."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import BadValue
from orchestrator.spec import dotenv

OUTSIDE = {"P": "process"}


def _parse(text: str) -> dict[str, str]:
    return dotenv.parse(text.encode(), "x.env", OUTSIDE.get, lambda _text: None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\nB: 2\nexport C=3\n", {"A": "1", "B": "2", "C": "3"}),
        ("A = 1 # c\nB=1# c\nC=#c\nD= #c", {"A": "1", "B": "1# c", "C": "#c", "D": "#c"}),
        ('A="a\nb"\nB="\\n\\t\\"\\\\"', {"A": "a\nb", "B": '\n\t"\\'}),
        ("A='$P\\n'\nB='it\\'s'", {"A": "$P\\n", "B": "it's"}),
        ('A=x\nB=$A-${A}\nC="$A"\nD=$$A', {"A": "x", "B": "x-x", "C": "x", "D": "$A"}),
        ("P=file\nA=$P", {"P": "file", "A": "process"}),
        ("P\nQ\nA=1", {"P": "process", "A": "1"}),
        ("# c\n\n  A.b-c=1\r\n", {"A.b-c": "1"}),
        ('A="x" # c\nB=2', {"A": "x", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("\ufeffA=1", {"A": "1"}),
    ],
)
def test_a_line_gives_its_variable(text: str, found: dict[str, str]) -> None:
    assert _parse(text) == found


@pytest.mark.parametrize(
    ("text", "line"), [("A=1\nB C=2", 2), ('A=1\n\nB="x', 3), ("A!=1", 1), ("A='x\n", 1), ("A=1\nB=${", 2)]
)
def test_a_bad_line_is_named(text: str, line: int) -> None:
    with pytest.raises(BadValue) as caught:
        _parse(text)

    assert caught.value.where == f"x.env:{line}"


def test_raw_lines_are_taken_as_they_are() -> None:
    found = dotenv.parse_raw(b"A='x' # $P\nP\n# c\n", "x.env", OUTSIDE.get)

    assert found == {"A": "'x' # $P", "P": "process"}


def test_env_files_end_in_the_environment_and_the_service_wins(folder: Any) -> None:
    folder.write(
        "services:\n  a:\n    image: i\n    env_file:\n    - a.env\n    - {path: b.env, format: raw}\n"
        "    - {path: no.env, required: false}\n    environment: {C: own, D: }\n",
        a_env="A=1\nB=${A}${C}${OUT}\nC=file\nD=file\n",
        b_env="A='2'\n",
    )

    shown = folder.compose(env={"OUT": "!"})["services"]["a"]
    assert shown["environment"] == {"A": "'2'", "B": "1own!", "C": "own", "D": None}
    assert "env_file" not in shown


def test_a_missing_env_file_says_where_it_is_wanted(folder: Any) -> None:
    folder.write("services:\n  a:\n    image: i\n    env_file: no.env\n")

    assert folder.refuse() == (
        'compose.yaml:4:5: can\'t read "no.env"\n  why: No such file or directory\n'
        "  fix: make the file, or set `required: false`"
    )
