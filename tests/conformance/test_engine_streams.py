"""What every engine promises of events, logs and commands in containers."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.engine import Behaviour
from orchestrator.engine.protocol import EventKind, ExecResult
from orchestrator.errors import Conflict, NotFound, Unreachable
from orchestrator.model.spec import Healthcheck

Case = Any
TALKS = {
    "command": ("sh", "-c", "echo one; echo two >&2; echo three; trap 'exit 0' TERM; while :; do sleep 0.05; done"),
    "behaves": Behaviour(output=("one", "two", "three")),
}


async def test_events_tell_the_life_of_a_container(case: Case) -> None:
    ids: list[str] = []

    async def live() -> None:
        check = Healthcheck(test=("CMD", "true"), interval_s=0.2)
        id = await case.run("web", healthcheck=check)
        ids.append(id)
        await case.until(id, lambda c: c.is_ready)
        await case.engine.stop(id)
        await case.engine.remove(id)

    wanted = [
        (EventKind.CREATE, ""),
        (EventKind.START, ""),
        (EventKind.HEALTH, "healthy"),
        (EventKind.DIE, "0"),
        (EventKind.STOP, ""),
        (EventKind.DESTROY, ""),
    ]
    heard = await case.hear(wanted, "", live)
    order = [heard.index(event) for event in wanted if event[0] is not EventKind.STOP]
    assert order == sorted(order)


async def test_events_tell_networks_by_name(case: Case) -> None:
    name = await case.network("front")
    wanted = [(EventKind.CONNECT, name), (EventKind.START, "")]
    await case.engine.networks()

    heard = await case.hear(wanted, "", lambda: case.run("web", networks=(name,)))
    assert set(wanted) <= set(heard)


async def test_a_violent_death_is_told_with_its_code(case: Case) -> None:
    id = await case.run("web")

    heard = await case.hear([(EventKind.DIE, "137")], id, lambda: case.engine.kill(id))
    assert (EventKind.DIE, "137") in heard


async def test_closing_ends_the_event_stream(case: Case) -> None:
    waiting = asyncio.ensure_future(_all(case.other.events()))
    await asyncio.sleep(0.3)
    await case.other.close()

    with pytest.raises(Unreachable):
        await asyncio.wait_for(waiting, 3)


async def test_logs_give_the_lines_of_both_streams(case: Case) -> None:
    id = await case.run("web", **TALKS)
    await asyncio.sleep(0.3)

    lines = await _all(case.engine.logs(id))
    assert sorted(line.text for line in lines) == ["one", "three", "two"]
    assert all(line.at is None for line in lines)
    if case.is_real:
        assert {line.text: line.stream for line in lines}["two"] == "stderr"


async def test_logs_give_the_tail_with_times(case: Case) -> None:
    before = datetime.now(UTC)
    id = await case.run("web", **TALKS)
    await asyncio.sleep(0.3)

    (line,) = await _all(case.engine.logs(id, tail=1, timestamps=True))
    assert line.text in ("two", "three")
    assert before <= line.at <= datetime.now(UTC)


async def test_logs_since_leave_out_what_came_before(case: Case) -> None:
    id = await case.run("web", **TALKS)
    await asyncio.sleep(0.3)

    assert await _all(case.engine.logs(id, since=datetime.now(UTC))) == []
    assert await _all(case.engine.logs(id, tail=0)) == []


async def test_following_ends_with_the_container(case: Case) -> None:
    id = await case.run("web", **TALKS)
    following = asyncio.ensure_future(_all(case.engine.logs(id, follow=True)))
    await asyncio.sleep(0.3)
    await case.engine.stop(id)

    assert len(await asyncio.wait_for(following, 5)) == 3


async def test_logs_of_what_is_gone_are_not_found(case: Case) -> None:
    with pytest.raises(NotFound):
        await _all(case.engine.logs("f" * 64))


async def test_exec_gives_exit_code_and_output(case: Case) -> None:
    command = ("sh", "-c", "echo out; echo err >&2; exit 4")
    answers = {command: ExecResult(exit_code=4, output="out\nerr\n")}
    id = await case.run("web", behaves=Behaviour(answers=answers))

    result = await case.engine.exec(id, command)
    assert result.exit_code == 4
    assert sorted(result.output.split()) == ["err", "out"]


async def test_exec_in_a_stopped_container_is_a_conflict(case: Case) -> None:
    id = await case.engine.create_container(case.request("web"))

    with pytest.raises(Conflict, match="is not running"):
        await case.engine.exec(id, ["true"])


async def test_the_checks_own_command_can_be_run_before_the_engine_does(case: Case) -> None:
    """How a dependency opens early: the program is ready long before the first check of the engine."""
    check = Healthcheck(test=("CMD", "test", "-e", "/tmp/ready"), interval_s=30)
    command = ("sh", "-c", "sleep 0.6; touch /tmp/ready; exec sleep 9")
    behaves = Behaviour(healthy_after_s=0.6)
    id = await case.run("web", command=command, healthcheck=check, behaves=behaves)

    before = await case.engine.exec(id, ["test", "-e", "/tmp/ready"])
    await asyncio.sleep(1)
    after = await case.engine.exec(id, ["test", "-e", "/tmp/ready"])
    assert (before.exit_code, after.exit_code) == (1, 0)


async def test_an_exec_session_writes_to_our_descriptors(case: Case) -> None:
    command = ("sh", "-c", "echo hello; exit 3")
    behaves = Behaviour(answers={command: ExecResult(exit_code=3, output="hello\n")})
    id = await case.run("web", behaves=behaves)
    session = await case.engine.open_exec(id, command, tty=False, stdin=False)
    reader, writer = os.pipe()

    code = await session.run(0, writer, writer)
    assert (code, os.read(reader, 100)) == (3, b"hello\n")
    os.close(reader)
    os.close(writer)


async def _all(items: Any) -> list[Any]:
    return [item async for item in items]
