"""Variables in values: every form, what is refused, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import BadValue, UndefinedVariable
from orchestrator.spec.interpolate import substitute

ENV = {"A": "a", "E": "", "D": "$A"}


def _substitute(text: str) -> tuple[str, list[str]]:
    warnings: list[str] = []
    return substitute(text, ENV.get, warnings.append, "stack.yml:1:1"), warnings


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$A-${A}", "a-a"),
        ("$$A $$$A", "$A $a"),
        ("$1 foo$ $ x", "$1 foo$ $ x"),
        ("${X:-d}${X-d}${E:-d}${E-d}", "ddd"),
        ("${A:+r}${A+r}${E:+r}${E+r}${X+r}", "rrr"),
        ("${X:-${E:-${A}}}", "a"),
        ("${X:-{json}}", "{json}"),
        ("${X:-a:-b}", "a:-b"),
        ("${X:-$$A}", "$A"),
        ("${A:-${NO:?never asked}}", "a"),
        ("${D}", "$A"),
        ("${X:-http://h:1/p?q}", "http://h:1/p?q"),
    ],
)
def test_a_form_gives_its_value(text: str, result: str) -> None:
    assert _substitute(text) == (result, [])


def test_an_unset_variable_is_blank_and_said() -> None:
    assert _substitute("[$X]") == ("[]", ['the variable "X" is not set, a blank takes its place'])


@pytest.mark.parametrize("text", ["${", "${}", "${1X}", "${A B}", "${a.b}", "${X!y}", "${X:y}", "${X:-\n}", "${A"])
def test_a_broken_form_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="holds no valid variable"):
        _substitute(text)


@pytest.mark.parametrize(("text", "why"), [("${X?}", ""), ("${E:?set $A}", "set a"), ("${X:?${X:-m}}", "m")])
def test_a_required_variable_is_asked_for(text: str, why: str) -> None:
    with pytest.raises(UndefinedVariable) as caught:
        _substitute(text)

    assert caught.value.why == why


def test_values_are_cast_where_the_schema_wants_it(service: Callable[..., dict[str, Any]]) -> None:
    shown = service('privileged: "${P:-yes}"\npids_limit: "${N:-7}"\ncpus: "0.5"\nhostname: "${N:-7}"')

    assert (shown["privileged"], shown["pids_limit"], shown["cpus"], shown["hostname"]) == (True, 7, 0.5, "7")


def test_a_cast_that_fails_says_where_and_from_what(folder: Any) -> None:
    folder.write('services:\n  a:\n    image: i\n    scale: "${N:-many}"\n')

    assert (
        folder.refuse() == 'compose.yaml:4:5: services.a.scale: "many" is no integer\n  why: "${N:-many}" gives "many"'
    )
