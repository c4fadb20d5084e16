"""`orch volume`: what it prints, what it asks, what it refuses."""

from __future__ import annotations

import pytest

from orchestrator.model.names import NodeName
from tests.cli.world import World
from tests.service.shelf import DATA, ShelfEngine

STACK = """
services:
  db: {image: "db:1", network_mode: none, volumes: [data:/data]}
volumes: {data: {}}
"""


def shelf(world: World, name: str) -> ShelfEngine:
    engine = world.engines[NodeName(name)]
    assert isinstance(engine, ShelfEngine)
    return engine


@pytest.fixture
def two(world: World) -> World:
    """Stack `shop` on n1 of two nodes, with data."""
    for name in ("n1", "n2"):
        world.add_host(name).__class__ = ShelfEngine
        shelf(world, name).contents = {}
        assert world.orch("node", "add", name, f"memory://{name}").code == 0
    world.stack(STACK)
    said = world.orch("up")
    assert said.code == 0, said.err
    shelf(world, "n1").contents["shop_data"] = DATA
    return world


def test_ls_shows_homes_and_users(two: World) -> None:
    lines = [line.split() for line in two.orch("volume", "ls").out.splitlines()]

    assert lines == [
        ["NAME", "STACK", "HOME", "NODES", "DRIVER", "USED", "BY"],
        ["shop_data", "shop", "n1", "n1", "local", "shop/db.1"],
    ]
    assert two.orch("volume", "ls", "-q").out == "shop_data\n"
    assert two.orch("volume", "ls", "blog", "--format", "json").json() == []
    (row,) = two.orch("volume", "ls", "--format", "json").json()
    assert (row["name"], row["home"], row["nodes"], row["used_by"]) == ("shop_data", "n1", ["n1"], ["shop/db.1"])


def test_ls_names_the_home_of_what_can_t_be_seen(two: World) -> None:
    two.engines[NodeName("n1")].unplug()
    said = two.orch("volume", "ls")

    assert said.out.splitlines()[1].split() == ["shop_data", "shop", "n1", "-", "local", "shop/db.1"]
    assert "n1" in said.err


def test_inspect(two: World) -> None:
    said = two.orch("volume", "inspect", "shop_data")

    assert said.out.splitlines()[:7] == [
        "name:       shop_data",
        "stack:      shop",
        "home:       n1",
        "nodes:      n1",
        "driver:     local",
        "used by:    shop/db.1",
        "on n1:",
    ]
    report = two.orch("volume", "inspect", "--format", "json", "shop_data").json()
    assert report["details"]["n1"]["references"] == 1
    assert two.orch("volume", "inspect", "shop_dat").code == 1


def test_move_says_how_far_it_is_and_where_it_ends(two: World) -> None:
    said = two.orch("volume", "move", "shop_data", "n2")

    assert (said.code, said.out) == (0, "shop_data: on n2\n"), said.err
    lines = said.err.splitlines()
    assert any(line.startswith("move volume shop_data from n1 to n2: 0.0 MB copied") for line in lines)
    assert any(line.startswith("volume shop_data moved from n1 to n2 (") for line in lines)
    assert shelf(two, "n2").contents == {"shop_data": DATA}
    assert two.orch("volume", "ls").out.splitlines()[1].split()[2:4] == ["n2", "n2"]


def test_a_move_that_can_t_be_says_what_to_do(two: World) -> None:
    said = two.orch("volume", "move", "shop_data", "n3")

    assert said.code == 1
    assert 'there is no node "n3"' in said.err
    assert "fix: one of: n1, n2" in said.err


def test_rm_asks_and_names_the_data(two: World) -> None:
    assert "shop-db-1 on n1 holds it" in two.orch("volume", "rm", "-y", "shop_data").err
    two.orch("down")
    said = two.orch("volume", "rm", "shop_data")
    assert said.code == 2
    assert 'volume "shop_data" on n1: stack shop' in said.err
    assert "add --yes" in said.err
    assert shelf(two, "n1").contents == {"shop_data": DATA}

    assert two.orch("volume", "rm", "--yes", "shop_data").out == "shop_data removed from n1\n"
    assert shelf(two, "n1").contents == {}
    assert two.orch("volume", "ls").out.splitlines()[1:] == []


def test_prune_asks_too_and_tells_what_stays(two: World) -> None:
    assert two.orch("volume", "prune", "-y").err == "no volumes of stacks that are gone\n"
    two.orch("down")
    assert two.orch("volume", "prune").code == 2
    two.engines[NodeName("n1")].unplug()
    silent = two.orch("volume", "prune", "--yes")
    assert "its data is on n1, which does not answer" in silent.err
    two.engines[NodeName("n1")].plug()

    assert two.orch("volume", "prune", "--yes").out == "shop_data removed from n1\n"
