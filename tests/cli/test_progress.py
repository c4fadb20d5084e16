"""Progress: what is told of which event, in lines and on a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from orchestrator.cli.live import LiveProgress
from orchestrator.cli.progress import Clock, PlainProgress
from orchestrator.model.names import ContainerId, NodeName, ServiceName, SlotNumber, StackName
from orchestrator.model.operations import ConnectNetwork, PullImage, StartContainer
from orchestrator.model.plan import Phase, ServiceStatus
from orchestrator.reconciler.events import (
    Event,
    Noticed,
    OperationDone,
    OperationFailed,
    OperationProgressed,
    OperationStarted,
    StatusChanged,
)

AT = datetime(2026, 11, 24, tzinfo=UTC)
SHOP = StackName("shop")
WEB = ServiceName("web")


def start(node: str = "n1") -> StartContainer:
    return StartContainer(
        node=NodeName(node), cause="it is wanted", service=WEB, slot=SlotNumber(1), container=ContainerId("c"), name="w"
    )


def pull() -> PullImage:
    return PullImage(node=NodeName("n1"), cause="it is missing", service=WEB, ref="web:1")


def status(*services: tuple[str, Phase, int, int, str]) -> StatusChanged:
    found = tuple(
        ServiceStatus(service=ServiceName(name), phase=phase, wanted=wanted, running=ready, ready=ready, detail=detail)
        for name, phase, wanted, ready, detail in services
    )
    return StatusChanged(stack=SHOP, at=AT, services=found)


def told(*events: Event) -> list[str]:
    lines: list[str] = []
    emit = PlainProgress(lines.append)
    for event in events:
        emit(event)
    return lines


def test_a_step_that_is_done_is_a_line_with_its_node_and_time() -> None:
    assert told(OperationDone(stack=SHOP, at=AT, operation=start(), took_s=0.34)) == ["web.1 started on n1 (0.3 s)"]
    assert told(OperationDone(stack=SHOP, at=AT, operation=pull(), took_s=12)) == ["image web:1 pulled on n1 (12 s)"]


def test_the_only_node_is_not_named() -> None:
    assert told(OperationDone(stack=SHOP, at=AT, operation=start("local"), took_s=0)) == ["web.1 started (0.0 s)"]


def test_a_step_that_is_part_of_another_is_no_line() -> None:
    connect = ConnectNetwork(
        node=NodeName("n1"),
        cause="x",
        service=WEB,
        slot=SlotNumber(1),
        container=ContainerId("c"),
        name="w",
        network="n",
    )

    assert told(OperationDone(stack=SHOP, at=AT, operation=connect, took_s=0)) == []


def test_a_step_that_failed_says_why_and_whether_it_is_tried_again() -> None:
    failed = OperationFailed(stack=SHOP, at=AT, operation=start(), what="the engine refused", why="no", temporary=True)

    assert told(failed) == ["start web.1 on n1 failed: the engine refused: no; trying again"]


def test_a_notice_is_told() -> None:
    assert told(Noticed(stack=SHOP, at=AT, text="container old is an orphan")) == ["container old is an orphan"]


def test_a_service_is_told_once_for_each_end_it_comes_to() -> None:
    assert told(
        status(("web", Phase.STARTING, 3, 0, "")),
        status(("web", Phase.READY, 3, 3, "")),
        status(("web", Phase.READY, 3, 3, "")),
        status(("web", Phase.FAILED, 3, 2, "exited with 1")),
    ) == ["web ready (3/3)", "web failed: exited with 1"]


def test_the_clock_runs_from_the_first_work_to_the_end() -> None:
    now = [100.0]
    clock = Clock(lambda: now[0])

    def saw(phase: Phase, at: float) -> float:
        now[0] = at
        clock.saw(ServiceStatus(service=WEB, phase=phase))
        return clock.spent_s(WEB)

    assert saw(Phase.WAITING, 100) == 0
    assert saw(Phase.PREPARING, 105) == 0
    assert saw(Phase.CHECKING, 107) == 2
    assert saw(Phase.READY, 109) == 4
    now[0] = 200
    assert clock.spent_s(WEB) == 4
    assert saw(Phase.CHECKING, 210) == 105, "it is at work again"


def frame(live: LiveProgress) -> list[str]:
    return [line.rstrip() for line in live.frame().plain.splitlines()]


def screen(width: int = 70, height: int = 24) -> LiveProgress:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    return LiveProgress(console)


def test_a_frame_has_a_line_per_service_in_columns() -> None:
    live = screen()
    live(
        status(
            ("db", Phase.READY, 1, 1, ""),
            ("web", Phase.CHECKING, 3, 1, "first check"),
            ("job", Phase.WAITING, 1, 0, ""),
        )
    )

    lines = frame(live)

    assert [line.split()[:4] for line in lines] == [
        ["●", "db", "ready", "1/1"], ["◐", "web", "checking", "1/3"], ["·", "job", "waiting", "0/1"],
    ]  # fmt: skip
    assert lines[1].endswith("first check")
    assert lines[0].index("1/1") == lines[1].index("1/3") == lines[2].index("0/1")


def test_a_frame_shows_long_steps_under_way_until_they_end() -> None:
    live = screen()
    live(OperationStarted(stack=SHOP, at=AT, operation=pull()))
    live(OperationProgressed(stack=SHOP, at=AT, operation=pull(), text="12 of 40 MB"))
    assert frame(live) == ["  pull image web:1 on n1: 12 of 40 MB"]

    live(OperationDone(stack=SHOP, at=AT, operation=pull(), took_s=1))
    assert frame(live) == []


def test_a_frame_is_never_wider_or_higher_than_the_terminal() -> None:
    live = screen(width=40, height=10)
    services = [(f"service-{number:02}", Phase.READY, 1, 1, "x" * 80) for number in range(40)]
    services[35] = ("broken", Phase.FAILED, 1, 0, "exited with 1")
    live(status(*services))

    lines = frame(live)

    assert len(lines) == 9
    assert max(len(line) for line in lines) <= 40
    assert lines[-1] == "  and 32 more"
    assert any(line.startswith("✗ broken") for line in lines), "what failed is not among the hidden"


def test_a_failure_stays_on_the_screen_above_the_lines() -> None:
    live = screen(width=100)
    with live:
        live(OperationFailed(stack=SHOP, at=AT, operation=start(), what="the engine refused", why="no"))

    written = live._console.file
    assert isinstance(written, io.StringIO)
    assert "start web.1 on n1 failed: the engine refused: no" in written.getvalue()
