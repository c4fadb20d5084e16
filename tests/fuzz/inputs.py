"""Inputs for the fuzz test: stacks made from the loader's own tables, damaged files of the corpus, and bombs."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import strategies as st

from orchestrator.spec.schema import PROJECT
from orchestrator.spec.shape import ANYTHING, Form, Shape

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "dev"

TEXTS = (
    "", "x=y", "/a:/b:ro", "80:80", "127.0.0.1::53/udp", "1m30s", "1.5gb", "0440", "service:b", "container:x:ro",
    "~", "${A}", "${A:-${B:-c}}", "$$", "${A:?no}", "vendor.com/class=x", "all", "-1", "1e400", "0x1f", "08",
    "2001-12-14", "\x00", "\u2028", "ä" * 50, "9" * 5000, "a:b:c:d:e", "no", "on-failure:3", "every_12h", "daily",
    "host-gateway", "[::1]:80:80", "8000-9000:80-90", "seccomp=./x", "/run:size=1m,mode=9", "!reset", "<<", "=", ":",
    "a=b=c",
)  # fmt: skip
USUAL: Mapping[Form, tuple[str, ...]] = {
    Form.DURATION: ("1s", "1m30s"),
    Form.BYTES: ("64m", "1024"),
    Form.INTEGER: ("1", "80"),
    Form.NUMBER: ("0.5", "1"),
    Form.BOOLEAN: ("true", "false"),
    Form.MODE: ("0440",),
    Form.COUNT: ("1", "10"),
}
NUMBERS = (0, 1, -1, 80, 65536, 2**31, 2**63, 2**64, 10**30, 1.5, -0.0, float("inf"), float("nan"))
CHARACTERS = (st.integers(32, 126) | st.integers(0, 0xD7FF) | st.integers(0xE000, 0x10FFFF)).map(chr)
"""By number, as Hypothesis' own characters want a table that takes 200 MB to make."""

TOKENS = (
    b"null", b"[]", b"{}", b'""', b"-1", b"!reset null", b"!override [a]", b"&a ", b"*a", b"<<: *a", b"${X:?}",
    b"${", b"\t", b": ", b"- ", b"\n", b'"\\0"', b"0x" + b"f" * 400, b"9" * 5000, b"2001-12-14", b".nan", b"? ",
    b"[[[[", b"\xff", b"  ", b"|", b"#", b"---\n", b"...\n", b"%YAML 1.1\n", b"!!binary x", b"!!set {a}",
    b"!!python/object:os.system a", b"\xfe\xff", b"include: [a.yml]\n", b"extends: {service: a}", b"\r", b"\x00",
    b"'", b"}", b"]", b"!!float 1", b"!!int x", b"~",
)  # fmt: skip


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Something that mostly has the shape."""
    wild = st.sampled_from((*TEXTS, *NUMBERS, None, True)) | st.text(CHARACTERS, max_size=8)
    if shape is ANYTHING:
        return wild
    right = st.one_of(*(_of_kind(shape, kind) for kind in sorted(shape.kinds)))
    return st.integers(0, 19).flatmap(lambda dice: wild if dice == 13 else right)


def _of_kind(shape: Shape, kind: str) -> st.SearchStrategy[Any]:
    if kind == "object":
        return mappings(shape)
    if kind == "array":
        return st.lists(st.deferred(lambda: values(shape.items or ANYTHING)), max_size=3)
    if kind in ("integer", "number"):
        return st.integers(0, 9) | st.sampled_from((80, 443, 8080) * 6 + NUMBERS)
    scalars: Mapping[str, st.SearchStrategy[Any]] = {"boolean": st.booleans(), "null": st.none()}
    usual = shape.choices or USUAL.get(shape.form, ("a", "b", "1", "/a"))
    return scalars.get(kind, st.sampled_from((*usual * 20, *TEXTS)))


@st.composite
def mappings(draw: st.DrawFn, shape: Shape) -> dict[str, Any]:
    """A few of the keys, those that are required among them mostly."""
    if shape.fields is None:
        keys = draw(st.lists(st.sampled_from(("a", "b", "default", "x.y", "A", "b", "/p")), max_size=2, unique=True))
        return {key: draw(values(shape.values or ANYTHING)) for key in keys}
    chosen = draw(st.lists(st.sampled_from(sorted(shape.fields)), max_size=4, unique=True))
    keys = dict.fromkeys((*chosen, *(shape.required if draw(st.integers(0, 9)) else ())))
    return {key: draw(values(shape.fields[key])) for key in keys}


@st.composite
def stacks(draw: st.DrawFn) -> bytes:
    """A stack of two services and what they may name, as YAML, in one of ten cases damaged."""
    service = PROJECT.child("services").child("a")
    whole: dict[str, Any] = {"services": {name: {"image": "i", **draw(mappings(service))} for name in "ab"}}
    for key in draw(
        st.lists(st.sampled_from(("networks", "volumes", "secrets", "configs", "include", "x-a")), max_size=2)
    ):
        whole[key] = draw(values(PROJECT.child(key)))
    text = yaml.safe_dump(whole, default_flow_style=draw(st.sampled_from((None, True, False))), allow_unicode=True)
    content = text.encode(errors="replace")
    return damaged(random.Random(draw(st.integers(0, 2**32))), content) if draw(st.integers(0, 9)) == 7 else content


def damaged(rng: random.Random, content: bytes) -> bytes:
    """One to four wounds: a word or a line in place of another, a token put in, a piece cut out or moved, a byte."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        WOUNDS[rng.randrange(len(WOUNDS))](rng, found)
    return bytes(found)


