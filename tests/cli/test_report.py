"""How a verb that waits ends: what is told first, what then, and the last sentence."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from orchestrator.cli import report
from orchestrator.errors import NotConverged
from orchestrator.model.names import StackName
from orchestrator.model.plan import Blocked, Severity
from orchestrator.service.control import Control
from orchestrator.service.converge import Outcome

DB = Blocked(
    subject="db.1", reason="exited with 1", severity=Severity.FAILED, container="c1", node="n1", fix="look at it"
)
API = Blocked(subject="api.1", reason="db.1 exited with 1", severity=Severity.FAILED, causes=("db.1",))
WEB = Blocked(subject="web.1", reason="api.1 does not run", causes=("api.1",))


def control(*log: str) -> Mock:
    made: Mock = Mock(spec=Control)
    made.containers = AsyncMock(return_value=())
    made.log_tail = AsyncMock(return_value=log)
    return made


async def told(capsys: pytest.CaptureFixture[str], on: Mock, **fields: Any) -> tuple[list[str], NotConverged]:
    outcome = Outcome(**{"converged": False, "revision": 3, "took_s": 2.0, **fields})
    with pytest.raises(NotConverged) as raised:
        await report.outcome(on, StackName("shop"), outcome)
    return capsys.readouterr().err.splitlines(), raised.value


def test_the_root_is_what_failed_and_not_because_of_another() -> None:
    assert report.failed_roots((WEB, API, DB)) == [DB]


def test_failures_that_blame_each_other_are_all_roots_rather_than_none() -> None:
    one = Blocked(subject="a.1", reason="x", severity=Severity.FAILED, causes=("b.1",))
    two = Blocked(subject="b.1", reason="y", severity=Severity.FAILED, causes=("a.1",))

    assert report.failed_roots((one, two)) == [one, two]


async def test_roots_come_first_with_their_logs_then_who_waits(capsys: pytest.CaptureFixture[str]) -> None:
    on = control("reading", "no such table")

    lines, error = await told(capsys, on, blocked=(WEB, API, DB))

    assert lines == [
        "db.1 on n1: exited with 1",
        "  fix: look at it",
        "  last lines of db.1:",
        "  | reading",
        "  | no such table",
        "web.1: api.1 does not run",
        "api.1: db.1 exited with 1",
    ]
    on.log_tail.assert_awaited_once_with("n1", "c1", 10)
    assert (error.exit_code, error.why) == (1, "db.1 failed")


async def test_a_failure_without_a_container_asks_for_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    on = control()
    nowhere = Blocked(subject="web.2", reason="no node can take it", severity=Severity.FAILED)

    lines, _ = await told(capsys, on, blocked=(nowhere,))

    assert lines == ["web.2: no node can take it"]
    on.log_tail.assert_not_awaited()


async def test_a_revision_of_somebody_else_is_the_whole_story(capsys: pytest.CaptureFixture[str]) -> None:
    _, error = await told(capsys, control(), superseded_by=4)

    assert error.what == 'revision 3 of stack "shop" was replaced by revision 4'
    assert error.why == "somebody else changed the stack meanwhile"


async def test_an_equal_revision_of_somebody_else_took_over(capsys: pytest.CaptureFixture[str]) -> None:
    _, error = await told(capsys, control(), superseded_by=3)

    assert error.what == 'another command took over stack "shop"'


async def test_out_of_time_says_what_it_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    lines, error = await told(capsys, control(), timed_out=True, blocked=(WEB,))

    assert lines == ["web.1: api.1 does not run"]
    assert error.what == 'stack "shop" is not ready after 2.0 s'
    assert error.why == "still waiting for web.1"


async def test_out_of_time_before_anything_is_blocked(capsys: pytest.CaptureFixture[str]) -> None:
    _, error = await told(capsys, control(), timed_out=True)

    assert error.why == "still waiting for the last step to end"
