"""What a `DockerEngine` stands on: its connection, what it says of itself, how far its clock is from ours."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.engine import observe
from orchestrator.engine.client import Client, version_of
from orchestrator.errors import EngineError
from orchestrator.model.cluster import EngineFacts
from orchestrator.model.names import NodeName

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

T = TypeVar("T")

SLOW = 4
"""An overlay network alone may keep a start waiting for 20 s."""
CLOCK_TOLERANCE_S = 1.0
ROUGH_S = 0.6
"""By an HTTP date, clocks that agree may seem to differ by so much."""


class Connected:
    """One engine's connection. Deadlines: `deadline_s` for questions, SLOW times as much for what has it work."""

    def __init__(self, node: NodeName, endpoint: str, *, deadline_s: float) -> None:
        self.node = node
        self._client = Client(node, endpoint, deadline_s=deadline_s)
        self._slow_s = deadline_s * SLOW
        self._offset_s: float | None = None
        """The engine's clock minus ours, as `facts` measured it last."""

    async def ping(self, *, timeout_s: float = 3.0) -> None:
        await self._client.ping(timeout_s)

    async def facts(self) -> EngineFacts:
        def ask(api: Api) -> EngineFacts:
            version, asked_at = version_of(api), time.time()
            info = api.info()
            return observe.facts_of(info, version, clock_offset_s=_offset(info, asked_at, time.time()))

        facts = await self._client.call("ask the engine about itself", ask)
        self._offset_s = facts.clock_offset_s
        return facts

    async def close(self) -> None:
        await self._client.close()

    async def _work(self, doing: str, work: Callable[[Api], T]) -> T:
        return await self._client.call(doing, work, timeout_s=self._slow_s)

    async def _clock_offset_s(self) -> float:
        """0 while the clocks agree to a second. Asks the engine only when the date of an answer looked wrong."""
        await self._client.agree()
        if self._offset_s is None and abs(self._client.clock_offset_s) < ROUGH_S:
            return 0.0
        offset_s = (await self.facts()).clock_offset_s if self._offset_s is None else self._offset_s
        return offset_s if abs(offset_s) > CLOCK_TOLERANCE_S else 0.0


def short(id: str) -> str:
    """As `docker ps` shows it."""
    return id[:12]


def unless_gone(ask: Callable[[], T]) -> T | None:
    """What `ask` gives, or None where the engine has no such thing."""
    from docker.errors import NotFound as Gone

    try:
        return ask()
    except Gone:
        return None


@contextlib.contextmanager
def already(*patterns: str) -> Iterator[None]:
    """What is already so is no error: refusals that match one of `patterns` are let pass."""
    try:
        yield
    except EngineError as error:
        if not any(re.search(pattern, error.why, re.IGNORECASE) for pattern in patterns):
            raise


def _offset(info: Mapping[str, Any], asked_at: float, answered_at: float) -> float:
    """The engine's clock minus ours, taken in the middle of the call."""
    at = observe.moment(info.get("SystemTime"))
    return 0.0 if at is None else round(at.timestamp() - (asked_at + answered_at) / 2, 3)
