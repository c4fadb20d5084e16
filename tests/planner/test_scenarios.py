"""Every file of `specs/scenarios` holds, to the letter."""

from pathlib import Path

import pytest

from tests.planner import scenario

FILES = sorted(scenario.FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_planner_does_what_the_scenario_says(path: Path, request: pytest.FixtureRequest) -> None:
    read = scenario.read(path)
    actual = read.actual()
    if request.config.getoption("--update-scenarios") and actual != read.expected:
        scenario.rewrite(read, actual)
        return

    assert actual == read.expected, read.title


def test_each_scenario_says_one_thing_that_must_be() -> None:
    titles = [scenario.read(path).title for path in FILES]

    assert len(FILES) >= 40
    assert [title for title in titles if " must " not in title] == []
    assert len(set(titles)) == len(titles)
