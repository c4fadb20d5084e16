"""Which stack a command means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.world import SHOP, World


def names(world: World) -> list[str]:
    return [stack["name"] for stack in world.orch("ls", "--format", "json").json()]


def test_the_folder_names_the_stack(world: World) -> None:
    world.stack(SHOP)
    world.orch("up")

    assert names(world) == ["shop"]


@pytest.mark.parametrize("before", [True, False])
def test_options_count_before_and_after_the_verb(world: World, before: bool) -> None:
    options = ["-f", str(world.stack(SHOP, "other.yml")), "-p", "mall"]

    world.orch(*options, "up") if before else world.orch("up", *options)

    assert names(world) == ["mall"]


def test_files_from_both_sides_of_the_verb_are_merged_in_order(world: World) -> None:
    world.stack("services: {web: {image: 'web:1', hostname: one, user: first}}", "one.yml")
    world.stack("services: {web: {hostname: two}}", "two.yml")

    said = world.orch("-f", "one.yml", "config", "-f", "two.yml", "--format", "json")

    web = said.json()["services"]["web"]
    assert (web["hostname"], web["user"]) == ("two", "first")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("name: mall\n", "mall"),
        ("name: 'mall'  # quoted\n", "mall"),
        ("name: ${NAME:-plaza}\n", "plaza"),
        ("", "shop"),
    ],
)
def test_a_verb_without_files_finds_the_name_that_up_used(world: World, written: str, name: str) -> None:
    world.stack(written + SHOP)
    world.orch("up")

    said = world.orch("ps", "-q", "web")

    assert names(world) == [name]
    assert said.code == 0, said.err
    assert len(said.out.split()) == 1


def test_a_folder_below_the_files_is_as_good(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.stack(SHOP)
    world.orch("up")
    (world.folder / "src").mkdir()
    monkeypatch.chdir(world.folder / "src")

    assert len(world.orch("ps", "-q").out.split()) == 2


def test_compose_project_name_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.stack(SHOP)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mall")
    world.orch("up")

    assert names(world) == ["mall"]
    assert len(world.orch("ps", "-q").out.split()) == 2


def test_elsewhere_the_only_stack_is_meant(shop: World, tmp_path: Path) -> None:
    os.chdir(tmp_path)

    said = shop.orch("scale", "db=1")

    assert said.code == 0, said.err
    assert said.out.startswith("shop: revision")


def test_elsewhere_with_several_stacks_the_refusal_lists_them(shop: World, tmp_path: Path) -> None:
    shop.stack("services: {job: {image: 'job:1'}}", "other.yml")
    shop.orch("-p", "mall", "-f", "other.yml", "up")
    os.chdir(tmp_path)

    said = shop.orch("scale", "web=3")

    assert said.code == 1
    assert 'several stacks are declared: "mall", "shop"' in said.err
    assert "fix: orch -p mall" in said.err


def test_elsewhere_without_any_stack_it_says_how_to_begin(world: World) -> None:
    said = world.orch("ps")

    assert said.code == 1
    assert "no stack is declared" in said.err
    assert "fix: orch up -f stack.yml" in said.err


def test_a_file_that_is_named_and_missing_is_an_error_also_for_verbs_without_files(shop: World) -> None:
    said = shop.orch("-f", "missing.yml", "stop")

    assert said.code == 2
    assert 'can\'t read "missing.yml"' in said.err


def test_an_unknown_service_is_told_the_nearest(shop: World) -> None:
    said = shop.orch("up", "wep")

    assert said.code == 1
    assert 'orch: stack "shop" has no "wep", did you mean "web"' in said.err
    assert 'its services are "db", "web"' in said.err


def test_naming_a_service_enables_its_profile(world: World) -> None:
    world.stack("services: {web: {image: 'web:1'}, tool: {image: 'job:1', profiles: [debug]}}")

    said = world.orch("up", "tool")

    assert said.code == 0, said.err
    assert world.orch("ps", "--services").out.split() == ["tool"]
