"""Ctrl-C and SIGTERM: how a command ends early, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

CTRL_C, TERMINATED = 130, 143
"""Exit codes, as a shell reports a program that a signal ended: 128 + its number."""

_left = ""


class Interrupted(KeyboardInterrupt):
    """A person (or the system) asked us to stop.

    left: what stands now, and the command that goes on; empty when nothing was under way.
    """

    def __init__(self, left: str, code: int) -> None:
        super().__init__(left)
        self.left, self.code = left, code


@contextmanager
def leaves(text: str) -> Iterator[None]:
    """While it is open, an interruption leaves the world as `text` says."""
    global _left
    _left = text
    try:
        yield
    except Exception:
        _left = ""  # an error is no interruption, and says itself what it leaves
        raise
    _left = ""


def interrupted(code: int) -> Interrupted:
    """The exception for an interruption at this moment."""
    return Interrupted(_left, code)
