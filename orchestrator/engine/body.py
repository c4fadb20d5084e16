"""Bodies of the Engine API: dictionaries in which what says nothing is left out."""

from __future__ import annotations

from typing import Any

ApiVersion = tuple[int, int]
Body = dict[str, Any]

MEANINGFUL = frozenset(
    {"Init", "MemorySwappiness", "MemorySwap", "StopTimeout", "MaskedPaths", "ReadonlyPaths", "EnableIPv4"}
)
"""Keys of which false, zero and empty are values of their own."""


def without_none(body: Body) -> Body:
    return {key: value for key, value in body.items() if value is not None}


def without_defaults(body: Body) -> Body:
    """What says nothing is left out: None, and empty, zero or false where that is the engine's default."""
    return {key: value for key, value in body.items() if value or (value is not None and key in MEANINGFUL)}
