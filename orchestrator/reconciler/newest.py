"""Answers may overtake each other: of two about one thing, the one that was asked for later counts."""

from __future__ import annotations

from collections.abc import Hashable


class Newest:
    """Numbers questions, and tells whether an answer is news."""

    def __init__(self) -> None:
        self._asked = 0
        self._as_of: dict[Hashable, int] = {}

    def ask(self) -> int:
        """The number of a question that is about to be put."""
        self._asked += 1
        return self._asked

    def is_news(self, thing: Hashable, asked: int) -> bool:
        """Nothing that was asked later, or at the same time, has told of `thing` yet; from now on this one has."""
        if self._as_of.get(thing, 0) >= asked:
            return False
        self._as_of[thing] = asked
        return True
