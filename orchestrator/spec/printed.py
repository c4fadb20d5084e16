"""The canonical project: long forms -> what Docker Compose prints.

Durations, sizes and modes get their one spelling, string maps hold strings, zero values are left out unless the
schema keeps them. Places stay.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from orchestrator.errors import BadValue
from orchestrator.spec import duration, sizes, words
from orchestrator.spec.findings import Findings
from orchestrator.spec.merge import as_list, as_map, hosts_list
from orchestrator.spec.scalars import text
from orchestrator.spec.shape import ANYTHING, Form, Rule, Shape
from orchestrator.spec.tree import At, Map, Seq, clone

_SINGLE = Struct("f")
DROP = object()
"""What is not printed."""


class Spot(NamedTuple):
    """What a value is called and where it stands, and who is told of what is wrong with it."""

    path: str
    at: At
    findings: Findings

    def inner(self, key: str | int, at: At) -> Spot:
        """The same of an entry."""
        name = f"[{key}]" if isinstance(key, int) else f".{key}" if self.path else key
        return Spot(self.path + name, at, self.findings)

    def wrong(self, what: str, *, at: At | None = None, why: str = "", fix: str = "") -> None:
        """The value can't be printed."""
        error = BadValue(f"{self.path}: {what}", where=str(at or self.at), why=why, fix=fix)
        self.findings.add(error, self.path, subject=self.path)


def printed(tree: Map, shape: Shape, findings: Findings) -> Map:
    """The project as printed; what can't be printed goes to `findings` and is left out."""
    return _map(tree, shape, Spot("", tree.at, findings))


def _printed(value: Any, shape: Shape, spot: Spot) -> Any:
    """`value` as printed, or DROP."""
    if shape is ANYTHING:
        return clone(value)
    if special := SPECIALS.get(shape.rule):
        return special(value, shape, spot)
    return _by_type(value, shape, spot)


def _by_type(value: Any, shape: Shape, spot: Spot) -> Any:
    if value is None:
        return DROP
    if isinstance(value, Map):
        result = _map(value, shape, spot)
        return result if result or shape.fields is not None else DROP
    if isinstance(value, Seq):
        return _seq(value, shape, spot) or DROP
    return _scalar(value, shape, spot)


def _map(value: Map, shape: Shape, spot: Spot) -> Map:
    result = Map(value.at)
    for key, entry in value.items():
        at = value.place(key)
        new = _printed(entry, shape.child(key), spot.inner(key, at))
        if new is not DROP:
            result.put(key, new, at)
    return result


def _seq(value: Seq, shape: Shape, spot: Spot) -> Seq:
    result, items = Seq(value.at), shape.items or ANYTHING
    for index, (entry, at) in enumerate(value.entries()):
        new = _printed(entry, items, spot.inner(index, at))
        result.push("" if new is DROP else new, at)
    return result


def _scalar(value: Any, shape: Shape, spot: Spot) -> Any:
    try:
        new = FORMS[shape.form](value)
    except ValueError as error:
        spot.wrong(str(error))
        return DROP
    return DROP if not shape.keep and new == _ZEROS.get(shape.form, DROP) else new


def _duration(value: Any) -> str:
    return duration.render(duration.parse(text(value)))


def _bytes(value: Any) -> str:
    return "0" if isinstance(value, float) else str(sizes.parse(text(value)))


def _mode(value: Any) -> str:
    if isinstance(value, float):
        raise ValueError(f"{value} is no file mode")
    if isinstance(value, str):
        if not value.removeprefix("+") or not all(digit in "01234567" for digit in value.removeprefix("+")):
            raise ValueError(f'"{value}" is no file mode, write it in octal: "0440"')
        value = int(value, 8)
    return f"0{int(value):o}" if value else "00"


def _integer(value: Any) -> int:
    if isinstance(value, str):
        if value == "all":
            return -1
        if not value.lstrip("-+").isdigit():
            raise ValueError(f'"{value}" is no integer')
    return int(value)


def _count(value: Any) -> int:
    if isinstance(value, str):
        raise ValueError(f'"{value}" must be an integer, without quotes')
    if value < 0:
        raise ValueError(f'"{value}" is less than 0')
    return int(value)


def _number(value: Any) -> float:
    """The shortest decimal that is the same 32-bit float, which is what Docker Compose keeps."""
    single = _single(value)
    candidates = (float(f"{single:.{digits}g}") for digits in range(1, 18))
    return next(short for short in candidates if _single(short) == single)


def _single(value: Any) -> float:
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        raise ValueError(f"{value} is too large") from None


_ZEROS: dict[Form, Any] = {
    Form.TEXT: "",
    Form.INTEGER: 0,
    Form.NUMBER: 0.0,
    Form.BOOLEAN: False,
    Form.DURATION: "0s",
    Form.BYTES: "0",
    Form.COUNT: 0,
}
"""What is left out, unless the schema keeps it. Source: Go's omitempty."""

FORMS: dict[Form, Callable[[Any], Any]] = {
    Form.AS_IS: lambda value: value,
    Form.TEXT: text,
    Form.INTEGER: _integer,
    Form.NUMBER: _number,
    Form.BOOLEAN: bool,
    Form.DURATION: _duration,
    Form.BYTES: _bytes,
    Form.MODE: _mode,
    Form.COUNT: _count,
}


