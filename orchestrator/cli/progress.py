"""What a person sees while the loop works: one line per service on a terminal, one line per step elsewhere.

Both are fed by events of the reconciler, from one thread, and write to stderr, so that stdout stays the result's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.cli import output
from orchestrator.model import operations as op
from orchestrator.model import plan
from orchestrator.reconciler import events as e

ONLY_NODE = "local"
"""The node's name where there is no registry of nodes; not worth a word on each line."""

_DONE: dict[type[op.Operation], str] = {
    op.PullImage: "pulled",
    op.BuildImage: "built",
    op.CopyImage: "copied",
    op.CreateNetwork: "created",
    op.RemoveNetwork: "removed",
    op.CreateVolume: "created",
    op.RemoveVolume: "removed",
    op.MoveVolume: "moved",
    op.StartContainer: "started",
    op.StopContainer: "stopped",
    op.RemoveContainer: "removed",
}
"""Steps that get a line of their own when they are done, and its word."""

_SETTLED: dict[plan.Phase, str] = {plan.Phase.READY: "ready", plan.Phase.DONE: "done", plan.Phase.FAILED: "failed"}


@contextmanager
def shown(*, quiet: bool = False) -> Iterator[e.Emit]:
    """Takes events for as long as it is open. quiet: says nothing but what stops nothing and should be known."""
    if quiet:
        yield _notices
    elif output.is_terminal(sys.stderr):
        from orchestrator.cli.live import LiveProgress

        with LiveProgress() as live:
            yield live
    else:
        yield PlainProgress()


def _notices(event: e.Event) -> None:
    if isinstance(event, e.Noticed):
        output.warning(event.text)


class PlainProgress:
    """One line for each step that is done or failed, and for each service that is ready, done or failed."""

    def __init__(self, write: Callable[[str], None] = output.note) -> None:
        self._write = write
        self._phases: dict[str, plan.Phase] = {}

    def __call__(self, event: e.Event) -> None:
        for text in self._lines(event):
            self._write(text)

    def _lines(self, event: e.Event) -> Iterator[str]:
        if isinstance(event, e.StatusChanged):
            yield from self._settled(event)
        elif isinstance(event, e.OperationDone):
            yield from done_line(event)
        elif isinstance(event, e.OperationFailed):
            yield failed_line(event)
        elif isinstance(event, e.OperationProgressed) and isinstance(event.operation, op.MoveVolume):
            yield f"{event.operation.title}: {event.text}"
        elif isinstance(event, e.Noticed):
            yield event.text

    def _settled(self, event: e.StatusChanged) -> Iterator[str]:
        for status in event.services:
            before = self._phases.get(status.service)
            self._phases[status.service] = status.phase
            if status.phase is not before and status.phase in _SETTLED:
                yield service_line(status)


def service_line(status: plan.ServiceStatus) -> str:
    """`web ready (3/3)`, `db failed: exited with 1`."""
    word = _SETTLED.get(status.phase, status.phase.value)
    count = f" ({status.ready}/{status.wanted})" if status.phase is plan.Phase.READY else ""
    return f"{status.service} {word}{count}" + (f": {status.detail}" if status.detail else "")


def done_line(event: e.OperationDone) -> Iterator[str]:
    """`web.1 started (0.3 s)`; nothing for a step that another step's line tells of."""
    if word := _DONE.get(type(event.operation)):
        yield f"{event.operation.subject} {word}{_on(event.operation)} ({output.seconds(event.took_s)})"


def failed_line(event: e.OperationFailed) -> str:
    """What did not work, why, and whether the loop tries again."""
    why = f": {event.why}" if event.why else ""
    again = "; trying again" if event.temporary else ""
    return f"{event.operation.title} failed: {event.what}{why}{again}"


def _on(operation: op.Operation) -> str:
    if isinstance(operation, op.MoveVolume):
        return f" from {operation.source} to {operation.node}"
    return "" if operation.node == ONLY_NODE else f" on {operation.node}"


class Clock:
    """How long each service has been at work: from its first phase that is not waiting to its last."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def saw(self, status: plan.ServiceStatus) -> None:
        at = self._now()
        if status.phase is plan.Phase.WAITING:
            self._begun.pop(status.service, None)
        else:
            self._begun.setdefault(status.service, at)
        if status.phase in _SETTLED or status.phase is plan.Phase.STOPPED:
            self._ended.setdefault(status.service, at)
        else:
            self._ended.pop(status.service, None)

    def spent_s(self, service: str) -> float:
        if service not in self._begun:
            return 0.0
        return self._ended.get(service, self._now()) - self._begun[service]
