"""Fixtures: real engines with the images that a file of tests names (`IMAGES`), and `orch` in front of them.

When a test fails, its report has all that orch said, what it would do next, and the ends of the engines' logs.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.lab import Lab, build_images
from tests.integration.steps import Engines, Orch
from tests.labs import ENGINES, Labs, clean, labs

__all__ = ["labs"]

FAILED = pytest.StashKey[bool]()
LOG_LINES = 15


class Site(NamedTuple):
    """A lab, and what brings it back when a test has broken it."""

    lab: Lab
    nodes: int
    engine: str

    def clean(self, *, images: bool) -> None:
        clean(self.lab, self.nodes, self.engine, images=images)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


def _site(labs: Labs, request: pytest.FixtureRequest, nodes: int, engine: str) -> Iterator[Site]:
    lab = labs("three" if nodes == 3 else f"e{engine.replace('.', '')}", nodes=nodes, engine=engine)
    if images := getattr(request.module, "IMAGES", ()):
        lab.load_images(build_images(images), ["n1"])
    site = Site(lab, nodes, engine)
    yield site
    site.clean(images=True)


@pytest.fixture(scope="module")
def _three(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from _site(labs, request, 3, ENGINES[0])


@pytest.fixture(scope="module")
def _one(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from _site(labs, request, 1, ENGINES[0])


@pytest.fixture(scope="module")
def _late(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from _site(labs, request, 1, ENGINES[-1])


@pytest.fixture(scope="module", params=ENGINES)
def _each(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Site]:
    yield from _site(labs, request, 1, request.param)


@pytest.fixture
def three(_three: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three nodes, which orch knows; the images of the module's `IMAGES` are on n1 only."""
    yield from _used(_three, tmp_path, request)


@pytest.fixture
def one(_one: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One node, on the machine's own engine."""
    yield from _used(_one, tmp_path, request)


@pytest.fixture
def late(_late: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One node, on the latest engine."""
    yield from _used(_late, tmp_path, request)


@pytest.fixture
def each_engine(_each: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One node, once on each engine."""
    yield from _used(_each, tmp_path, request)


def _used(site: Site, folder: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    home = folder / "orch-home"
    home.mkdir()
    shutil.copy(Path(site.lab.env()["ORCH_HOME"]) / "nodes.json", home)
    yield site.lab
    if request.node.stash.get(FAILED, True):
        _tell(site.lab)
    site.clean(images=False)


@pytest.fixture
def orch(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Orch]:
    """The command, in an empty folder, with a store of its own. Name the lab's fixture before it."""
    made = Orch(tmp_path)
    yield made
    made.close()
    if request.node.stash.get(FAILED, True):
        print(*made.said, sep="\n")
        for file in sorted(tmp_path.glob("*.yml")):
            print(made.start("plan", "-f", file).ended(20))


def _tell(lab: Lab) -> None:
    for node in lab.nodes():
        log = lab.root / node / "dockerd.log"
        print(f"-- {log}", *log.read_text(errors="replace").splitlines()[-LOG_LINES:], sep="\n")


@pytest.fixture
def engines(request: pytest.FixtureRequest) -> Engines:
    """The engines of the test's lab, to be asked past orch."""
    name = next(name for name in ("three", "one", "late", "each_engine") if name in request.fixturenames)
    return Engines(request.getfixturevalue(name))
