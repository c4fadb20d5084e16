"""Sizes in bytes as Compose writes them: `64m`, `1.5 GB`, `1024`. Units are powers of 1024.

Source: Compose Specification, "Specifying byte values"; docker/go-units.
"""

from __future__ import annotations

import re

_SIZE = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?) ?([a-z]*)", re.IGNORECASE)
_UNDERSCORE = re.compile(r"(?<=\d)_(?=\d)")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse(text: str) -> int:
    """Bytes. Raises ValueError with the reason."""
    found = _SIZE.fullmatch(_UNDERSCORE.sub("", text))
    if not found:
        raise ValueError(f'"{text}" is no size, write a number with a unit: 512m, 2g')
    number, unit = found.group(1), found.group(2).lower()
    prefix = unit[:1] if unit[:1] in _POWERS else ""
    if unit[len(prefix) :] not in ("", "b", "ib") or (unit[len(prefix) :] == "ib" and not prefix):
        raise ValueError(f'"{unit}" is no unit: b, k, m, g, t, p')
    if number.startswith("-") and text != number:
        raise ValueError(f'"{text}" is less than nothing')
    factor = 1024 ** _POWERS[prefix]
    size = int(number) * factor if number.lstrip("-").isdigit() else float(number) * factor
    if abs(size) >= 2**63:
        raise ValueError(f'"{text}" is too large')
    return int(size)
