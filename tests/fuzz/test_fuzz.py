"""No input gives a traceback, a hang or unbounded memory: a small run of `make fuzz`, and its bombs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.inputs import BOMBS
from tests.fuzz.run import Fuzz, bomb, crowd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_two_thousand_inputs_are_taken_or_refused(tmp_path: Path) -> None:
    fuzz = Fuzz(tmp_path)
    crowd(fuzz, 2000, seed=2)

    assert fuzz.broken == []
    assert fuzz.counts["taken"] > 200, fuzz.counts
    assert fuzz.counts["refused"] > 200, fuzz.counts


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_met_in_good_order(name: str) -> None:
    is_met, told = bomb(name)

    assert is_met, told
