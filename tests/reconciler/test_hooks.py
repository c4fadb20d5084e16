"""`post_start` and `pre_stop`: when they run, who waits for them, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.engine.protocol import ExecResult
from orchestrator.errors import Unreachable
from orchestrator.model.cluster import ContainerState
from orchestrator.model.plan import Severity
from orchestrator.reconciler.events import Noticed, OperationFailed
from tests.reconciler.cluster import SHOP, Cluster, made, only

FILL = ("fill", "--all")
FAREWELL = ("say", "bye")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, list[tuple[Any, ...]]]:
    """A cluster, and what was asked of its engine, in order: starts, stops and commands with their options."""
    cluster, calls = Cluster(), []
    for name in ("start", "stop", "exec"):
        monkeypatch.setattr(cluster.n1, name, _recorded(calls, name, getattr(cluster.n1, name)))
    return cluster, calls


def _recorded(calls: list[tuple[Any, ...]], name: str, call: Any) -> Any:
    async def work(container: str, *args: Any, **options: Any) -> Any:
        if name == "exec" and args[0] not in (FILL, FAREWELL):
            return await call(container, *args, **options)
        calls.append((name, *args, options) if name == "exec" else (name,))
        return await call(container, *args, **options)

    return work


async def test_a_hook_runs_after_the_start_and_before_those_who_wait_for_it(
    told: tuple[Cluster, list[tuple[Any, ...]]],
) -> None:
    cluster, calls = told
    hook = {"command": list(FILL), "user": "7", "privileged": True, "working_dir": "/w", "environment": {"A": "1"}}
    stack = made({"db": {"post_start": [hook]}, "web": {"depends_on": ["db"]}})

    assert (await cluster.up(stack)).converged
    options = {"user": "7", "env": ["A=1"], "workdir": "/w", "privileged": True, "timeout_s": 600.0}
    assert calls == [("start",), ("exec", FILL, options), ("start",)]


async def test_a_service_whose_hook_failed_runs_but_is_not_what_was_asked_for() -> None:
    cluster = Cluster()
    cluster.behaves("db", answers={FILL: ExecResult(exit_code=3, output="no room\n")})
    stack = made({"db": {"post_start": [{"command": list(FILL)}]}})

    outcome = await cluster.up(stack)

    assert not outcome.converged
    assert [(b.subject, b.reason, b.severity) for b in outcome.blocked] == [
        ("db.1", 'the post_start hook "fill --all" of db.1 failed: it exited with 3: no room', Severity.FAILED)
    ]
    assert (await cluster.container("shop-db-1")).state is ContainerState.RUNNING
    assert len(only(cluster.events, OperationFailed)) == 1


async def test_a_hook_runs_before_the_stop(told: tuple[Cluster, list[tuple[Any, ...]]]) -> None:
    cluster, calls = told
    await cluster.up(made({"db": {"pre_stop": [{"command": list(FAREWELL)}]}}))
    calls.clear()

    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert [call[0] for call in calls] == ["exec", "stop"]


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_it_stops_whatever_comes_of_its_hook(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.behaves("db", answers={FAREWELL: ExecResult(exit_code=1, output="nobody there")})
    await cluster.up(made({"db": {"pre_stop": [{"command": list(FAREWELL)}]}}))
    if how == "hangs":

        async def no_answer(*_: Any, **__: Any) -> ExecResult:
            await asyncio.sleep(0)
            raise Unreachable("no answer", why="the deadline passed")

        monkeypatch.setattr(cluster.n1, "exec", no_answer)

    assert (await cluster.run(lambda control: control.down(SHOP))).converged
    assert await cluster.names() == []
    why = "the deadline passed" if how == "hangs" else "it exited with 1: nobody there"
    assert [why in event.text for event in only(cluster.events, Noticed)] == [True]


async def test_another_pre_stop_replaces_nothing_and_another_post_start_does() -> None:
    cluster = Cluster()
    await cluster.up(made({"db": None}))
    first = (await cluster.container("shop-db-1")).id
    await cluster.up(made({"db": {"pre_stop": [{"command": list(FAREWELL)}]}}))
    assert (await cluster.container("shop-db-1")).id == first

    await cluster.up(made({"db": {"post_start": [{"command": list(FILL)}]}}))

    assert (await cluster.container("shop-db-1")).id != first
