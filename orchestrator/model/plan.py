"""What was decided: the plan with its operations, what is blocked, and the verdict on each container."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from orchestrator.model.names import ServiceName
from orchestrator.model.operations import AnyOperation


class Verdict(StrEnum):
    """What an existing container is to us."""

    KEEP = "keep"
    START = "start"
    RESTART = "restart"
    REPLACE = "replace"
    SURPLUS = "surplus"
    ORPHAN = "orphan"
    REMOVE = "remove"
    REST = "rest"
    """Stopped because a person said so."""
    DONE = "done"
    """It ran to its end, with 0."""
    FAILED = "failed"
    """It ended badly and nothing says to start it again."""
    LOST = "lost"
    """Its node is gone."""
    WAIT = "wait"
    """Its node is silent, or the engine is at work on it: nothing is decided yet."""


class Severity(StrEnum):
    """WAITING: the world or time will resolve it. FAILED: a person has to."""

    WAITING = "waiting"
    FAILED = "failed"


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """What can't happen now, and why.

    subject: `web.2`, `network shop_front`, ...
    causes:  subjects that it waits for, so that the root of a chain can be told from what follows of it.
    """

    subject: str
    reason: str
    severity: Severity = Severity.WAITING
    fix: str = ""
    causes: tuple[str, ...] = ()
    container: str = ""
    """The id of the container that tells more (its logs), or empty."""
    node: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The next safe step. Empty operations and nothing blocked: the stack is what was asked for."""

    operations: tuple[AnyOperation, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    wake_at: datetime | None = None

    @property
    def is_converged(self) -> bool:
        return not self.operations and not self.blocked


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """An operation in a preview. `number` counts from 1; `after` are the numbers of the steps that it waits for."""

    number: int
    wave: int
    operation: AnyOperation
    after: tuple[int, ...] = ()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """All that would happen if everything went well, and what could not happen even then."""

    steps: tuple[Step, ...] = ()
    blocked: tuple[Blocked, ...] = ()


class Phase(StrEnum):
    """How far a service is, in the order of its life."""

    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    CHECKING = "checking"
    READY = "ready"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One line of progress. `detail` says what it waits for or why it failed, shortly."""

    service: ServiceName
    phase: Phase
    wanted: int = 0
    running: int = 0
    ready: int = 0
    detail: str = ""
