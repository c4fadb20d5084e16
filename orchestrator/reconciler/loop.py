"""The loop: observe, plan, execute, until nothing is left to do. Events, results and deadlines wake it; it never polls.

Each time the world changes, the plan is made anew, and of its operations those are begun whose target nothing works
on. So an operation starts the moment that what it waited for is there, and a change of mind costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from orchestrator.model.cluster import ClusterState, NodeStatus
from orchestrator.model.names import NodeName
from orchestrator.model.operations import (
    AnyOperation,
    CopyImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    MoveVolume,
    StartContainer,
)
from orchestrator.model.plan import Blocked, Plan, Severity
from orchestrator.model.spec import Incarnation, Intent
from orchestrator.planner import Slots, World, plan_slots, statuses
from orchestrator.planner.classify import incarnation
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.events import Emit, Noticed, StatusChanged
from orchestrator.reconciler.executor import Executor
from orchestrator.reconciler.observe import Observer
from orchestrator.reconciler.prober import Prober
from orchestrator.reconciler.tasks import Tasks

SETTLE_S = 0.25
"""What has just started may end at once; only what outlives this counts as running."""


REST_FROM_S, REST_MOST_S = 0.02, 0.5
"""A pass that takes long is followed by a rest as long: one plan answers all events that come in meanwhile."""


CHANGED = {
    NodeStatus.READY: "answers again",
    NodeStatus.SUSPECT: "has stopped answering: {}",
    NodeStatus.DOWN: "is taken for down: {}",
}


MAKING = (CreateContainer, CreateVolume, CreateNetwork)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a run of the loop ended: nothing left to do, or nothing that can be done without a person."""

    converged: bool
    blocked: tuple[Blocked, ...] = ()


