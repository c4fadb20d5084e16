"""Loops in memory settle at once, unless a test is about just that; what a test leaves running fails it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest


@pytest.fixture
def settling() -> None:
    """For tests of the moment that the loop waits for what has just started."""


@pytest.fixture
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat of 20 ms; a node is down after 100 ms of silence."""
    monkeypatch.setattr("orchestrator.reconciler.observe.PING_EVERY_S", 0.02)
    monkeypatch.setattr("orchestrator.reconciler.observe.PING_TIMEOUT_S", 0.02)
    monkeypatch.setattr("orchestrator.reconciler.observe.PAUSE_S", 0.001)
    monkeypatch.setattr("orchestrator.reconciler.observe.DOWN_AFTER", timedelta(seconds=0.1))


@pytest.fixture(autouse=True)
def settles_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "settling" not in request.fixturenames:
        monkeypatch.setattr("orchestrator.reconciler.loop.SETTLE_S", 0.0)


@pytest.fixture(autouse=True)
async def leaves_no_task() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    mine = {asyncio.current_task()}
    left = {task.get_coro() for task in asyncio.all_tasks() - before - mine if not task.done()}
    assert not left, f"tasks that nobody ended: {left}"
