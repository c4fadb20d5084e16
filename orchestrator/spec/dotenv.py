"""`.env`, `--env-file` and `env_file`: text -> variables, as Compose reads them.

`KEY=value`, `KEY: value`, `export KEY=value`; double quotes take escapes and variables and may span lines, single
quotes are raw, ` #` begins a comment. Source: compose-go's dotenv, as observed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.errors import BadValue
from orchestrator.spec.interpolate import Lookup as Lookup
from orchestrator.spec.interpolate import Warn, substitute

_BLANKS = "\t\v\f\r \x85\xa0"
_EXPORT = re.compile(r"export\s+")
_ESCAPE = re.compile(r'\\(?:[abfnrtv$"\\]|0[0-7]{0,3})')
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "$": "$$", '"': '"', "\\": "\\",
}  # fmt: skip


def parse(
    content: bytes, file: str, lookup: Lookup, warn: Warn, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of one file, in its order.

    lookup: the value of a variable from outside; it wins over those of the file inside `${...}`.
    known:  variables of earlier files, seen inside `${...}`.
    Raises BadValue with file:line.
    """
    text = content.decode("utf-8-sig", "replace")
    return _Parser(text, file, lookup, warn, dict(known or {})).parse()


def parse_raw(content: bytes, file: str, lookup: Lookup) -> dict[str, str]:
    """`format: raw`: each line is KEY=value, taken as it is; a bare KEY takes the value from outside."""
    found = {}
    for number, line in enumerate(content.decode("utf-8-sig", "replace").split("\n"), 1):
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not key or any(character.isspace() for character in key):
            raise BadValue(f'"{key}" is no name of a variable', where=f"{file}:{number}", fix="write KEY=value")
        outside = value if separator else lookup(key)
        if outside is not None:
            found[key] = outside
    return found


class _Parser:
    def __init__(self, text: str, file: str, lookup: Lookup, warn: Warn, known: dict[str, str]) -> None:
        self._text, self._file, self._position = text, file, 0
        self._outside, self._warn, self._known = lookup, warn, known
        self._found: dict[str, str] = {}

    def parse(self) -> dict[str, str]:
        while self._skip_to_statement():
            key, has_value = self._key()
            if has_value:
                self._found[key] = self._value()
            elif (value := self._outside(key)) is not None:
                self._found[key] = value
        return self._found

    def _where(self) -> str:
        return f"{self._file}:{self._text.count(chr(10), 0, self._position) + 1}"

    def _fail(self, what: str, fix: str = "") -> BadValue:
        return BadValue(what, where=self._where(), fix=fix)

    def _lookup(self, name: str) -> str | None:
        value = self._outside(name)
        return value if value is not None else self._found.get(name, self._known.get(name))

    def _skip_to_statement(self) -> bool:
        text = self._text
        while self._position < len(text):
            if text[self._position].isspace():
                self._position += 1
            elif text[self._position] == "#":
                end = text.find("\n", self._position)
                self._position = len(text) if end < 0 else end
            else:
                return True
        return False

    def _key(self) -> tuple[str, bool]:
        """The name that begins here, and whether a value follows."""
        if export := _EXPORT.match(self._text, self._position):
            self._position = export.end()
        start = end = self._position
        while end < len(self._text) and self._text[end] not in "=:\n":
            character = self._text[end]
            if not (character.isalnum() or character in "_.-[]" or character in _BLANKS):
                raise self._fail(f'"{character}" can\'t stand in the name of a variable')
            end += 1
        if end == len(self._text):
            return self._bare_end(start, end)
        key = self._text[start:end].rstrip()
        if any(character.isspace() for character in key):
            raise self._fail(f'"{key}" is no name of a variable', "write KEY=value")
        self._position = end + 1
        return key, self._text[end : end + 1] not in ("", "\n")

    def _bare_end(self, start: int, end: int) -> tuple[str, bool]:
        """A bare KEY that no line end follows: as in Docker Compose, the value of a variable without a name."""
        self._position = start
        return "", end > start

    def _value(self) -> str:
        text = self._text
        while self._position < len(text) and text[self._position] in _BLANKS:
            self._position += 1
        if text[self._position : self._position + 1] in ('"', "'"):
            return self._quoted(text[self._position])
        end = text.find("\n", self._position)
        end = len(text) if end < 0 else end
        value = text[self._position : end].split(" #")[0].rstrip()
        where = self._where()
        self._position = end
        return substitute(value, self._lookup, self._warn, where)

    def _quoted(self, quote: str) -> str:
        start, where, end = self._position + 1, self._where(), self._position + 1
        while end < len(self._text) and self._text[end] != quote:
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise self._fail(f"the quote {quote} has no end", f"close it with {quote}")
        self._position = end + 1
        value = self._text[start:end].replace("\\" + quote, quote)
        if quote == "'":
            return value
        return substitute(_ESCAPE.sub(_unescape, value), self._lookup, self._warn, where)


def _unescape(found: re.Match[str]) -> str:
    body = found.group()[1:]
    if body[0] != "0":
        return _ESCAPES[body]
    return chr(int(body, 8) & 0xFF) if len(body) == 4 else "\\" + body[1:]
