"""Two commands at one stack, and commands that are ended early: the loser is told, and the next `up` finishes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.store import SqliteStore, hold
from tests.integration.steps import Engines, Orch, eventually

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("contest"), pytest.mark.usefixtures("one")]


def stack(orch: Orch, edition: int, file: str = "stack.yml", ready_after_s: float = 2) -> str:
    """`last` waits for the health of `slow`, so an `up` takes a while. Every edition is another configuration."""
    common = "image: orch/busybox:1, stop_signal: SIGKILL"
    orch.stack(
        f"""
name: s
services:
  slow:
    {{{common}, environment: {{EDITION: "{edition}"}}, healthcheck: {{test: "test -e /ready", interval: 1s}},
      command: [sh, -c, "sleep {ready_after_s}; touch /ready; exec idle"]}}
  last:
    {{{common}, command: [idle], depends_on: {{slow: {{condition: service_healthy}}}}}}
""",
        file,
    )
    return file


def await_start(engines: Engines, name: str, edition: int) -> None:
    def runs() -> bool:
        box = next((box for box in engines.boxes("s") if box.name.startswith(name)), None)
        assert box is not None
        return box.state == "running" and f"EDITION={edition}" in box.raw["Config"]["Env"]

    eventually(runs, within_s=20)


def require_converged(engines: Engines, edition: int) -> None:
    assert [box.what for box in engines.boxes("s")] == [("s-last-1", "running"), ("s-slow-1", "running")]
    assert f"EDITION={edition}" in engines.box("s", "s-slow-1").raw["Config"]["Env"]


def test_of_two_ups_at_the_same_time_one_wins_and_the_other_is_told(orch: Orch, engines: Engines) -> None:
    file = stack(orch, 1)
    both = [orch.start("up", "-f", file) for _ in range(2)]
    ended = sorted((running.ended() for running in both), key=lambda done: done.code)

    assert [done.code for done in ended] == [0, 1], ended
    assert 'orch: stack "s" was changed by somebody else meanwhile\n' in ended[1].err or (
        'orch: another command took over stack "s"\n' in ended[1].err
    )
    assert "  fix: " in ended[1].err
    require_converged(engines, 1)
    assert orch("plan", "-f", file).out == "nothing to do\n"


def test_a_later_up_of_another_file_takes_over_and_the_first_is_told(orch: Orch, engines: Engines) -> None:
    first = orch.start("up", "-f", stack(orch, 1))
    await_start(engines, "s-slow-1", 1)
    second = orch("up", "-f", stack(orch, 2, "second.yml"))

    assert second.out.startswith("s: revision 2, 2 containers on 1 node in ")
    lost = first.ended()
    assert lost.code == 1
    assert lost.err.endswith(
        'orch: revision 1 of stack "s" was replaced by revision 2\n'
        "  why: somebody else changed the stack meanwhile\n"
        "  fix: orch plan shows what is left to do for your files\n"
    )
    require_converged(engines, 2)


def test_a_later_up_of_the_same_file_takes_over(orch: Orch, engines: Engines) -> None:
    file = stack(orch, 1)
    first = orch.start("up", "-f", file)
    await_start(engines, "s-slow-1", 1)
    before = engines.box("s", "s-slow-1").id
    orch("up", "-f", file)

    assert first.ended().code == 1
    assert 'orch: another command took over stack "s"\n' in first.ended().err
    require_converged(engines, 1)
    assert engines.box("s", "s-slow-1").id == before


def test_a_down_in_the_middle_of_an_up_wins(orch: Orch, engines: Engines) -> None:
    first = orch.start("up", "-f", stack(orch, 1, ready_after_s=60))
    await_start(engines, "s-slow-1", 1)
    orch("down", "-p", "s")

    assert first.ended().code == 1
    assert (engines.boxes("s"), engines.networks("s")) == ((), set())


@contextmanager
def held_lock(home: Path, stack: str) -> Iterator[None]:
    """Somebody who works on the stack and does not end: this process."""
    taken, release = threading.Event(), threading.Event()

    async def work() -> None:
        store = SqliteStore(home / "orch.db")
        async with hold(store, f"locks/{stack}", owner="orch up"):
            taken.set()
            await asyncio.to_thread(release.wait)
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert taken.wait(10)
    yield
    release.set()
    thread.join()


def test_an_up_under_a_lock_that_is_not_given_back_says_who_holds_it(orch: Orch, engines: Engines) -> None:
    file = stack(orch, 1)
    with held_lock(Path(orch.env["ORCH_HOME"]), "s"):
        begin = time.monotonic()
        said = orch("up", "-f", file, code=1).err
        assert 9 < time.monotonic() - begin < 30
    assert re.fullmatch(
        r'orch: "s" is being worked on by somebody else\n'
        rf'  why: "orch up" \(process {os.getpid()} on \S+, since \S+ \S+ UTC\) holds it\n'
        r"  fix: wait for that to end, or stop it, then run the command again\n",
        said,
    )
    assert engines.boxes("s") == ()

    orch("up", "-f", file)
    require_converged(engines, 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_up_says_what_stands_and_the_next_one_finishes(
    orch: Orch, engines: Engines, number: int, code: int
) -> None:
    file = stack(orch, 1)
    running = orch.start("up", "-f", file)
    await_start(engines, "s-slow-1", 1)
    before = engines.box("s", "s-slow-1").id
    running.send(number)

    done = running.ended(20)
    assert done.code == code
    assert done.err.endswith(
        'orch: interrupted; revision 1 of stack "s" is stored and what was done stands; '
        "the same command goes on from there\n"
    )
    assert "Traceback" not in done.err
    orch("up", "-f", file)
    require_converged(engines, 1)
    assert engines.box("s", "s-slow-1").id == before


def test_a_detached_up_returns_before_the_last_check_and_ps_tells(orch: Orch) -> None:
    file = stack(orch, 1, ready_after_s=60)
    begin = time.monotonic()
    orch("up", "-f", file, "-d", "slow")

    assert time.monotonic() - begin < 30
    (listed,) = json.loads(orch("ps", "-p", "s", "--format", "json").out)
    assert (listed["name"], listed["state"], listed["health"]) == ("s-slow-1", "running", "starting")


def test_a_wait_that_is_too_short_is_told_and_leaves_the_stack_declared(orch: Orch, engines: Engines) -> None:
    file = stack(orch, 1, ready_after_s=3)
    said = orch("up", "-f", file, "--wait-timeout", "1", code=1).err
    assert re.search(
        r'orch: stack "s" is not ready after 1\.\d s\n  why: still waiting for last\.1, slow\.1\n'
        r"  fix: give it a longer --wait-timeout; it goes on from here\n$",
        said,
    )
    assert [stack["name"] for stack in json.loads(orch("ls", "--format", "json").out)] == ["s"]

    orch("up", "-f", file)
    require_converged(engines, 1)
