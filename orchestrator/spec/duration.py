"""Spans of time as Compose writes them: `1m30s`, `1.5h`, `500ms`, `2d`.

Source: Compose Specification, "Specifying durations"; printed as Go prints a duration.
"""

from __future__ import annotations

import re
from fractions import Fraction

NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9,
    "w": 7 * 24 * 3600 * 10**9,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_MAX = 2**63 - 1


def parse(text: str) -> int:
    """Nanoseconds. Raises ValueError with the reason."""
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    total, position = Fraction(0), 0
    while part := _PART.match(body, position):
        total += Fraction(part.group(1)) * NANOSECONDS[part.group(2)]
        position = part.end()
    if not body or position != len(body):
        raise ValueError(f'"{text}" is no duration, write a number with a unit: 90s, 1m30s, 500ms')
    if total > _MAX:
        raise ValueError(f'"{text}" is too long')
    return sign * int(total)


def seconds(text: str) -> float:
    """The same in seconds."""
    return parse(text) / 10**9


def render(nanoseconds: int) -> str:
    """`1h0m0s`, `1.5ms`, `0s`. Source: Go's Duration.String."""
    if not nanoseconds:
        return "0s"
    sign, rest = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if rest < 10**9:
        unit = next(name for name in ("ms", "µs", "ns") if rest >= NANOSECONDS[name])
        return sign + _decimal(rest, NANOSECONDS[unit]) + unit
    minutes, rest = divmod(rest, NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest, NANOSECONDS["s"]) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
