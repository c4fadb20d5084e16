"""All that is wrong with a stack, of every phase, each mistake once.

A phase that finds a mistake adds it here, takes the value out of its tree and goes on; the path of what was taken out
is a hole, so that no later phase complains of what is missing there. Paths are `services.web.ports[0].target`.
"""

from __future__ import annotations

import re

from orchestrator.errors import BadValue, SeveralErrors, SpecError

MAX_FINDINGS = 1000
"""Mistakes that are told one by one; a file of 16 MiB has room for millions."""

MAX_COPIED = 200_000
"""Values that `extends` and hooks may copy in one stack: enough for any real one, too few for a bomb."""

_INDEX = re.compile(r"\[\d+\]")
_PLACE = re.compile(r"(.*?)(?::(\d+))?(?::(\d+))?")


class Findings:
    """Collects; `is_partial` is set when a file could not be read, so that references to its content may be right."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str], SpecError] = {}
        self._holes: set[str] = set()
        self._above_holes: set[str] = set()
        self._files: dict[str, int] = {}
        self.is_partial = False
        self._untold = 0
        self._copied = 0

    def __bool__(self) -> bool:
        return bool(self._errors)

    @property
    def is_full(self) -> bool:
        """True if further mistakes are only counted."""
        return len(self._errors) >= MAX_FINDINGS

    def add(self, error: SpecError, hole: str = "", subject: str = "") -> None:
        """Keep `error`, unless the same is known of the same place.

        hole:    the path of the value that is taken out because of it.
        subject: what the message begins with and another use of the same text would call by another name.
        """
        for each in error.errors if isinstance(error, SeveralErrors) else (error,):
            what = each.what.removeprefix(subject) if each.where else each.what
            self._keep((each.where, what), each)
        if hole:
            self.hole(hole)

    def _keep(self, key: tuple[str, str], error: SpecError) -> None:
        if not self.is_full:
            self._errors.setdefault(key, error)
        elif key not in self._errors:
            self._untold += 1
            self.is_partial = True  # too many to keep their holes

    def take(self, other: Findings) -> None:
        """Keep the errors of `other`, whose paths mean nothing here."""
        for key, error in other._errors.items():
            self._keep(key, error)
        self._untold += other._untold

    def copies(self, values: int, where: str) -> None:
        """Count values that stand once and are used again. Raises BadValue when there are too many of them."""
        self._copied += values
        if self._copied > MAX_COPIED:
            what = f"services and hooks take over more than {MAX_COPIED} values"
            raise BadValue(what, where=where, fix="extend a smaller service, or extend it less often")

    def hole(self, path: str) -> None:
        """Something is missing at `path` because of a mistake that is known."""
        if self.is_full:
            return
        path = _INDEX.sub("[]", path)
        self._holes.add(path)
        while (end := max(path.rfind("."), path.rfind("["))) > 0:
            path = path[:end]
            self._above_holes.add(path)

    def is_hole(self, path: str) -> bool:
        """True if what stood at `path`, or maybe stood there, is taken out."""
        return self.is_partial or _INDEX.sub("[]", path) in self._holes

    def is_whole(self, path: str) -> bool:
        """True if nothing at or below `path` is taken out."""
        path = _INDEX.sub("[]", path)
        return not (self.is_partial or path in self._holes or path in self._above_holes)

    def reads(self, file: str) -> None:
        """Errors are told in the order in which files were read."""
        self._files.setdefault(file, len(self._files))

    def errors(self) -> list[SpecError]:
        """By file, line and column; the last one counts those that are too many."""
        found = sorted(self._errors.values(), key=self._order)
        return [*found, SpecError(f"there are {self._untold} more mistakes")] if self._untold else found

    def _order(self, error: SpecError) -> tuple[int, str, int, int]:
        found = _PLACE.fullmatch(error.where)
        file, line, column = found.groups() if found else (error.where, None, None)
        return self._files.get(file, len(self._files)), file, int(line or 0), int(column or 0)

    def raise_any(self) -> None:
        """Raises one error, or all of them as SeveralErrors; nothing when there is none."""
        raise_all(self.errors())


def raise_all(errors: list[SpecError]) -> None:
    """Nothing, one error, or all of them at once."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)
