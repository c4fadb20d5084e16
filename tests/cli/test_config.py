"""`orch config`: what it prints, and what it never prints."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.world import World

STACK = """
name: shop
services:
  web:
    image: web:${TAG:-1}
    environment: {USER: "${USER_NAME?who}", NAME: "${NAME:+n$OTHER}"}
    secrets: [s]
    networks: [front]
    volumes: ["data:/d"]
    depends_on: [db]
    x-note: 3
    blkio_config: {device_read_bps: [{path: /dev/sda, rate: 1m}]}
  db: {image: "db:1", labels: {on: "1e3"}}
  tool: {image: "job:1", profiles: [debug], models: [m]}
networks: {front: , back: }
volumes: {data: , unused: }
secrets: {s: {environment: PASSWORD}}
models: {m: {model: ai/small}}
x-top: {a: 1}
"""


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    world.stack(STACK)
    monkeypatch.setenv("USER_NAME", "ann")
    monkeypatch.setenv("PASSWORD", "hidden")
    return world


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--services", "db web"), ("--volumes", "data"), ("--networks", "default front"), ("--images", "db:1 web:1"),
        ("--profiles", "debug"), ("--models", ""),
    ],
)  # fmt: skip
def test_a_list_has_one_name_a_line(shop: World, option: str, names: str) -> None:
    said = shop.orch("config", option)

    assert (said.code, said.out.split()) == (0, names.split())


def test_yaml_loads_again_to_the_same(shop: World) -> None:
    first = shop.orch("--profile", "*", "config")
    shop.stack(first.out)

    again = shop.orch("--profile", "*", "config")
    assert again.out == first.out
    written = yaml.safe_load(first.out)
    assert written["services"]["web"]["x-note"] == 3
    assert written["services"]["web"]["blkio_config"]["device_read_bps"][0]["rate"] == "1048576"
    assert written["models"] == {"m": {"model": "ai/small"}}


def test_json_is_as_docker_compose_prints_it(shop: World) -> None:
    printed = shop.orch("config", "--format", "json").json()

    assert printed["services"]["web"]["blkio_config"] == {"device_read_bps": [{"Path": "/dev/sda", "Rate": "1048576"}]}
    assert "x-note" not in printed["services"]["web"]
    assert (printed["x-top"], printed["networks"]["front"]) == ({"a": 1}, {"name": "shop_front", "ipam": {}})


def test_a_secret_is_never_printed(shop: World) -> None:
    for options in ([], ["--format", "json"], ["--environment"], ["--variables"], ["--no-interpolate"]):
        said = shop.orch("config", *options)
        assert said.code == 0
        assert "hidden" not in said.out + said.err

    assert "PASSWORD=********" in shop.orch("config", "--environment").out.splitlines()
    assert "USER_NAME=ann" in shop.orch("config", "--environment").out.splitlines()


def test_variables_have_their_defaults(shop: World) -> None:
    table = [line.split() for line in shop.orch("config", "--variables").out.splitlines()]

    assert table[1:] == [
        ["NAME", "false", "n$OTHER"], ["OTHER", "false"], ["TAG", "false", "1"], ["USER_NAME", "true"],
    ]  # fmt: skip
    assert shop.orch("config", "--variables", "--format", "json").json()["TAG"] == {
        "Name": "TAG", "DefaultValue": "1", "PresenceValue": "", "Required": False,
    }  # fmt: skip


def test_variables_can_stay_as_they_are_written(shop: World) -> None:
    written = yaml.safe_load(shop.orch("config", "--no-interpolate").out)

    assert written["services"]["web"]["image"] == "web:${TAG:-1}"
    assert sorted(written["services"]) == ["db", "tool", "web"]
    assert sorted(written["volumes"]) == ["data", "unused"]


def test_a_port_of_variables_stays_as_it_is_written(world: World) -> None:
    world.stack("services: {a: {image: i, ports: ['${P:-80}:80'], volumes: ['${D:-./d}:/d', './x:/x']}}")

    service = json.loads(world.orch("config", "--no-interpolate", "--format", "json").out)["services"]["a"]
    assert service["ports"] == ["${P:-80}:80"]
    assert service["volumes"][1]["target"] == "/x"


def test_a_service_brings_what_it_depends_on(shop: World) -> None:
    assert sorted(yaml.safe_load(shop.orch("config", "web").out)["services"]) == ["db", "web"]
    assert sorted(yaml.safe_load(shop.orch("config", "db").out)) == ["name", "networks", "services", "x-top"]
    assert list(yaml.safe_load(shop.orch("config", "tool").out)["services"]) == ["tool"]
    assert 'has no "wep", did you mean "web"' in shop.orch("config", "wep").err


def test_hashes_are_those_of_the_services(shop: World) -> None:
    both = shop.orch("config", "--hash", "*").out.splitlines()

    assert [line.split()[0] for line in both] == ["db", "web"]
    assert shop.orch("config", "--hash", "web").out.splitlines() == both[1:]
    assert "orch's own" in " ".join(shop.orch("config", "--help").out.split())


def test_what_orch_can_not_run_is_printed_with_a_warning(shop: World) -> None:
    said = shop.orch("--profile", "*", "config")

    assert said.code == 0
    assert said.err.startswith("warning: orch up refuses this: compose.yaml:")
    assert shop.orch("--profile", "*", "config", "-q").code == 2
