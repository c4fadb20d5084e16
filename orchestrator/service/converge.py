"""One convergence: the stack's lock is held, its nodes are watched, and the loop runs until nothing is left to do."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime

import msgspec

from orchestrator.errors import LeaseLost, RevisionConflict, StoreError
from orchestrator.model.cluster import ClusterState, NodeStatus
from orchestrator.model.names import Digest, NodeName, StackName
from orchestrator.model.plan import Blocked, Plan, Severity
from orchestrator.model.spec import Intent, Mode
from orchestrator.planner.groups import mounted
from orchestrator.planner.world import World
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.events import Emit
from orchestrator.reconciler.executor import Executor
from orchestrator.reconciler.loop import Loop, Verdict, notice
from orchestrator.reconciler.moving import Mover
from orchestrator.reconciler.observe import Observer
from orchestrator.store import StackLock, Stacks, Store, Stored, Vault, hold, sweep


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a `converge` ended. `timed_out` and `superseded_by` (somebody put another revision) exclude `converged`."""

    converged: bool
    revision: int
    took_s: float
    blocked: tuple[Blocked, ...] = ()
    timed_out: bool = False
    superseded_by: int = 0


class Convergence:
    """Makes one stored intent true."""

    def __init__(self, store: Store, vault: Vault, observer: Observer, emit: Emit) -> None:
        self._store, self._vault, self._observer, self._emit = store, vault, observer, emit
        self._stacks = Stacks(store)

    async def run(self, stored: Stored, command: str, *, wait_timeout_s: float | None, detach: bool) -> Outcome:
        """See `Control.converge`."""
        started_s, intent = monotonic_s(), stored.intent
        async with hold(self._store, f"locks/{intent.stack.name}", owner=command) as lock:
            if other := await self._replaced(stored):
                return Outcome(converged=False, revision=intent.revision, took_s=0, superseded_by=other)
            self._tell_what_is_odd(intent)
            await self._keep_homes()
            self._tell_of_doubles(intent)
            outcome = await self._loop(stored, lock, wait_timeout_s, detach)
            if outcome.converged and intent.removed:
                outcome = await self._taken_down(stored, outcome)
        return msgspec.structs.replace(outcome, took_s=monotonic_s() - started_s)

    async def _replaced(self, stored: Stored) -> int:
        """The revision that somebody put while we waited for the lock; 0: none."""
        there = await self._stacks.get(stored.intent.stack.name)
        if there is None:
            return stored.intent.revision
        return 0 if there.stored_at_revision == stored.stored_at_revision else there.intent.revision

    async def _taken_down(self, stored: Stored, outcome: Outcome) -> Outcome:
        """Forgets the stack, unless a node is silent on which some of it may be left: then it is not removed yet."""
        silent = [node.name for node in self._observer.nodes.values() if node.status is not NodeStatus.READY]
        if silent:
            left = tuple(_left_on(node) for node in silent)
            return msgspec.structs.replace(outcome, converged=False, blocked=left)
        with suppress(RevisionConflict):
            await self._stacks.forget(stored.intent.stack.name, replaces=stored)
        with suppress(StoreError):  # what is left lying is found by the next one
            await sweep(self._store)
        return outcome

    async def _loop(self, stored: Stored, lock: StackLock, wait_timeout_s: float | None, detach: bool) -> Outcome:
        intent, observer = stored.intent, self._observer
        executor = Executor(observer, self._content, self._home, self._emit, Mover(observer.engines, self._stacks))
        loop = Loop(intent, observer, executor, self._emit, may_write=lock.check)
        if detach:
            loop.settle_s = 0.0
            loop.is_enough = lambda decided, cluster: _is_started(intent, decided, cluster, observer.moment())
        running = asyncio.create_task(loop.run())
        watching = asyncio.create_task(self._superseded(intent.stack.name, stored))
        try:
            done, _ = await asyncio.wait(
                (running, watching), timeout=wait_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if running in done:
                return _outcome(intent, running.result())
            other = watching.result() if watching in done else 0
            return Outcome(
                converged=False,
                revision=intent.revision,
                took_s=0,
                blocked=loop.blocked,
                timed_out=watching not in done,
                superseded_by=other,
            )
        finally:
            running.cancel()
            watching.cancel()
            await asyncio.gather(running, watching, return_exceptions=True)

    async def _superseded(self, stack: StackName, stored: Stored) -> int:
        """The revision that somebody else put, once it is there."""
        async with aclosing(self._stacks.watch(stack, after=stored.stored_at_revision)) as changes:
            async for change in changes:
                return change.intent.revision if change else stored.intent.revision
        raise LeaseLost("the store ended its watch", fix="run the command again")

    def _tell_what_is_odd(self, intent: Intent) -> None:
        observer = self._observer
        for node in observer.nodes.values():
            if node.status is NodeStatus.DOWN:
                notice(self._emit, observer, f'node "{node.name}" does not answer: {node.trouble}')
        orphans = sorted(c.name for c in observer.state().containers if c.service not in intent.stack.services)
        if orphans and not intent.remove_orphans:
            notice(
                self._emit,
                observer,
                f"containers of services that are not in the file are left alone: {', '.join(orphans)} "
                "(--remove-orphans removes them)",
            )

    def _tell_of_doubles(self, intent: Intent) -> None:
        """Of volumes of one name on several nodes, those that are not the data; a global service wants several."""
        state = self._observer.state()
        services = intent.stack.services.values()
        everywhere = [v for s in services if s.mode is Mode.GLOBAL for v in mounted(intent.stack, s)]
        for volume in sorted(state.volumes, key=lambda v: (v.name, v.node)):
            home, is_ours = state.homes.get(volume.name), volume.stack == intent.stack.name
            is_wanted = volume.name in state.moves or any(spec.covers(volume.name) for spec in everywhere)
            if is_ours and home and home != volume.node and not is_wanted:
                text = f"the data of volume {volume.name} is on {home}; that on {volume.node} is not used"
                remedy = f"orch volume rm --node {volume.node} {volume.name}"
                notice(self._emit, self._observer, f"{text} ({remedy} removes it)")

    async def _keep_homes(self) -> None:
        """Volumes that were made before orch looked (by Docker Compose, or before a crash) get their homes."""
        known = await self._stacks.homes()
        self._observer.begin(known, await self._stacks.moves())
        for volume, node in self._observer.homes.items():
            if volume not in known:
                await self._stacks.set_home(volume, node)

    async def _content(self, digest: Digest) -> bytes:
        return await self._vault.get(digest)

    async def _home(self, volume: str, node: NodeName | None) -> None:
        if node is None:
            await self._stacks.forget_home(volume)
        else:
            await self._stacks.set_home(volume, node)


def _left_on(node: NodeName) -> Blocked:
    return Blocked(
        subject=f"node {node}",
        reason="does not answer: some of the stack may be left there, so it stays declared",
        severity=Severity.FAILED,
        fix=f'"orch down" again when it is back, or "orch node rm --force {node}" to give up what is there',
        node=node,
    )


def _outcome(intent: Intent, verdict: Verdict) -> Outcome:
    return Outcome(converged=verdict.converged, revision=intent.revision, took_s=0, blocked=verdict.blocked)


def _is_started(intent: Intent, decided: Plan, cluster: ClusterState, now: datetime) -> bool:
    """All that is left to wait for are checks of containers that run, and none is to be replaced any more."""
    if decided.is_converged:
        return True
    if any(entry.severity is Severity.FAILED or entry.causes for entry in decided.blocked):
        return False
    world = World(intent, cluster, now)
    running = {c.id for c in world.containers if c.is_running}
    wanted = sum(map(len, world.slots.values()))
    there = sum(c.service in intent.stack.services and world.answers(c.node) for c in world.containers)
    return there <= wanted and all(entry.container in running for entry in decided.blocked)
