"""No traceback and no hang for any input: only SpecError."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import SpecError
from orchestrator.spec import Request, load
from orchestrator.spec.schema import PROJECT
from orchestrator.spec.shape import Shape

ODD = [None, 1, -1, 0, 1.5, True, "x", "", [], {}, ["a"], {"a": "b"}, [None], {"a": None}, "1s", "1g", "80", "${X}",
       "service:a", "0", "a:b:c:d", "1e400", "\x00", "9" * 30]  # fmt: skip
TOKENS = [b"null", b"[]", b"{}", b'""', b"-1", b"!reset", b"!override [a]", b"&a ", b"*a", b"<<: *a", b"${X:?}", b"${",
          b"\t", b": ", b"- ", b"\n", b'"\\0"', b"0x" + b"f" * 400, b"9" * 5000, b"2001-12-14", b".nan", b"? ", b"[[[[",
          b"\xff", b"  ", b"service:a", b"|", b"#"]  # fmt: skip


def _value(rng: random.Random, shape: Shape) -> Any:
    """Something that mostly has the shape."""
    if rng.random() < 0.1 or not shape.kinds:
        return rng.choice(ODD)
    kind = rng.choice(sorted(shape.kinds))
    if kind == "object":
        return _mapping(rng, shape)
    if kind == "array":
        return [_value(rng, shape.items) if shape.items else "v" for _ in range(rng.randint(0, 3))]
    scalars = {"integer": 80, "number": 1.5, "boolean": True, "null": None, "timestamp": "2001-01-01"}
    texts = [*shape.choices, "a", "x=y", "/a:/b", "80:80", "1s", "1g", "default", "0440", "a:b", "true", "5"]
    return scalars.get(kind, rng.choice(texts))


def _mapping(rng: random.Random, shape: Shape) -> dict[str, Any]:
    if shape.fields is None:
        return {rng.choice("abx"): _value(rng, shape.values) if shape.values else "v" for _ in range(rng.randint(0, 2))}
    chosen = {*rng.sample(sorted(shape.fields), min(len(shape.fields), rng.randint(0, 4))), *shape.required}
    return {key: _value(rng, shape.fields[key]) for key in sorted(chosen)}


def _only_spec_errors(folder: Path, text: bytes) -> None:
    (folder / "c.yml").write_bytes(text)
    with suppress(SpecError):
        load(Request(files=("c.yml",), cwd=str(folder), env={"HOME": "/nowhere"}, project_name="p"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_nearly_right_files_give_a_stack_or_an_error(tmp_path: Path, seed: int) -> None:
    _only_spec_errors(tmp_path, yaml.safe_dump(_document(random.Random(seed))).encode())


def _document(rng: random.Random) -> dict[str, Any]:
    services = {name: {"image": "i", **_mapping(rng, PROJECT.child("services").child("a"))} for name in "ab"}
    rest = {key: _value(rng, PROJECT.child(key)) for key in ("networks", "volumes", "secrets", "configs")}
    return {"services": services, **{key: value for key, value in rest.items() if rng.random() < 0.3}}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=200))
def test_any_bytes_give_a_stack_or_an_error(tmp_path: Path, text: bytes) -> None:
    _only_spec_errors(tmp_path, text)


def _damaged(rng: random.Random, text: bytes) -> bytes:
    damaged = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(damaged) + 1)
        if rng.random() < 0.6:
            damaged[place:place] = rng.choice(TOKENS)
        else:
            del damaged[place : place + rng.randint(1, 20)]
    return bytes(damaged)


@pytest.mark.parametrize("runs", [300, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_damaged_files_give_a_stack_or_an_error(tmp_path: Path, runs: int) -> None:
    for seed in range(runs):
        rng = random.Random(seed)
        _only_spec_errors(tmp_path, _damaged(rng, yaml.safe_dump(_document(rng)).encode()))


def test_a_very_long_text_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_bytes(b"x-a: " + b"a" * 50 * 2**20)

    with pytest.raises(SpecError, match="larger than 16 MiB"):
        load(Request(files=("c.yml",), cwd=str(tmp_path), project_name="p"))
