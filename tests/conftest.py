"""For all tests: their options, and how hard Hypothesis looks (`HYPOTHESIS_PROFILE=quick | thorough`).

`--require-real` makes the run fail when a test that needs real engines did not run.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

_ran: set[str] = set()
_missed: set[str] = set()

_SLOW_IS_FINE = [HealthCheck.too_slow]
settings.register_profile(
    "quick", max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "thorough", max_examples=2000, deadline=None, print_blob=True, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-real", action="store_true", help="fail unless tests on real engines ran, and none was skipped"
    )
    parser.addoption(
        "--update-scenarios", action="store_true", help="rewrite what specs/scenarios expect; review the diff"
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
