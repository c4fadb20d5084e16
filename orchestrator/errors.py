"""Every error that a person can meet: one tree, its wording, its exit code.

Wording: lower case, no full stop, names in double quotes, the offered value and the allowed ones. What the world
does (a slot that fits nowhere, a container that died) is data of the planner, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class OrchError(Exception):
    """Something that a person can act on: what, where, why, how to fix it.

    what:  the sentence, names in double quotes
    where: "file:line:column" for a stack, "stack/service.slot on node" for a cluster, or empty
    why:   the cause, in the engine's or the rule's own words, or empty
    fix:   what to do next, or empty
    """

    exit_code: ClassVar[int] = 1
    temporary: ClassVar[bool] = False
    """True: the loop tries again by itself, with backoff."""

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.why, self.fix = what, where, why, fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        tail = [f"  {label}: {text}" for label, text in (("why", self.why), ("fix", self.fix)) if text]
        return "\n".join([head, *tail])

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.why, self.fix))


def _rebuild(kind: type[OrchError], what: str, where: str, why: str, fix: str) -> OrchError:
    return kind(what, where=where, why=why, fix=fix)


class UsageError(OrchError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class SpecError(OrchError):
    """A stack file can't be what its author meant."""

    exit_code = 2


class BadYaml(SpecError):
    """The text is no YAML, or YAML that Compose refuses (duplicate keys, a recursive anchor)."""


class UnknownKey(SpecError):
    """A key that the Compose Specification doesn't know."""


class BadValue(SpecError):
    """A known key with a value that it can't have."""


class UnsupportedKey(SpecError):
    """A key that the Compose Specification knows and orch does not honour yet: refused, never dropped."""


class UndefinedVariable(SpecError):
    """`${NAME:?message}` and NAME is not set."""


class DependencyCycle(SpecError):
    """Services that wait for each other; the message spells the loop."""


class FileMissing(SpecError):
    """A file that the command line or the stack names is not there or can't be read."""


class SeveralErrors(SpecError):
    """All that is wrong with a stack at once, in the order of the files."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[object, ...]:
        return (SeveralErrors, (self.errors,))


class EngineError(OrchError):
    """A Docker engine did not do what it was asked."""


class Unreachable(EngineError):
    """No answer: the engine is down, hung, cut off, or the deadline passed."""

    temporary = True


class NotFound(EngineError):
    """The engine doesn't have it."""


class Conflict(EngineError):
    """The name is taken, or the thing is in use."""


class RangeTaken(Conflict):
    """A range of addresses is used by something else on a host; another one is chosen."""

    temporary = True


class Refused(EngineError):
    """The engine said no; `why` is its own explanation."""


class HookFailed(EngineError):
    """A command that the stack runs in a container, after its start or before its stop, did not succeed."""


class TooOld(EngineError):
    """The engine's API is older than what the stack needs."""


class StoreError(OrchError):
    """The store of intent did not do what it was asked."""


class RevisionConflict(StoreError):
    """Somebody else changed the same thing first; nothing was written."""


class Unavailable(StoreError):
    """The store can't be reached or is locked for too long."""

    temporary = True


class LeaseLost(StoreError):
    """Another process holds the lease now."""

    temporary = True


class ApiError(OrchError):
    """The server of orch did not do what it was asked."""


class ServerUnreachable(ApiError):
    """No answer from the server of orch."""

    temporary = True


class NotAuthorized(ApiError):
    """The token does not allow this."""


class LabError(OrchError):
    """The throw-away cluster can't be made, changed or removed."""


class NoSuchThing(OrchError):
    """A stack, service, slot or node that nobody has declared; the message names those that exist."""


class NotConverged(OrchError):
    """The stack did not become what was asked for; the message says which container, and why the rest waits."""
