"""Prober: runs the health check of a container as soon as it runs: nobody waits for the engine's first interval.

Only a success counts, and only until the engine's own verdict: failures stay the engine's business. Source: DESIGN
section 9; Docker Engine, health checks start one interval after the container.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from orchestrator.errors import EngineError
from orchestrator.model.cluster import Container
from orchestrator.model.spec import Incarnation, ServiceSpec
from orchestrator.planner.classify import incarnation
from orchestrator.reconciler.observe import Observer
from orchestrator.reconciler.tasks import Tasks

PAUSE_FIRST_S, PAUSE_GROWTH, PAUSE_MOST_S = 0.05, 1.6, 2.0
AT_ONCE = 2
"""Checks under way at a time, per node: each costs the engine a process in the container."""
TURN_S = 1.0
TIMEOUT_S = 30.0


class Prober:
    """One task for each container that has not passed its check."""

    def __init__(self, observer: Observer, tasks: Tasks) -> None:
        self._observer, self._tasks = observer, tasks
        self._probes: dict[Incarnation, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}

    def look(self) -> None:
        """Starts what is missing, ends what has become pointless."""
        waiting = {incarnation(c): c for c in self._observer.unchecked() if command_of(c)}
        for key in self._probes.keys() - waiting.keys():
            self._probes.pop(key).cancel()
        for key, container in waiting.items():
            if key not in self._probes:
                self._probes[key] = self._tasks.start(self._probe(container))

    async def _probe(self, c: Container) -> None:
        service = self._observer.stack.services.get(c.service)
        pause_s = PAUSE_FIRST_S
        while not await self._passes(c, _timeout_s(service)):
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * PAUSE_GROWTH, _most_s(service))
        self._observer.check_passed(c)

    async def _passes(self, c: Container, timeout_s: float) -> bool:
        """A check that takes long goes on, but lets others have their turn."""
        async with self._turns.setdefault(c.node, asyncio.Semaphore(AT_ONCE)):
            checking = asyncio.create_task(self._check(c, timeout_s))
            try:
                await asyncio.wait((checking,), timeout=TURN_S)
            except asyncio.CancelledError:
                checking.cancel()
                raise
        return await checking

    async def _check(self, c: Container, timeout_s: float) -> bool:
        with suppress(EngineError):
            result = await self._observer.engines[c.node].exec(c.id, command_of(c), timeout_s=timeout_s)
            return result.exit_code == 0
        return False


def command_of(c: Container) -> tuple[str, ...]:
    """The check as a command line; empty where there is none, or where the image names its own shell."""
    match c.check:
        case ("CMD-SHELL", line):
            return "/bin/sh", "-c", line
        case ("CMD", *command):
            return tuple(command)
    return ()


def _timeout_s(service: ServiceSpec | None) -> float:
    check = service.healthcheck if service else None
    return check.timeout_s if check and check.timeout_s else TIMEOUT_S


def _most_s(service: ServiceSpec | None) -> float:
    """Never more often than the author's interval in the long run, never more rarely than PAUSE_MOST_S."""
    check = service.healthcheck if service else None
    return min(check.interval_s, PAUSE_MOST_S) if check and check.interval_s else PAUSE_MOST_S
