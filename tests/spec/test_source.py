"""YAML as Compose reads it: scalars, keys, anchors, tags, budgets."""

from __future__ import annotations

import math

import pytest

from orchestrator.errors import BadYaml
from orchestrator.spec import scalars, source
from orchestrator.spec.tree import At, Map, Override, Reset, Timestamp, plain


def _read(text: str) -> Map:
    (document,) = source.documents(text.encode(), "stack.yml")
    assert isinstance(document, Map)
    return document


def _refusal(text: str) -> str:
    with pytest.raises(BadYaml) as caught:
        source.documents(text.encode(), "stack.yml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("on", "on"),
        ("no", "no"),
        ("True", True),
        ("tRue", "tRue"),
        ("~", None),
        ("", None),
        ("0755", 493),
        ("0o755", 493),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("089", 89.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.2.3", "1.2.3"),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("0x" + "f" * 400, math.inf),
        ("2001-12-14", Timestamp("2001-12-14 00:00:00 +0000 UTC", "2001-12-14T00:00:00Z")),
        ("2024-13-01", "2024-13-01"),
        ("2001-12-14 21:59:43 -5", "2001-12-14 21:59:43 -5"),
    ],
)
def test_a_plain_scalar_is_what_compose_takes_it_for(text: str, value: object) -> None:
    found = scalars.plain_scalar(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (2.5, "2.5"), (1000.0, "1000"), (1e6, "1e+06"), (123456789.0, "1.23456789e+08"), (1e21, "1e+21"),
     (1e-7, "1e-07"), (0.0001, "0.0001"), (-0.0, "-0"), (True, "true"), (None, ""), (83, "83")],
)  # fmt: skip
def test_a_number_is_written_as_go_writes_it(value: object, text: str) -> None:
    assert scalars.text(value) == text


def test_every_entry_knows_its_place() -> None:
    tree = _read("services:\n  web: {image: x, ports: [1, 2]}\n")

    web = tree["services"]["web"]
    assert tree["services"].place("web") == At("stack.yml", 2, 3)
    assert web.place("ports") == At("stack.yml", 2, 19)
    assert web["ports"].place(1) == At("stack.yml", 2, 30)


def test_a_duplicate_key_names_both_places() -> None:
    assert _refusal("a:\n  b: 1\n  b: 2\n").startswith(
        'stack.yml:3:3: duplicate key "b"\n  why: it stands at stack.yml:2:3 too'
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("1: x\n", "stack.yml:1:1"),
        ("a: {true: x}\n", "stack.yml:1:5"),
        ("a: *nobody\n", "stack.yml:1:4"),
        ("a: &x [*x]\n", "stack.yml:1:8"),
        ("a: {<<: 5}\n", "stack.yml:1:5"),
        ("a: &x {b: 1}\nc: {<<: *x, <<: *x}\n", "stack.yml:2:13"),
        ("a: [1, 2\nb: 3\n", "stack.yml:2:2"),
        ("a:\n\tb: 1\n", "stack.yml:2:1"),
        ("? [a]\n: b\n", "stack.yml:1:3"),
    ],
)
def test_what_compose_refuses_is_refused_with_its_place(text: str, where: str) -> None:
    assert _refusal(text).startswith(where + ": ")


def test_merge_keys_give_way_to_explicit_ones_and_the_first_wins() -> None:
    tree = _read("x: &x {a: 1, b: 1}\ny: &y {a: 2, c: 2}\nz: {b: 3, <<: [*x, *y]}\n")

    assert plain(tree["z"]) == {"b": 3, "a": 1, "c": 2}
    assert tree["z"].place("c") == At("stack.yml", 2, 14)


def test_an_anchor_may_be_set_again() -> None:
    assert plain(_read("a: &x 1\nb: &x 2\nc: *x\n")) == {"a": 1, "b": 2, "c": 2}


def test_tags_of_merging_are_kept_and_unknown_ones_make_texts() -> None:
    tree = _read("a: !reset [1]\nb: !override [1]\nc: !mine 5\nd: !!str 5\n")

    assert isinstance(tree["a"], Reset)
    assert isinstance(tree["b"], Override)
    assert (tree["c"], tree["d"]) == ("5", "5")


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]

    assert "aliases stand for more than 200000 values" in _refusal("\n".join(lines))


def test_depth_has_a_limit_through_aliases_too() -> None:
    chain = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1}}}\n" for i in range(1, 200))

    assert "nested deeper than 100 levels" in _refusal(chain)
    assert "nested deeper than 100 levels" in _refusal("a: " + "[" * 10_000 + "]" * 10_000)


def test_other_encodings_and_several_documents_are_read() -> None:
    assert plain(source.documents("a: é\n".encode("utf-16"), "f")[0]) == {"a": "é"}
    assert [plain(d) for d in source.documents(b"\xef\xbb\xbfa: 1\r\n---\r\nb: 2\r\n", "f")] == [{"a": 1}, {"b": 2}]
    assert source.documents(b"# nothing\n", "f") == []
