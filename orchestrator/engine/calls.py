"""Blocking work for asyncio: a host's own few daemon threads, and deadlines that really end a call.

Never asyncio's default executor: it is joined at exit, and one frozen host would fill it for all the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from orchestrator.engine.scope import Abandoned, Scope, current_scope

T = TypeVar("T")

_Jobs = queue.SimpleQueue[Callable[[], None] | None]

THREADS = 6
"""Per engine. More than 4 calls at once gain nothing on one engine (measured); two are left for questions."""

HELD_BACK = 512
"""Items of a stream that wait for their reader before the thread pauses."""


SOCKET_MARGIN_S = 1.0


class DeadlinePassed(Exception):
    """No answer within `after_s` seconds; the thread that waited for it is free again."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"no answer within {after_s:g} s")
        self.after_s = after_s


class Calls:
    """The threads of one engine. Short calls share a few; a call that is long by nature has a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: _Jobs = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._lock = threading.Lock()
        self._scopes: WeakSet[Scope] = WeakSet()

    async def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """What `work` returns, on one of the shared threads; raises DeadlinePassed, and what `work` raises."""
        return await self._under_deadline(work, timeout_s, self._share)

    async def alone(self, work: Callable[[], T], timeout_s: float, *, idle_s: float | None = None) -> T:
        """The same, on a thread of its own. `timeout_s` may be infinite; `idle_s` as in `stream`."""
        return await self._under_deadline(work, timeout_s, self._spawn, idle_s)

    async def stream(
        self, produce: Callable[[Callable[[T], None]], None], *, idle_s: float | None = None, held: int = HELD_BACK
    ) -> AsyncGenerator[T]:
        """The items that `produce` hands to its argument, on a thread of its own, until it returns.

        idle_s: the longest silence of a socket that is borne; None: silence is no fault.
        held:   how many items may wait for their reader before the thread pauses.
        """
        scope, feed = self._scope(idle_s), Feed[T](asyncio.get_running_loop(), held)
        self._spawn(lambda: feed.fill(lambda emit: _within(scope, lambda: produce(emit))))
        try:
            async for item in feed.items():
                yield item
        finally:
            scope.end()
            feed.abandon()

    def end_all(self) -> None:
        """Gives up all that is under way, and lets the threads go."""
        for scope in tuple(self._scopes):
            scope.end()
        with self._lock:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._jobs, self._threads, self._idle = queue.SimpleQueue(), 0, 0

    async def _under_deadline(
        self,
        work: Callable[[], T],
        timeout_s: float,
        start: Callable[[Callable[[], None]], None],
        idle_s: float | None = None,
    ) -> T:
        limit_s = None if math.isinf(timeout_s) else timeout_s
        # Were the socket's time the same, it would now and then be the one to speak of it, in other words.
        scope = self._scope(idle_s or (limit_s and limit_s + SOCKET_MARGIN_S))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        start(lambda: _deliver(loop, future, lambda: _within(scope, work)))
        try:
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise
            raise DeadlinePassed(timeout_s) from error
        finally:
            if not future.done() or future.cancelled():
                scope.end()

    def _scope(self, timeout_s: float | None) -> Scope:
        scope = Scope(timeout_s)
        self._scopes.add(scope)
        return scope

    def _share(self, job: Callable[[], None]) -> None:
        with self._lock:
            grows = self._idle <= self._jobs.qsize() and self._threads < THREADS
            self._threads += grows
            jobs = self._jobs
        jobs.put(job)
        if grows:
            self._spawn(lambda: self._work(jobs))

    def _spawn(self, job: Callable[[], None]) -> None:
        threading.Thread(target=job, name=f"engine-{self._name}", daemon=True).start()

    def _work(self, jobs: _Jobs) -> None:
        while True:
            with self._lock:
                self._idle += jobs is self._jobs
            job = jobs.get()
            with self._lock:
                self._idle -= jobs is self._jobs
            if job is None:
                return
            job()


def _within(scope: Scope, work: Callable[[], T]) -> T:
    if scope.has_ended:
        raise Abandoned
    token = current_scope.set(scope)
    try:
        result = work()
    finally:
        current_scope.reset(token)
        scope.finish()
    if scope.has_ended:  # what looks like an end may be our own shutting down
        raise Abandoned
    return result


def _deliver(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], work: Callable[[], T]) -> None:
    setter: Callable[[Any], None] = future.set_result
    outcome: Any
    try:
        outcome = work()
    except BaseException as error:
        setter, outcome = future.set_exception, error

    def settle() -> None:
        if not future.done():
            setter(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


class Feed(Generic[T]):
    """Items from a thread to a coroutine, a bounded number of them on the way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, held: int) -> None:
        self._loop, self._held = loop, held
        self._items: deque[T] = deque()
        self._room = threading.Condition()
        self._news = asyncio.Event()
        self._is_over = False
        self._error: BaseException | None = None

    def fill(self, produce: Callable[[Callable[[T], None]], None]) -> None:
        """Runs `produce` to its end, on the thread."""
        try:
            produce(self._put)
        except BaseException as error:
            self._error = error
        self._is_over = True
        self._tell()

    def abandon(self) -> None:
        """The reader is gone: the thread's next item raises Abandoned there."""
        with self._room:
            self._is_over = True
            self._room.notify_all()

    async def items(self) -> AsyncIterator[T]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._items:
                yield self._items.popleft()
                self._make_room()
            if self._is_over and not self._items:
                break
        if self._error is not None:
            raise self._error

    def _put(self, item: T) -> None:
        with self._room:
            while len(self._items) >= self._held and not self._is_over:
                self._room.wait()
            if self._is_over:
                raise Abandoned
            self._items.append(item)
        self._tell()

    def _make_room(self) -> None:
        with self._room:
            if len(self._items) == self._held // 2:
                self._room.notify_all()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._news.set)
