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

PAUSE_FIRST_S, PAUSE_GROWTH, PAUSE_MOST_S = 0.05, 1.6, 2.0
AT_ONCE = 2
"""Checks under way at a time, per node: each costs the engine a process in the container."""
TIMEOUT_S = 30.0


class Prober:
    """One task for each container that has not passed its check."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._tasks: dict[Incarnation, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Semaphore] = {}

    def look(self) -> None:
        """Starts what is missing, ends what has become pointless."""
        waiting = {incarnation(c): c for c in self._observer.unchecked() if command_of(c)}
        for key in self._tasks.keys() - waiting.keys():
            self._tasks.pop(key).cancel()
        for key, container in waiting.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.create_task(self._probe(container))

    async def _probe(self, c: Container) -> None:
        turn = self._turns.setdefault(c.node, asyncio.Semaphore(AT_ONCE))
        service = self._observer.stack.services.get(c.service)
        pause_s = PAUSE_FIRST_S
        while True:
            async with turn:
                if await self._passes(c, _timeout_s(service)):
                    self._observer.check_passed(c)
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * PAUSE_GROWTH, _most_s(service))

    async def _passes(self, c: Container, timeout_s: float) -> bool:
        with suppress(EngineError):
            result = await self._observer.engines[c.node].exec(c.id, command_of(c), timeout_s=timeout_s)
            return result.exit_code == 0
        return False

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


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
