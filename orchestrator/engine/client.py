"""One engine's connection: made at the first call, its API version agreed on once, each call under a deadline.

Errors leave here as ours (`failures.py`); threads and deadlines are `calls.py`, sockets `transport.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.engine.calls import HELD_BACK, Calls
from orchestrator.engine.endpoint import Endpoint, parse_endpoint
from orchestrator.engine.failures import explained, is_a_failure
from orchestrator.engine.tunnel import Tunnel
from orchestrator.errors import TooOld
from orchestrator.model.names import NodeName

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

T = TypeVar("T")
ApiVersion = tuple[int, int]

OLDEST: ApiVersion = (1, 30)
"""Docker 17.06: mounts, and a check's start period."""
NEWEST: ApiVersion = (1, 49)
"""Docker 28.1. Later ones are spoken to in this version."""
PROBE_S = 10.0


class Client:
    """A lazy connection to one engine. `deadline_s` is for short calls; each call may name its own."""

    def __init__(self, node: NodeName, endpoint: str, *, deadline_s: float) -> None:
        self.node, self.endpoint, self.deadline_s = node, endpoint, deadline_s
        self.reached: Endpoint = parse_endpoint(endpoint)
        """Where the socket is: for ssh the tunnel's end here, once it is open."""
        self.version: ApiVersion = (0, 0)
        """Agreed on with the engine; (0, 0) until then."""
        self.clock_offset_s = 0.0
        """The engine's clock minus ours, to half a second, as of that moment."""
        self._calls = Calls(node)
        self._tunnel = Tunnel(self.reached) if self.reached.scheme == "ssh" else None
        self._api: Api | None = None
        self._pulse: Api | None = None
        self._making = Lock()
        self._agreeing: asyncio.Lock | None = None

    async def call(
        self,
        doing: str,
        work: Callable[[Api], T],
        *,
        timeout_s: float | None = None,
        alone: bool = False,
        idle_s: float | None = None,
    ) -> T:
        """What `work` returns on one of the engine's threads; raises EngineError about `doing`.

        timeout_s: for the whole call; None: the engine's `deadline_s`.
        alone:     on a thread of its own, for calls that are long by nature; `idle_s` then bounds a socket's silence.
        """
        limit_s = timeout_s or self.deadline_s
        try:
            await self._agree()
            if alone:
                return await self._calls.alone(lambda: work(self.api()), limit_s, idle_s=idle_s)
            return await self._calls.run(lambda: work(self.api()), limit_s)
        except Exception as error:
            raise self._explained(error, doing) from error

    async def stream(
        self,
        doing: str,
        produce: Callable[[Api, Callable[[T], None]], None],
        *,
        idle_s: float | None = None,
        held: int = HELD_BACK,
    ) -> AsyncGenerator[T]:
        """The items that `produce` emits on a thread of its own; raises EngineError about `doing`."""
        try:
            await self._agree()

            def work(emit: Callable[[T], None]) -> None:
                produce(self.api(), emit)

            async with aclosing(self._calls.stream(work, idle_s=idle_s, held=held)) as items:
                async for item in items:
                    yield item
        except Exception as error:
            raise self._explained(error, doing) from error

    async def ping(self, timeout_s: float) -> None:
        """On a connection and a thread of its own, so that it tells of the engine and not of our other calls."""
        try:
            await self._calls.alone(self._ping, timeout_s)
        except Exception as error:
            raise self._explained(error, f"reach the engine at {self.endpoint}") from error

    async def agree(self) -> None:
        """After this `version` and `clock_offset_s` are known; raises EngineError."""
        try:
            await self._agree()
        except Exception as error:
            raise self._explained(error, "agree on an API version") from error

    async def _agree(self) -> None:
        if self.version != (0, 0):
            return
        self._agreeing = self._agreeing or asyncio.Lock()
        async with self._agreeing:
            if self.version == (0, 0):
                probe_s = min(PROBE_S, self.deadline_s)
                answer = await self._calls.run(lambda: version_of(self.api()), probe_s)
                self.clock_offset_s, self.version = answer["ClockOffset"], agreed(answer)
                self.api().speak(self.version)

    def api(self) -> Api:
        """The SDK's client, made when first needed. On a thread: its import takes 75 ms, a tunnel longer."""
        with self._making:
            if self._tunnel is not None and self._tunnel.has_fallen():
                self._api = self._pulse = None
            if self._api is None:
                self._api = self._connected()
            return self._api

    async def close(self) -> None:
        """Ends all calls and streams under way, and ssh."""
        self._calls.end_all()
        await self._calls.alone(self._close, PROBE_S)

    def _close(self) -> None:
        for api in (self._api, self._pulse):
            if api is not None:
                api.close()
        if self._tunnel is not None:
            self._tunnel.close()
        self._api = self._pulse = None

    def _connected(self) -> Api:
        from orchestrator.engine.transport import Api

        if self._tunnel is not None:
            self.reached = Endpoint(scheme="unix", path=self._tunnel.open())
        api = Api(self.reached)
        if self.version != (0, 0):
            api.speak(self.version)
        return api

    def _ping(self) -> None:
        self.api()
        with self._making:
            if self._pulse is None:
                self._pulse = self._connected()
            pulse = self._pulse
        pulse.open("GET", "/_ping", is_versioned=False)

    def _explained(self, error: Exception, doing: str) -> Exception:
        if not is_a_failure(error):
            return error
        explained_error = explained(error, node=self.node, doing=doing)
        if "client version" in explained_error.why:
            self.version = (0, 0)  # another engine answers there now: it will be asked anew
        if explained_error.temporary and self._api is not None:
            self._api.forget_connections()
        return explained_error


def version_of(api: Api) -> dict[str, Any]:
    """`GET /version`, with what the clocks say added: `ClockOffset` in seconds, the engine's minus ours."""
    asked_at = time.time()
    response = api.open("GET", "/version", is_versioned=False)
    answer: dict[str, Any] = response.json()
    return answer | {"ClockOffset": _clock_offset(response.headers.get("Date"), (asked_at + time.time()) / 2)}


def _clock_offset(date: str | None, now: float) -> float:
    """To half a second: an HTTP date has whole seconds."""
    if not date:
        return 0.0
    from email.utils import parsedate_to_datetime

    return parsedate_to_datetime(date).timestamp() + 0.5 - now


def agreed(version: dict[str, Any]) -> ApiVersion:
    """The API version to speak: the newest that both know; raises TooOld when there is none."""
    newest, oldest = _pair(version.get("ApiVersion")), _pair(version.get("MinAPIVersion"))
    if newest < OLDEST:
        raise TooOld(
            "the engine is too old",
            why=f"it speaks API {newest[0]}.{newest[1]}, and orch needs {OLDEST[0]}.{OLDEST[1]}",
            fix="install Docker Engine 20.10 or later on this host",
        )
    if oldest > NEWEST:
        raise TooOld(
            "the engine is newer than this orch",
            why=f"it speaks no API before {oldest[0]}.{oldest[1]}, and orch knows {NEWEST[0]}.{NEWEST[1]}",
            fix="install a later orch",
        )
    return min(newest, NEWEST)


def _pair(text: object) -> ApiVersion:
    try:
        major, minor = str(text or "0.0").split(".")[:2]
        return int(major), int(minor)
    except ValueError as error:
        raise TooOld("the engine names no API version that orch knows", why=f'it says "{text}"') from error