def _strings(value: Any, _shape: Shape, _spot: Spot) -> Any:
    """A map of texts; null is the empty text."""
    if value is None:
        return DROP
    source, result = as_map(value), Map(value.at)
    for key, entry in source.items():
        result.put(key, "" if entry is None else text(entry), source.place(key))
    return result or DROP


def _variables(value: Any, _shape: Shape, spot: Spot) -> Any:
    """A map of texts; null stays null."""
    if value is None:
        return DROP
    source, result = as_map(value), Map(value.at)
    for key, entry in source.items():
        at = source.place(key)
        if key != key.rstrip():
            spot.wrong(f'"{key}" is no name of a variable', at=at, fix="remove the blank")
        result.put(key, None if entry is None else text(entry), at)
    return result or DROP


def _command(value: Any, shape: Shape, spot: Spot) -> Any:
    """A list of words, or None; a text is split as a shell would."""
    if not isinstance(value, str):
        return _seq(value, shape, spot) if isinstance(value, Seq) else None
    try:
        return _seq_of(words.split(value)[0], spot.at)
    except ValueError as error:
        spot.wrong(f'"{value}" is no command line', why=str(error))
        return None


def _seq_of(items: list[str], at: At) -> Seq:
    result = Seq(at)
    for item in items:
        result.push(item, at)
    return result


def _test(value: Any, shape: Shape, spot: Spot) -> Any:
    """A text runs in a shell; a list says by its first item how it runs."""
    if isinstance(value, str):
        return _seq_of(["CMD-SHELL", value], spot.at)
    if not isinstance(value, Seq) or not value:
        return DROP
    if value[0] not in ("NONE", "CMD", "CMD-SHELL"):
        fix = f"begin with CMD: [CMD, {value[0]}, ...]; or with CMD-SHELL or NONE"
        spot.wrong(f'"{value[0]}" is no kind of check', at=value.place(0), fix=fix)
    return _seq(value, shape, spot)


def _hosts(value: Any, _shape: Shape, spot: Spot) -> Any:
    if value is None:
        return DROP
    found: list[tuple[str, At]] = []
    for entry, at in hosts_list(value).entries():
        host, separator, addresses = entry.partition("=" if "=" in entry else ":")
        if not separator:
            spot.wrong(f'"{entry}" names no address', at=at, fix="write host=address")
        for address in addresses.split(","):
            bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
            found.append((f"{host}={bare}", at))
    result = Seq(value.at)
    for entry, at in sorted(found):
        result.push(entry, at)
    return result or DROP


def _ulimit(value: Any, shape: Shape, spot: Spot) -> Any:
    if isinstance(value, Map):
        return _map(value, shape, spot)
    if isinstance(value, float):
        spot.wrong(f"{text(value)} is no limit", fix="write an integer")
        return DROP
    return int(value) or Map(spot.at)


def _attachments(value: Any, shape: Shape, spot: Spot) -> Any:
    if value is None:
        return DROP
    result, inner = Map(value.at), shape.values or ANYTHING
    for name, entry in value.items():
        at = value.place(name)
        result.put(name, None if entry is None else _map(entry, inner, spot.inner(name, at)), at)
    return result or DROP


def _exposed(value: Any, _shape: Shape, _spot: Spot) -> Any:
    result = Seq(value.at)
    for entry, at in value.entries():
        result.push(text(entry), at)
    return result or DROP


def _ssh(value: Any, _shape: Shape, spot: Spot) -> Any:
    """A list of `default` and `id=path`."""
    source, result = as_map(value), Seq(value.at)
    for key, entry in source.items():
        if isinstance(value, Seq) and entry is None and key != "default":
            spot.wrong(f'"{key}" names no socket or key', at=source.place(key), fix="id=PATH")
        result.push(key if not entry else f"{key}={text(entry)}", source.place(key))
    return result or DROP


def _gpus(value: Any, shape: Shape, spot: Spot) -> Any:
    return _seq(as_list(value), shape, spot) or DROP


def _opt_out(value: Any, _shape: Shape, _spot: Spot) -> Any:
    """What is true anyway is printed only when it is not."""
    return False if value is False else DROP


def _listed(value: Any, shape: Shape, spot: Spot) -> Any:
    items = shape.items or ANYTHING
    return _seq(as_list(value, spot.at), Shape(items=items), spot)


def _watch(value: Any, shape: Shape, spot: Spot) -> Any:
    """Each rule shows what it runs, also nothing."""
    result = _map(value, shape, spot)
    if "exec" not in result:
        result.put("exec", Map(result.at), result.at)
    if "command" not in result["exec"]:
        result["exec"].put("command", None, result.at)
    return result


SPECIALS: dict[Rule, Callable[[Any, Shape, Spot], Any]] = {
    Rule.LABELS: _strings,
    Rule.OPTIONS: _strings,
    Rule.VARIABLES: _variables,
    Rule.COMMAND: _command,
    Rule.TEST: _test,
    Rule.HOSTS: _hosts,
    Rule.ULIMIT: _ulimit,
    Rule.ATTACHMENTS: _attachments,
    Rule.MODELS: _attachments,
    Rule.EXPOSED: _exposed,
    Rule.SSH: _ssh,
    Rule.GPUS: _gpus,
    Rule.LISTED: _listed,
    Rule.OPT_OUT: _opt_out,
    Rule.WATCH: _watch,
}
