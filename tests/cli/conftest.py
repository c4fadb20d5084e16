"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli import session
from tests.cli.world import SHOP, World
from tests.labs import labs

__all__ = ["labs"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    """An empty folder called `shop`, one engine called `local`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ORCH_HOME", str(tmp_path / "home"))
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "ORCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    made = World(folder, capsys)
    monkeypatch.setattr(session, "opener", made.opener)
    return made


@pytest.fixture
def shop(world: World) -> World:
    """The same with the stack `shop` up: web depends on db, db has a volume."""
    world.stack(SHOP)
    said = world.orch("up")
    assert said.code == 0, said.err
    return world
