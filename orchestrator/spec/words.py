"""A command line as a list of words, split as Docker Compose splits `command` and `entrypoint`.

Quotes and backslashes as in a shell; nothing is expanded. An operator of the shell outside quotes ends the command.
Source: mattn/go-shellwords, as observed.
"""

from __future__ import annotations

_BLANKS = " \t\r\n"
_OPERATORS = ";&|<>"


def split(line: str) -> tuple[list[str], str]:
    """The words of `line`, and what an operator cut off (the rest from it on, or "").

    Raises ValueError for quotes that don't close.
    """
    splitter = _Splitter()
    for index, character in enumerate(line):
        if not splitter.take(character):
            return splitter.finish(), line[index:]
    return splitter.finish(), ""


class _Splitter:
    def __init__(self) -> None:
        self._words: list[str] = []
        self._word = ""
        self._has_word = False
        self._is_escaped = False
        self._quote = ""
        """The open quote: one of ' " ` ( or none."""

    def take(self, character: str) -> bool:
        """False if the command ends before `character`."""
        if self._is_escaped:
            self._is_escaped = False
            self._add(character)
        elif character == "\\" and self._quote != "'":
            self._is_escaped = True
        elif character in _BLANKS and not self._quote:
            self._end_word()
        elif character in "'\"":
            self._toggle(character)
        elif character in "`()":
            self._nest(character)
        elif character in _OPERATORS and not self._quote:
            if character == ">" and self._word[:1].isdigit():
                self._has_word = False
            return False
        else:
            self._add(character)
        return True

    def finish(self) -> list[str]:
        if self._is_escaped or self._quote:
            raise ValueError("a quote, a bracket or a final backslash is left open")
        if self._has_word:
            self._words.append(self._word)
        return self._words

    def _add(self, character: str) -> None:
        self._word += character
        self._has_word = True

    def _end_word(self) -> None:
        if self._has_word:
            self._words.append(self._word)
        self._word, self._has_word = "", False

    def _toggle(self, quote: str) -> None:
        if self._quote == quote:
            self._quote, self._has_word = "", True
        elif self._quote in ("", "`"):
            self._quote = quote if not self._quote else self._quote
            if self._quote == "`":
                self._add(quote)
        else:
            self._add(quote)

    def _nest(self, character: str) -> None:
        if self._quote in ("'", '"'):
            self._add(character)
        elif character == "`":
            if self._quote != "(":
                self._quote = "" if self._quote == "`" else "`"
            self._add(character)
        elif self._quote == "`":
            self._add(character)
        elif character == "(":
            if self._quote or not self._word.endswith("$"):
                raise ValueError('"(" stands outside quotes')
            self._quote = "("
            self._add(character)
        else:
            self._quote = "" if self._quote else "("
            self._add(character)
