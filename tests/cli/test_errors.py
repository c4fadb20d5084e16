"""What a person sees when something goes wrong, and the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli import entry, interrupt, output
from orchestrator.cli.root import cli
from orchestrator.errors import BadValue, OrchError, Refused, SeveralErrors, Unreachable, UsageError


def failing_with(error: BaseException) -> Callable[..., None]:
    def main(*_: object, **__: object) -> None:
        raise error

    return main


@pytest.fixture
def run_failing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[BaseException], tuple[int, str]]:
    """The exit code and the stderr of a command that raises this."""
    monkeypatch.setenv("ORCH_HOME", str(tmp_path))
    monkeypatch.setattr(interrupt, "_left", "")
    monkeypatch.delenv("ORCH_DEBUG", raising=False)

    def run(error: BaseException) -> tuple[int, str]:
        monkeypatch.setattr(cli, "main", failing_with(error))
        code = entry.run(["up"])
        return code, capsys.readouterr().err

    return run


Failing = Callable[[BaseException], tuple[int, str]]


def test_an_error_is_what_where_why_and_fix(run_failing: Failing) -> None:
    error = Refused('port 8080 of "web" is taken', where="shop/web.1 on n1", why="bind: in use", fix="stop what has it")

    assert run_failing(error) == (
        1,
        'orch: shop/web.1 on n1: port 8080 of "web" is taken\n  why: bind: in use\n  fix: stop what has it\n',
    )


def test_what_an_error_does_not_know_is_left_out(run_failing: Failing) -> None:
    assert run_failing(UsageError("that makes no sense")) == (2, "orch: that makes no sense\n")


@pytest.mark.parametrize("wrap", [SeveralErrors, lambda errors: ExceptionGroup("tasks", errors)])
def test_several_errors_are_told_one_by_one(run_failing: Failing, wrap: Callable[[list[Exception]], Exception]) -> None:
    code, told = run_failing(wrap([BadValue("one", where="a.yml:1:2"), BadValue("two", where="a.yml:3:4")]))

    assert (code, told) == (2, "orch: a.yml:1:2: one\norch: a.yml:3:4: two\n")


def test_a_group_with_a_defect_in_it_is_a_defect(run_failing: Failing) -> None:
    code, told = run_failing(ExceptionGroup("tasks", [Unreachable("n1 is away"), KeyError("x")]))

    assert code == 1
    assert told.startswith("orch: internal error, ExceptionGroup")


def test_a_defect_is_one_paragraph_and_a_file(run_failing: Failing, tmp_path: Path) -> None:
    code, told = run_failing(KeyError("nobody expected this"))

    (log,) = (tmp_path / "errors").iterdir()
    assert code == 1
    assert "Traceback" not in told
    assert told.splitlines() == [
        "orch: internal error, KeyError: 'nobody expected this'",
        "  why: this is a defect of orch; what was done so far stands, and the same command can be given again",
        f"  fix: report it with {log}",
    ]
    assert "Traceback (most recent call last)" in log.read_text()
    assert "in main" in log.read_text()


def test_a_defect_is_told_where_no_file_can_be_written(
    run_failing: Failing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "errors").write_text("not a folder")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "errors"))

    code, told = run_failing(KeyError("x"))

    assert code == 1
    assert "Traceback" not in told


@pytest.mark.parametrize("error", [KeyError("x"), Unreachable("n1 is away")])
def test_debug_shows_the_traceback(run_failing: Failing, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setenv("ORCH_DEBUG", "1")

    assert "Traceback (most recent call last)" in run_failing(error)[1]


def test_an_interruption_says_what_it_leaves_or_nothing(run_failing: Failing) -> None:
    assert run_failing(KeyboardInterrupt()) == (130, "")

    with pytest.raises(KeyboardInterrupt), interrupt.leaves("half of it stands; orch lab up goes on"):
        raise KeyboardInterrupt
    assert run_failing(KeyboardInterrupt()) == (130, "orch: interrupted; half of it stands; orch lab up goes on\n")


def test_an_error_ends_what_an_interruption_would_leave(run_failing: Failing) -> None:
    with pytest.raises(OrchError), interrupt.leaves("half of it stands"):
        raise OrchError("it failed")

    assert run_failing(KeyboardInterrupt()) == (130, "")


def test_a_closed_pipe_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[tuple[int, int]] = []
    monkeypatch.setattr("os.dup2", lambda old, new: kept.append((old, new)))
    monkeypatch.setattr(cli, "main", failing_with(BrokenPipeError()))

    assert entry.run(["ls"]) == 141
    assert capsys.readouterr().err == ""
    assert [new for _, new in kept] == [1]


def test_an_error_inside_the_loop_reaches_the_person(run_failing: Failing) -> None:
    async def tasks() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def fail() -> None:
        raise Unreachable('node "n2" does not answer')

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(tasks())

    assert run_failing(raised.value) == (1, 'orch: node "n2" does not answer\n')


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.written = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None: ...


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    output.failure(OrchError("one", fix="two"))
    assert terminal.written == "\x1b[31morch:\x1b[0m one\n  \x1b[2mfix:\x1b[0m two\n"

    terminal.written = ""
    monkeypatch.setenv(variable, value)
    output.failure(OrchError("one", fix="two"))
    assert terminal.written == "orch: one\n  fix: two\n"


def test_a_table_is_as_wide_as_its_longest_cells(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("NAME", "X"), [("a-long-name", "1"), ("b", "")])

    assert capsys.readouterr().out == "NAME          X\na-long-name   1\nb\n"


@pytest.mark.parametrize(
    ("span_s", "told", "whole"),
    [(0.04, "0.0 s", "0 s"), (9.96, "10.0 s", "9 s"), (59.9, "59 s", "59 s"), (130, "2 min", "2 min"),
     (7199, "119 min", "119 min"), (7200, "2 h", "2 h"), (172800, "2 d", "2 d")],
)  # fmt: skip
def test_spans_are_as_exact_as_a_person_wants_them(span_s: float, told: str, whole: str) -> None:
    assert output.seconds(span_s) == told
    assert output.seconds(span_s, whole=True) == whole
