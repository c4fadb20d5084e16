"""Every stack under `examples/` runs, on the later of the two engines, becomes true, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.lab import Lab
from orchestrator.lab.recipes import RECIPES
from tests.integration.steps import EXAMPLES, OFFLINE, Engines, Orch

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("examples"), pytest.mark.timeout(180)]

IMAGES = tuple(RECIPES)
STACKS = sorted(EXAMPLES.glob("**/stack.y*ml"))


def test_there_are_examples() -> None:
    assert {"first-walk", "shop"} <= {stack.parent.name for stack in STACKS}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == {stack.parent.name for stack in STACKS}


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.parent.name)
def test_an_example_becomes_true_stays_so_and_goes(late: Lab, orch: Orch, engines: Engines, stack: Path) -> None:
    name = stack.parent.name
    orch("up", "-f", stack, *OFFLINE, within_s=120)
    assert {box.state for box in engines.boxes(name)} <= {"running", "exited"}
    assert {box.exit_code for box in engines.boxes(name) if box.state == "exited"} <= {0}
    assert orch("plan", "-f", stack, *OFFLINE).out == "nothing to do\n"
    before = {box.id for box in engines.boxes(name)}

    orch("up", "-f", stack, *OFFLINE)
    assert {box.id for box in engines.boxes(name)} == before
    assert late.status()[0].engine.startswith("26.1.")

    orch("down", "-f", stack, "-v", "-y")
    assert (engines.boxes(name), engines.networks(name), engines.volumes(name)) == ((), set(), set())
