"""Draft: the plan in the making. It keeps one operation per target, and holds back what failed a moment ago."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from orchestrator.model.cluster import Container
from orchestrator.model.operations import AnyOperation, BuildImage, OnExisting
from orchestrator.model.plan import Blocked, Plan, Severity
from orchestrator.planner.world import World

T = TypeVar("T", bound=OnExisting)

RETRY_FIRST_S, RETRY_MOST_S = 1.0, 60.0


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing and no operation can bring."""

    what: str
    fix: str = ""
    is_hopeless: bool = True
    """False: it comes by itself, from `causes`."""
    causes: tuple[str, ...] = ()


Missing = AnyOperation | Lack


def on(kind: type[T], c: Container, cause: str, **more: Any) -> T:
    """An operation of this kind on an existing container; `more` are the kind's own fields."""
    return kind(node=c.node, service=c.service, slot=c.slot, container=c.id, name=c.name, cause=cause, **more)


class Draft:
    """Collects operations and blocked things; `plan` sorts them, so that equal worlds give equal plans."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._operations: dict[str, AnyOperation] = {}
        self._blocked: dict[str, Blocked] = {}
        self._lost: set[str] = set()
        self._wake_at: datetime | None = None

    def add(self, operation: AnyOperation) -> None:
        """Unless the same operation failed and its pause is not over, or only a person can help.

        An image is built on one node at a time: the others copy it from there.
        """
        if isinstance(operation, BuildImage) and self._is_building(operation):
            return
        failure = self._world.cluster.failures.get(operation.target)
        if failure is None:
            self._operations.setdefault(operation.target, operation)
            return
        retry_at = failure.at + timedelta(seconds=retry_pause_s(failure.count))
        if failure.temporary and self._world.now >= retry_at:
            self._operations.setdefault(operation.target, operation)
            return
        if failure.temporary:
            self.wake(retry_at)
        self.block(
            operation.subject,
            f"{failure.what}: {failure.why}" if failure.why else failure.what,
            severity=Severity.WAITING if failure.temporary else Severity.FAILED,
            fix=failure.fix,
            container=getattr(operation, "container", ""),
            node=operation.node,
        )

    def _is_building(self, operation: BuildImage) -> bool:
        return any(isinstance(o, BuildImage) and o.ref == operation.ref for o in self._operations.values())

    def block(
        self,
        subject: str,
        reason: str,
        *,
        severity: Severity = Severity.WAITING,
        fix: str = "",
        causes: tuple[str, ...] = (),
        container: str = "",
        node: str = "",
    ) -> None:
        """The first reason of a subject counts, but a failure outranks a wait."""
        known = self._blocked.get(subject)
        if known is None or (known.severity is Severity.WAITING and severity is Severity.FAILED):
            self._blocked[subject] = Blocked(
                subject=subject,
                reason=reason,
                severity=severity,
                fix=fix,
                causes=causes,
                container=container,
                node=node,
            )
            if severity is Severity.FAILED or not self._lost.isdisjoint(causes):
                self._lost.add(subject)

    def has_failed(self, subject: str) -> bool:
        """It needs a person, or waits for something that does."""
        return subject in self._lost

    def wake(self, at: datetime) -> None:
        self._wake_at = at if self._wake_at is None else min(self._wake_at, at)

    def plan(self) -> Plan:
        return Plan(
            operations=tuple(self._operations[target] for target in sorted(self._operations)),
            blocked=tuple(self._blocked[subject] for subject in sorted(self._blocked)),
            wake_at=self._wake_at,
        )


def retry_pause_s(count: int) -> float:
    """The pause after the count-th failure in a row: doubling, capped."""
    return min(RETRY_FIRST_S * 2.0 ** min(count - 1, 10), RETRY_MOST_S)
