"""For all tests: `--require-real` makes the run fail when a test that needs real engines did not run."""

from __future__ import annotations

import pytest

_ran: set[str] = set()
_missed: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-real", action="store_true", help="fail unless tests on real engines ran, and none was skipped"
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "real" in report.keywords:
        if report.when == "call" and not report.skipped:
            _ran.add(report.nodeid)
        if report.skipped:
            _missed.add(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    wanted = session.config.getoption("--require-real") and not hasattr(session.config, "workerinput")
    if wanted and (_missed or not _ran):
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--require-real"):
        terminalreporter.write_line(f"{len(_ran)} tests ran on real engines, {len(_missed)} could not")