def _swap_words(rng: random.Random, found: bytearray) -> None:
    words = [match.span() for match in re.finditer(rb"[\w./-]+", found)]
    if words:
        (start, end), (other, last) = rng.choice(words), rng.choice(words)
        found[start:end] = found[other:last] if rng.random() < 0.6 else rng.choice(TEXTS).encode()


def _swap_lines(rng: random.Random, found: bytearray) -> None:
    lines = found.splitlines(keepends=True)
    if lines:
        lines[rng.randrange(len(lines))] = rng.choice((b"", rng.choice(lines)))
        found[:] = b"".join(lines)


def _put_in(rng: random.Random, found: bytearray) -> None:
    place = rng.randrange(len(found) + 1)
    found[place:place] = rng.choice(TOKENS)


def _move(rng: random.Random, found: bytearray) -> None:
    start, place = rng.randrange(len(found) + 1), rng.randrange(len(found) + 1)
    piece = found[start : start + rng.randint(1, 40)]
    if rng.random() < 0.5:
        del found[start : start + len(piece)]
    found[place:place] = piece


def _change_byte(rng: random.Random, found: bytearray) -> None:
    start = rng.randrange(len(found) + 1)
    found[start : start + 1] = bytes([rng.randrange(256)])


WOUNDS = (_swap_words, _swap_words, _swap_words, _swap_lines, _swap_lines, _put_in, _move, _change_byte)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A stack of the corpus in a folder of its own."""

    folder: Path
    files: tuple[str, ...]
    env: Mapping[str, str]

    def texts(self) -> list[Path]:
        """What can be damaged: its stack files and env files."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())


def cases(folder: Path) -> list[Case]:
    """All stacks of the corpus, copied below `folder`; none where the corpus is not beside the project."""
    return list(_cases(folder))


def _cases(folder: Path) -> Iterator[Case]:
    for source in sorted(CORPUS.iterdir()) if CORPUS.is_dir() else ():
        if (source / "case.json").is_file():
            said = json.loads((source / "case.json").read_text())
            shutil.copytree(source / "input", folder / source.name, symlinks=True)
            env = {key: value.replace("${PROJECT_DIR}", str(folder)) for key, value in said["env"].items()}
            yield Case(folder=folder / source.name, files=tuple(said["files"]), env=env)


