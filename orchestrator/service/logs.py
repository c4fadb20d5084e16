"""Logs of many containers as one stream, by time; with `follow`, newcomers join."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from heapq import merge

import msgspec

from orchestrator.engine.protocol import Engine, EventKind, LogLine
from orchestrator.errors import EngineError, UsageError
from orchestrator.model.cluster import Container
from orchestrator.model.names import ContainerId, NodeName
from orchestrator.reconciler.tasks import Tasks

LISTEN_AGAIN_S = 1.0
"""After a stream of events has broken."""


class TaggedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A log line and the container that wrote it."""

    container: Container
    line: LogLine


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted. `tail` counts per container, as in Docker Compose."""

    tail: int | None = None
    since: datetime | None = None
    until: datetime | None = None


SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def moment(text: str, now: datetime) -> datetime | None:
    """`--since`: RFC 3339, Unix seconds, or a span such as `1h30m` before now; None for "".

    raises UsageError. Source: docker logs.
    """
    if not text:
        return None
    if (span := SPAN.fullmatch(text)) and any(span.groups()):
        hours, minutes, seconds = (float(part or 0) for part in span.groups())
        return now - timedelta(hours=hours, minutes=minutes, seconds=seconds)
    with suppress(ValueError, OverflowError, OSError):
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.astimezone()
    raise UsageError(f'"{text}" is no time', fix='give 2026-01-31T15:00:00Z, Unix seconds, or a span such as "10m"')


async def merged(
    engines: dict[NodeName, Engine], containers: tuple[Container, ...], window: Window
) -> AsyncIterator[TaggedLine]:
    """All lines so far, by their time."""
    read = await asyncio.gather(*(_lines(engines[c.node], c, window) for c in containers))
    for tagged in merge(*read, key=_at):
        yield tagged


async def _lines(engine: Engine, c: Container, window: Window) -> list[TaggedLine]:
    stream = engine.logs(c.id, tail=window.tail, since=window.since, until=window.until, timestamps=True)
    with suppress(EngineError):
        return [TaggedLine(container=c, line=line) async for line in stream]
    return []


def _at(tagged: TaggedLine) -> datetime:
    return tagged.line.at or datetime.min.replace(tzinfo=UTC)


async def followed(
    engines: dict[NodeName, Engine],
    containers: tuple[Container, ...],
    window: Window,
    is_wanted: Callable[[Container], bool],
) -> AsyncIterator[TaggedLine]:
    """All lines so far and to come; a container that starts later is followed from its start."""
    follower = _Follower(engines, window, is_wanted)
    try:
        async for tagged in follower.run(containers):
            yield tagged
    finally:
        await follower.close()


class _Follower:
    def __init__(self, engines: dict[NodeName, Engine], window: Window, is_wanted: Callable[[Container], bool]) -> None:
        self._engines, self._window, self._is_wanted = engines, window, is_wanted
        self._queue: asyncio.Queue[TaggedLine | None] = asyncio.Queue(maxsize=1000)
        self._tasks = Tasks(self._wake)
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, datetime] = {}
        """By id of the container: the time of the last line that was passed on."""

    async def run(self, containers: tuple[Container, ...]) -> AsyncIterator[TaggedLine]:
        for node in self._engines:
            self._tasks.start(self._newcomers(node))
        for container in containers:
            self._follow(container, self._window)
        while True:
            tagged = await self._queue.get()
            self._tasks.check()
            if tagged is not None:
                yield tagged

    def _wake(self) -> None:
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)

    def _follow(self, c: Container, window: Window) -> None:
        self._readers[c.id] = self._tasks.start(self._copy(c, window, self._readers.get(c.id)))

    async def _copy(self, c: Container, window: Window, earlier: asyncio.Task[None] | None) -> None:
        """`earlier` may still be reading the run before; what it has passed on is not told twice."""
        if earlier is not None:
            await asyncio.wait((earlier,))
        stream = self._engines[c.node].logs(
            c.id, follow=True, tail=window.tail, since=window.since, until=window.until, timestamps=True
        )
        told = self._told.get(c.id, datetime.min.replace(tzinfo=UTC))
        with suppress(EngineError):
            async for line in stream:
                if line.at is None or line.at > told:
                    self._told[c.id] = line.at or told
                    await self._queue.put(TaggedLine(container=c, line=line))

    async def _newcomers(self, node: NodeName) -> None:
        """Containers that start on the node; a stream that breaks is opened anew."""
        while True:
            with suppress(EngineError):
                async for event in self._engines[node].events():
                    if event.kind is EventKind.START:
                        await self._join(node, ContainerId(event.id))
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _join(self, node: NodeName, id: ContainerId) -> None:
        with suppress(EngineError):  # it may be gone already
            container = await self._engines[node].container(id)
            if self._is_wanted(container):
                self._follow(container, Window(since=container.started_at, until=self._window.until))

    async def close(self) -> None:
        await self._tasks.close()
