"""The loop: observe, plan, execute, until nothing is left to do. Events, results and deadlines wake it; it never polls.

Each time the world changes, the plan is made anew, and of its operations those are begun whose target nothing works
on. So an operation starts the moment that what it waited for is there, and a change of mind costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from orchestrator.model.cluster import ClusterState, NodeStatus
from orchestrator.model.names import NodeName
from orchestrator.model.plan import AnyOperation, Blocked, Plan, Severity, StartContainer
from orchestrator.model.spec import Intent
from orchestrator.planner import plan, statuses
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.events import Emit, Noticed, StatusChanged
from orchestrator.reconciler.executor import Executor
from orchestrator.reconciler.observe import Observer
from orchestrator.reconciler.prober import Prober

SETTLE_S = 0.25
"""What has just started may end at once; only what outlives this counts as running."""


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
        self._prober = Prober(observer)
        self._wake = asyncio.Event()
        observer.changed = self.wake
        self._under_way: dict[str, tuple[NodeName, asyncio.Task[None]]] = {}
        self._told: tuple[object, ...] = ()
        self._last_start_s = 0.0
        self.settle_s = SETTLE_S
        self.blocked: tuple[Blocked, ...] = ()
        """What the last plan could not do."""

    def wake(self) -> None:
        """The world may have changed."""
        self._wake.set()

    async def run(self) -> Verdict:
        """Until the end. Cancelling gives up the operations under way; the next run goes on from what is then."""
        try:
            while True:
                self._wake.clear()
                cluster, now = self._observer.state(), self._observer.moment()
                decided = plan(self.intent, cluster, now=now)
                self.blocked = decided.blocked
                self._begin(decided)
                self._give_up_on_the_lost()
                self._prober.look()
                self._report(cluster, decided, now)
                if (verdict := self._end(decided, cluster)) and await self._stays_so():
                    return verdict
                await self._sleep(decided, now)
        finally:
            await self._close()

    def _begin(self, decided: Plan) -> None:
        fresh = [op for op in decided.operations if op.target not in self._under_way]
        if fresh:
            self._may_write()
        for operation in fresh:
            task = asyncio.create_task(self._execute(operation))
            self._under_way[operation.target] = (operation.node, task)

    async def _execute(self, operation: AnyOperation) -> None:
        try:
            await self._executor.run(self.intent, operation)
            if isinstance(operation, StartContainer):
                self._last_start_s = monotonic_s()
        finally:
            self._under_way.pop(operation.target, None)
            self.wake()

    def _give_up_on_the_lost(self) -> None:
        """Calls to a node that is down would otherwise hold everything up until their deadlines."""
        for node, task in tuple(self._under_way.values()):
            if self._observer.nodes[node].status is NodeStatus.DOWN:
                task.cancel()

    def _report(self, cluster: ClusterState, decided: Plan, now: datetime) -> None:
        lines = statuses(self.intent, cluster, decided, now=now)
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

    async def _close(self) -> None:
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._prober.close(), return_exceptions=True)


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