def _service(line: str) -> bytes:
    return f"services:\n  a:\n    image: i\n    {line}\n".encode()


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "aliases that double": lambda: (
        b"x0: &x0 [a, a]\n" + b"".join(b"x-%d: &x%d [*x%d, *x%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
    ).replace(b"x0:", b"x-0:", 1),
    "aliases of a long list": lambda: b"x-a: &a [" + b"a," * 100_000 + b"]\nx-b: [" + b"*a," * 100_000 + b"]\n",
    "merge keys that double": lambda: (
        b"x-0: &x0 {k0: v}\n"
        + b"".join(b"x-%d: &x%d {<<: [*x%d, *x%d], k%d: v}\n" % (n, n, n - 1, n - 1, n) for n in range(1, 60))
    ),
    "10,000 lists in each other": lambda: b"x-a: " + b"[" * 10_000 + b"]" * 10_000,
    "10,000 lists that never end": lambda: b"x-a: " + b"[" * 10_000,
    "10,000 mappings in each other": lambda: b"".join(b" " * n + b"k:\n" for n in range(10_000)),
    "10,000 mappings in each other, in a flow": lambda: b"x-a: " + b"{k: " * 10_000 + b"}" * 10_000,
    "10,000 questions": lambda: b"? " * 10_000,
    "10,000 dashes": lambda: b"- " * 10_000,
    "10,000 variables in each other": lambda: _service("user: '" + "${A:-" * 10_000 + "}" * 10_000 + "'"),
    "100,000 variables": lambda: _service("user: '" + "${A:-b}" * 100_000 + "'"),
    "a scalar of 50 MB": lambda: b"x-a: " + b"a" * 50_000_000,
    "a scalar of 15 MB": lambda: _service("user: '" + "a" * 15_000_000 + "'"),
    "a quoted scalar of 50 MB that never ends": lambda: b'x-a: "' + b"\\x41" * 12_500_000,
    "a block scalar of 15 MB": lambda: b"x-a: |\n" + b"  a line of text\n" * 900_000,
    "a comment of 15 MB": lambda: b"#" * 15_000_000 + b"\nservices: {}",
    "a key of 15 MB": lambda: b"x-" + b"a" * 15_000_000 + b": 1\n",
    "an integer of a million digits": lambda: _service("cpu_shares: " + "9" * 1_000_000),
    "a float of a million digits": lambda: _service("cpus: 0." + "9" * 1_000_000),
    "a duration of a million parts": lambda: _service("stop_grace_period: " + "1h" * 500_000),
    "a hundred thousand ports": lambda: _service(
        "ports: [" + ", ".join(f"'{n % 60000}'" for n in range(100_000)) + "]"
    ),
    "a port range as long as all ports": lambda: _service("ports: ['1-65535:1-65535']"),
    "many port ranges": lambda: _service("ports: [" + ", ".join(f"'1-65535:1-65535/{p}'" for p in "abcdefgh") + "]"),
    "expose of all ports, often": lambda: _service("expose: [" + ", ".join(f"'1-65535/{p}'" for p in range(50)) + "]"),
    "twenty thousand long ports": lambda: _service(
        "ports: ["
        + ", ".join(f"{{target: {n % 60000 + 1}, host_ip: 10.0.{n // 256 % 256}.{n % 256}}}" for n in range(20_000))
        + "]"
    ),
    "twenty thousand long mounts": lambda: _service(
        "volumes: [" + ", ".join(f"{{type: tmpfs, target: /{n}}}" for n in range(20_000)) + "]"
    ),
    "twenty thousand equal env files": lambda: _service("env_file: [" + "{path: a, required: false}, " * 20_000 + "]"),
    "a hundred thousand variables of a service": lambda: _service(
        "environment: {" + ", ".join(f"V{n}: x" for n in range(100_000)) + "}"
    ),
    "ten thousand services": lambda: b"services: {" + b", ".join(b"s%d: {image: i}" % n for n in range(10_000)) + b"}",
    "a chain of two thousand dependencies": lambda: (
        b"services: {s0: {image: i}"
        + b"".join(b", s%d: {image: i, depends_on: [s%d]}" % (n, n - 1) for n in range(1, 2000))
        + b"}"
    ),
    "a chain of two thousand extensions": lambda: (
        b"services: {s0: {image: i}" + b"".join(b", s%d: {extends: s%d}" % (n, n - 1) for n in range(1, 2000)) + b"}"
    ),
    "two thousand extensions of a long service": lambda: (
        b"services: {s: {image: i, environment: ["
        + b", ".join(b"A%d=b" % n for n in range(5000))
        + b"]}"
        + b"".join(b", s%d: {extends: s}" % n for n in range(2000))
        + b"}"
    ),
    "two thousand hooks of a long service": lambda: _service(
        "environment: ["
        + ", ".join(f"A{n}=b" for n in range(5000))
        + "]\n    pre_start: ["
        + "{command: x}, " * 2000
        + "]"
    ),
    "half a million unknown keys": lambda: b"".join(b"k%d: 1\n" % n for n in range(500_000)),
    "half a million equal keys": lambda: b"x-a: 1\n" * 500_000,
    "a service that extends itself": lambda: _service("extends: a"),
    "a file that includes itself": lambda: b"include: [stack.yml]\nservices: {}",
    "a file that extends from itself": lambda: _service("extends: {service: a, file: stack.yml}"),
    "endless env file": lambda: _service("env_file: /dev/zero"),
    "endless secret": lambda: b"secrets: {s: {file: /dev/zero}}\n" + _service("secrets: [s]"),
    "ten thousand documents": lambda: b"---\nx-a: 1\n" * 10_000,
    "zeros": lambda: b"\x00" * 1_000_000,
    "random bytes": lambda: random.Random(1).randbytes(1_000_000),
    "UTF-16": lambda: "services: {a: {image: i}}".encode("utf-16"),
    "a file of tabs": lambda: b"\t" * 1_000_000,
    "half a million colons": lambda: b":" * 500_000,
    "anchors": lambda: b"".join(b"x-%d: &a%d 1\n" % (n, n) for n in range(100_000)),
}
"""Small texts, or long ones, that ask for more than they are worth."""
