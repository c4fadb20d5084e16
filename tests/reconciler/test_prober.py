"""Checks that we run ourselves: as soon as a container runs, never more than a few at a time, and never for long."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.engine.protocol import ExecResult
from orchestrator.errors import Refused
from orchestrator.model.spec import StackSpec
from orchestrator.reconciler.prober import command_of
from tests.reconciler.cluster import N1, Cluster, Slow, eventually, made, running


def checked(count: int = 1, **check: Any) -> StackSpec:
    health = {"test": ["CMD", "check"], "interval": "60s", **check}
    return made({f"s{n}": {"healthcheck": health, "network_mode": "none"} for n in range(count)})


def execs(cluster: Cluster) -> int:
    return len([call for call, _ in cluster.n1.calls if call == "exec"])


def slow_to_be_healthy(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.behaves(name, healthy_after_s=60.0)


async def test_a_container_is_ready_at_the_first_success_of_its_check() -> None:
    """The engine would look after its interval of a minute."""
    cluster = Cluster()
    async with asyncio.timeout(1), running(cluster, checked()) as run:
        assert (await run.until_end()).converged

    assert execs(cluster) == 1


async def test_the_pauses_between_checks_grow_up_to_the_interval_of_the_author(monkeypatch: Any) -> None:
    cluster = Cluster()
    slow_to_be_healthy(cluster, "s0")
    at: list[float] = []
    loop = asyncio.get_running_loop()
    ask = cluster.n1.exec

    async def exec(*args: Any, **options: Any) -> ExecResult:
        at.append(loop.time())
        return await ask(*args, **options)

    monkeypatch.setattr(cluster.n1, "exec", exec)
    async with running(cluster, checked(interval="200ms")) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: len(at) == 7)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert pauses[0] == pytest.approx(0.05, abs=0.03)
    assert pauses[2] > pauses[0] * 1.5
    assert max(pauses) == pytest.approx(0.2, abs=0.06)


async def test_a_check_has_the_time_that_its_author_gave_it() -> None:
    cluster = Cluster()
    asked: list[float] = []

    async def exec(*_: Any, timeout_s: float, **__: Any) -> ExecResult:
        asked.append(timeout_s)
        return ExecResult(exit_code=0, output="")

    cluster.n1.exec = exec  # type: ignore[method-assign]  # it only notes
    async with running(cluster, checked(timeout="7s")) as run:
        assert (await run.until_end()).converged

    assert asked == [7.0]


@pytest.mark.parametrize("end", ["gone", "healthy", "dead"])
async def test_checks_end_when_the_container_is(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.reconciler.prober.PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr("orchestrator.reconciler.prober.PAUSE_GROWTH", 1.0)
    cluster = Cluster()
    slow_to_be_healthy(cluster, "s0", "s1")
    async with running(cluster, checked(2)) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: execs(cluster) >= 4)
        c = next(c for c in run.observer.unchecked() if c.service == "s0")
        if end == "healthy":
            cluster.n1.turn(c.name, type(c.health)("healthy"))
        elif end == "dead":
            cluster.n1.die(c.name)
        else:
            await cluster.n1.remove(c.id, force=True)
        await asyncio.sleep(0.03)
        named = ("exec", c.id if end == "gone" else c.name)
        asked = cluster.n1.calls.count(named)
        await asyncio.sleep(0.1)
        assert cluster.n1.calls.count(named) == asked
        assert not working.done(), "s1 is still checked"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_checks_that_hang_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.reconciler.prober.TURN_S", 0.05)
    cluster = Cluster()
    ask = cluster.n1.exec

    async def exec(container: Any, *args: Any, **options: Any) -> ExecResult:
        if cluster.n1._name(container) in ("shop-s0-1", "shop-s1-1", "shop-s2-1"):
            await asyncio.Event().wait()
        return await ask(container, *args, **options)

    monkeypatch.setattr(cluster.n1, "exec", exec)
    async with running(cluster, checked(5)) as run:
        working = asyncio.create_task(run.until_end())
        await eventually(lambda: [c.service for c in run.observer.unchecked()] == ["s0", "s1", "s2"], within_s=2)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_two_checks_at_once_on_a_node() -> None:
    cluster = Cluster()
    slow = Slow(cluster.n1)
    slow.after_s["exec"] = (0.01, 0.0)
    async with running(cluster, checked(8), slow={N1: slow}) as run:
        assert (await run.until_end()).converged

    assert slow.most["exec"] == 2


async def test_a_check_that_the_engine_refuses_is_no_success_and_no_failure() -> None:
    cluster = Cluster()
    cluster.n1.fail("exec", Refused("no", why="exec: /bin/sh: not found"), times=2)
    async with running(cluster, checked()) as run:
        assert (await run.until_end()).converged

    assert execs(cluster) == 3
    assert run.observer.failures == {}


@pytest.mark.parametrize(
    ("check", "command"),
    [
        (("CMD-SHELL", "curl -f x"), ("/bin/sh", "-c", "curl -f x")),
        (("CMD", "pg_isready", "-q"), ("pg_isready", "-q")),
        (("NONE",), ()),
        ((), ()),
    ],
)
async def test_the_command_of_a_check(check: tuple[str, ...], command: tuple[str, ...]) -> None:
    cluster = Cluster()
    await cluster.up(made({"web": None}))
    assert command_of(replace((await cluster.containers())[0], check=check)) == command