class Loop:
    """Runs passes for one stack until it is what was asked for, or can't become so."""

    def __init__(
        self,
        intent: Intent,
        observer: Observer,
        executor: Executor,
        emit: Emit,
        *,
        may_write: Callable[[], None] = lambda: None,
        is_enough: Callable[[Plan, ClusterState], bool] = lambda decided, _: decided.is_converged,
    ) -> None:
        self.intent, self._observer, self._executor, self._emit = intent, observer, executor, emit
        self._may_write, self.is_enough = may_write, is_enough
        self._wake = asyncio.Event()
        self._tasks = Tasks(self.wake)
        self._prober = Prober(observer, self._tasks)
        observer.changed = self.wake
        self._under_way: dict[str, tuple[AnyOperation, asyncio.Task[None]]] = {}
        self._due: dict[str, type[AnyOperation]] = {}
        self._told: tuple[object, ...] = ()
        self._seen: dict[NodeName, NodeStatus] = {}
        self._last_start_s = 0.0
        self._runs: set[Incarnation] | None = None
        self.settle_s = SETTLE_S
        self.blocked: tuple[Blocked, ...] = ()
        """What the last plan could not do."""

    def wake(self) -> None:
        """The world may have changed."""
        self._wake.set()

    async def run(self) -> Verdict:
        """Until the end. Cancelling gives up the operations under way; the next run goes on from what is then."""
        try:
            verdict = None
            while verdict is None:
                verdict = await self._pass()
                self._tasks.check()
                self._observer.check()
            return verdict
        finally:
            await self._tasks.close()

    async def _pass(self) -> Verdict | None:
        """One plan, begun; returns when it is time for the next."""
        self._wake.clear()
        began_s, cluster, now = monotonic_s(), self._cluster(), self._observer.moment()
        self._note_starts(cluster)
        slots = Slots(World(self.intent, cluster, now))
        decided = plan_slots(slots)
        self.blocked = decided.blocked
        self._begin(decided)
        self._give_up_on_the_lost()
        self._prober.look()
        self._tell_of_nodes()
        self._report(slots, decided, now)
        took_s = monotonic_s() - began_s
        if (verdict := self._end(decided, cluster)) and await self._stays_so():
            return verdict
        await self._sleep(decided, now)
        await asyncio.sleep(min(took_s, REST_MOST_S) if took_s > REST_FROM_S else 0)
        return None

    def _note_starts(self, cluster: ClusterState) -> None:
        """Those by an engine's restart policy count, too: what ends at once again and again never settles."""
        runs = {incarnation(c) for c in cluster.containers if c.is_running}
        if self._runs is not None and runs - self._runs:
            self._last_start_s = monotonic_s()
        self._runs = runs

    def _cluster(self) -> ClusterState:
        """What is, and what is being made right now, so that the next plan does not put it elsewhere."""
        making = (op for op, _ in self._under_way.values() if isinstance(op, MAKING))
        return replace(self._observer.state(), creating={op.subject: op.node for op in making})

    def _begin(self, decided: Plan) -> None:
        self._due = {_subject(op): type(op) for op in decided.operations}
        for operation in decided.operations:
            if _subject(operation) not in self._under_way:
                self._start(operation)

    def _start(self, operation: AnyOperation) -> None:
        self._may_write()
        subject, task = _subject(operation), self._tasks.start(self._execute(operation))
        self._under_way[subject] = (operation, task)
        task.add_done_callback(partial(self._ended, subject))

    def _ended(self, subject: str, _: asyncio.Task[None]) -> None:
        del self._under_way[subject]

    async def _execute(self, operation: AnyOperation) -> None:
        await self._executor.run(self.intent, operation, lambda: self._is_due(operation))
        if isinstance(operation, StartContainer):
            self._last_start_s = monotonic_s()

    def _is_due(self, operation: AnyOperation) -> bool:
        """The last plan still has it, though it had to wait for its turn. What `may_write` raises ends the run."""
        self._may_write()
        return self._due.get(_subject(operation)) is type(operation)

    def _give_up_on_the_lost(self) -> None:
        """Calls to a node that is down would otherwise hold everything up until their deadlines."""
        for operation, task in self._under_way.values():
            nodes = {operation.node, *([operation.source] if isinstance(operation, CopyImage | MoveVolume) else [])}
            if any(self._observer.nodes[node].status is NodeStatus.DOWN for node in nodes):
                task.cancel()

    def _tell_of_nodes(self) -> None:
        """Of nodes that have changed since the last pass: who waits should know for what."""
        for name, node in self._observer.nodes.items():
            before = self._seen.setdefault(name, node.status)
            self._seen[name] = node.status
            if node.status is not before:
                notice(self._emit, self._observer, f'node "{name}" {CHANGED[node.status].format(node.trouble)}')

    def _report(self, slots: Slots, decided: Plan, now: datetime) -> None:
        lines = statuses(slots, decided)
        if (lines, decided.blocked) != self._told:
            self._told = (lines, decided.blocked)
            stack = self.intent.stack.name
            self._emit(StatusChanged(stack=stack, at=now, services=lines, blocked=decided.blocked))

    def _end(self, decided: Plan, cluster: ClusterState) -> Verdict | None:
        """None while something is under way, or may still change by itself."""
        if self._under_way or decided.operations:
            return None
        if self.is_enough(decided, cluster):
            return Verdict(converged=True)
        if is_hopeless(decided.blocked):
            return Verdict(converged=False, blocked=decided.blocked)
        return None

    async def _stays_so(self) -> bool:
        """True if nothing happens until what was started last has run for `settle_s`."""
        left_s = self._last_start_s + self.settle_s - monotonic_s()
        if left_s <= 0:
            return not self._wake.is_set()
        return not await self._woken(left_s)

    async def _sleep(self, decided: Plan, now: datetime) -> None:
        left_s = max(0.0, (decided.wake_at - now).total_seconds()) if decided.wake_at else None
        await self._woken(left_s)

    async def _woken(self, within_s: float | None) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


def _subject(operation: AnyOperation) -> str:
    """Of two operations with one subject only one is under way: they work on one thing, or make the same.

    While one node makes a slot's container or a volume, the next plan may find another node better: not twice.
    """
    if isinstance(operation, CreateContainer):
        return f"slot {operation.subject}"
    if isinstance(operation, CreateVolume):
        return operation.subject
    return operation.target


def is_hopeless(blocked: tuple[Blocked, ...]) -> bool:
    """Everything that is blocked has failed, or waits for something that has."""
    lost = {entry.subject for entry in blocked if entry.severity is Severity.FAILED}
    if not lost:
        return False
    while more := {b.subject for b in blocked if b.subject not in lost and lost.intersection(b.causes)}:
        lost |= more
    return all(entry.subject in lost for entry in blocked)


def notice(emit: Emit, observer: Observer, text: str) -> None:
    emit(Noticed(stack=observer.stack_name, at=observer.moment(), text=text))
