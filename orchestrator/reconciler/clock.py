"""The time, as the loop sees it: the one place where the reconciler reads a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment, aware, in UTC."""


def utc_now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """For spans: never steps."""
    return time.monotonic()
