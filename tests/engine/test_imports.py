"""What it costs to have this room at hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUDGET_MS = 130
"""CPU for all that `orch ps` needs to ask a real engine; measured at about half of it."""


def loaded(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import orchestrator.engine", "from orchestrator.engine import connect, default_endpoint"],
)
def test_the_room_itself_is_light(statement: str) -> None:
    assert not loaded(statement) & {"docker", "requests", "urllib3", "asyncio", "ssl"}


def test_making_an_engine_loads_no_sdk() -> None:
    modules = loaded("from orchestrator.engine import connect; connect('n1', 'unix:///x')")

    assert not modules & {"docker", "requests", "urllib3"}


def test_the_sdk_brings_no_more_than_it_must() -> None:
    modules = loaded("import orchestrator.engine.docker, orchestrator.engine.transport")

    assert not modules & {"paramiko", "networkx", "rich", "yaml"}


def test_a_real_engine_is_imported_within_its_budget() -> None:
    code = (
        "import time; at = time.process_time(); import orchestrator.engine.docker, orchestrator.engine.transport; "
        "print((time.process_time() - at) * 1000)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]

    assert min(float(run.stdout) for run in runs) < BUDGET_MS
