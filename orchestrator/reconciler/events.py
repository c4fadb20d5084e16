"""What the loop tells while it works. Rooms emit events with fields; only the command line turns them into text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from orchestrator.model.names import StackName
from orchestrator.model.operations import AnyOperation
from orchestrator.model.plan import Blocked, ServiceStatus


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened to a stack."""

    stack: StackName
    at: datetime


class OperationStarted(Event, frozen=True, kw_only=True, tag=True):
    operation: AnyOperation


class OperationProgressed(Event, frozen=True, kw_only=True, tag=True):
    """A long operation (pull, build, copy) says how far it is."""

    operation: AnyOperation
    text: str


class OperationDone(Event, frozen=True, kw_only=True, tag=True):
    operation: AnyOperation
    took_s: float


class OperationFailed(Event, frozen=True, kw_only=True, tag=True):
    """`temporary`: the loop tries again by itself."""

    operation: AnyOperation
    what: str
    why: str = ""
    fix: str = ""
    temporary: bool = False


class StatusChanged(Event, frozen=True, kw_only=True, tag=True):
    """Where every service of the stack is now, in the order of the graph, and what is blocked."""

    services: tuple[ServiceStatus, ...]
    blocked: tuple[Blocked, ...] = ()


class Noticed(Event, frozen=True, kw_only=True, tag=True):
    """Something that a person should know and that stops nothing: an orphan, a node that is silent."""

    text: str


Emit = Callable[[Event], None]
