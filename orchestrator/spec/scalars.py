"""What a plain YAML scalar is, by the rules that Compose's parser follows: a mix of YAML 1.1 and 1.2.

`yes`, `on` and `22:22` are strings, `0755` is octal, `2001-12-14` a timestamp. `text` is the way back: a number as
Compose writes it where a string is wanted. Source: go-yaml's resolver, as observed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from orchestrator.spec.tree import Timestamp

MERGE = object()
"""The plain scalar `<<`."""

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    "<<": MERGE,
}
_SPECIAL_START = frozenset("0123456789+-.tTfFnN~<")
_INTEGER = re.compile(r"[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|[1-9][0-9]*|0)\Z").match
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z").match
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:(?:[Tt](?=.*(?:Z|[-+]\d\d:\d\d)\Z)| (?!.*[-+Z]))"
    r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d+))?(Z|[-+]\d\d:\d\d)?)?\Z"
).match
_BASES = {"x": 16, "b": 2, "o": 8}


def plain_scalar(text: str) -> Any:
    """The value of an unquoted scalar; `MERGE` for `<<`."""
    if not text:
        return None
    if text[0] not in _SPECIAL_START:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "0123456789+-.":
        return _number_or_date(text)
    return text


def _number_or_date(text: str) -> Any:
    digits = text.replace("_", "") if "_" in text else text
    if _INTEGER(digits):
        return _integer(digits)
    if _FLOAT(digits) and not (text[0] == "." and "_" in text):
        return float(digits)
    return _timestamp(text) or text


def _integer(digits: str) -> int | float:
    sign, body = (-1 if digits[0] == "-" else 1), digits.lstrip("+-").lower()
    if len(body) > 1 and body[0] == "0":
        base = _BASES.get(body[1])
        value = sign * (int(body[2:], base) if base else int(body, 8))
    elif len(body) > 20:
        return float(digits)
    else:
        value = sign * int(body)
    return value if -(2**63) <= value < 2**64 else _as_float(value)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _timestamp(text: str) -> Timestamp | None:
    found = _DATE(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=_zone(zone)
        )
    except ValueError:
        return None
    tail = "." + fraction.rstrip("0") if fraction and fraction.strip("0") else ""
    offset = moment.strftime("%z")
    name = "UTC" if offset == "+0000" else offset
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S") + tail
    suffix = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:]}"
    return Timestamp(f"{moment:%Y-%m-%d %H:%M:%S}{tail} {offset} {name}", stamp + suffix)


def _zone(text: str | None) -> timezone:
    if not text or text == "Z":
        return UTC
    span = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-span if text[0] == "-" else span)


def text(value: Any) -> str:
    """`value` as Compose writes it in a string map: `3.0` is "3", `1e21` is "1e+21". Source: Go's `%v`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Timestamp):
        return value.go
    return "" if value is None else str(value)


def _float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else f"{value:+}".replace("inf", "Inf")
    sign, digits, power = _decimal(value)
    if value and not -4 <= power < _FIRST_SCIENTIFIC:
        fraction = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    whole, fraction = digits[: power + 1].ljust(power + 1, "0"), digits[power + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


_FIRST_SCIENTIFIC = 6
"""The power of ten from which Go writes an exponent."""


def _decimal(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits without trailing zeros, and the power of ten of the first digit."""
    mantissa, _, exponent = f"{value!r}".lower().partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    power = len(whole) - 1 if whole.strip("0") else -(len(fraction) - len(fraction.lstrip("0"))) - 1
    return sign, digits.rstrip("0") or "0", power + int(exponent or 0) if digits else 0
