"""Corners where Docker Compose does what nobody expects; each was found by comparing answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Service = Callable[..., dict[str, Any]]

POOLS = "services: {{a: {{image: i, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: [{}]}}}}}}\n"
FIRST, SECOND = "{subnet: 10.0.0.0/24, gateway: 10.0.0.1}", "{subnet: 10.0.2.0/24}"
RANGE = "{subnet: 10.0.0.0/24, ip_range: 10.0.0.128/25}"


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        (FIRST, RANGE, [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.1", "ip_range": "10.0.0.128/25"}]),
        (f"{FIRST}, {SECOND}", RANGE, [{"subnet": "10.0.0.0/24", "ip_range": "10.0.0.128/25"}]),
        (FIRST, SECOND, [{"subnet": "10.0.2.0/24"}]),
    ],
)
def test_a_later_list_of_pools_is_the_list(folder: Any, earlier: str, later: str, merged: list[Any]) -> None:
    folder.write(POOLS.format(earlier), over_yml=POOLS.format(later))

    assert folder.compose(files=("compose.yaml", "over.yml"))["networks"]["n"]["ipam"]["config"] == merged


def test_a_lost_pool_is_told(folder: Any) -> None:
    folder.write(POOLS.format(f"{FIRST}, {SECOND}"), over_yml=POOLS.format(RANGE))

    assert folder.load(files=("compose.yaml", "over.yml")).warnings == (
        'over.yml:1:1: network "n" loses its pool 10.0.2.0/24, as in Docker Compose: name it here, too',
    )


def test_a_file_of_yaml_1_2_is_refused(folder: Any) -> None:
    folder.write("%YAML 1.2\n---\nservices: {a: {image: i}}\n")

    assert folder.refuse().startswith("compose.yaml:1:1: the file says that it is YAML 1.2\n  why: Docker Compose")


def test_a_file_of_yaml_1_1_is_read(folder: Any) -> None:
    folder.write("%YAML 1.1\n---\nservices: {a: {image: i}}\n")

    assert folder.load().stack.services


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("cpus: 0.123456789", {"cpus": 0.12345679}),
        ("cpus: '1_000.5'", {"cpus": 1000.5}),
        ("mem_limit: '1_0k'", {"mem_limit": "10240"}),
        ("shm_size: '+5'", {"shm_size": "5"}),
        ("devices: ['']", {"devices": [{"permissions": "rwm"}]}),
        ("logging: {driver: d, options: {day: 2001-12-14}}",
         {"logging": {"driver": "d", "options": {"day": "2001-12-14 00:00:00 +0000 UTC"}}}),
        ("blkio_config: {device_read_bps: [{path: /a}], weight_device: [{path: /b}]}",
         {"blkio_config": {"device_read_bps": [{"Path": "/a", "Rate": "0"}],
                           "weight_device": [{"Path": "/b", "Weight": 0}]}}),
    ],
)  # fmt: skip
def test_a_value_is_printed_as_docker_compose_does(service: Service, keys: str, shown: dict[str, Any]) -> None:
    assert {key: service(keys)[key] for key in shown} == shown


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        ("dns_opt: [b]", "dns_opt: {y: , x: z}", {"dns_opt": ["b", "x=z", "y"]}),
        ("dns: [b]", "dns: {x: }", {"dns": ["b", "x"]}),
        ("tmpfs: /a", "tmpfs: 5", {"tmpfs": ["/a"]}),
        ("environment: {A: 1}", "environment: B=2", {"environment": {"A": "1", "B": "2"}}),
        ("extra_hosts: {a: 1.1.1.1}", "extra_hosts: b=2.2.2.2", {"extra_hosts": ["a=1.1.1.1", "b=2.2.2.2"]}),
        ("depends_on: []", "depends_on: b", {"depends_on": {"b": {"condition": "service_started", "required": True}}}),
        ("security_opt: [b]", "security_opt: [c, c, b]", {"security_opt": ["b", "c"]}),
    ],
)
def test_a_list_takes_what_a_later_file_says(
    service: Service, earlier: str, later: str, merged: dict[str, Any]
) -> None:
    printed = service(earlier, later)

    assert {key: printed[key] for key in merged} == merged


@pytest.mark.parametrize("port", ["-80", "0", "65536", "{target: -1}", "'80000'"])
def test_a_port_that_can_not_be_is_refused(folder: Any, port: str) -> None:
    folder.write(f"services: {{a: {{image: i, ports: [{port}]}}}}")

    assert "compose.yaml:1:" in folder.refuse()


def test_a_limit_is_not_taken_back_by_nothing(folder: Any) -> None:
    folder.write("services: {a: {image: i, ulimits: {n: 5}}}", over_yml="services: {a: {ulimits: {n: }}}")

    assert "services.a.ulimits.n must be" in folder.refuse(files=("compose.yaml", "over.yml"))


def test_an_empty_inline_dockerfile_is_one(folder: Any) -> None:
    folder.write('services: {a: {build: {context: /x, dockerfile_inline: ""}}}')

    assert folder.compose()["services"]["a"]["build"] == {"context": "/x"}


@pytest.mark.parametrize("keys", ["pids_limit: 5", "cpus: 1", "mem_limit: 1g"])
def test_a_limit_that_deploy_leaves_out_differs(folder: Any, keys: str) -> None:
    folder.write(f"services: {{a: {{image: i, {keys}, deploy: {{resources: {{limits: {{}}}}}}}}}}")

    assert "and they differ" in folder.refuse()


def test_a_container_before_the_start_has_what_the_service_has(service: Service) -> None:
    keys = "user: u\nenvironment: {A: 1, B: 2}\nvolumes: [/v]\npre_start: [{command: x, environment: [A=3], user: w}]"

    assert service(keys)["pre_start"] == [
        {"image": "i", "user": "w", "environment": {"A": "3", "B": "2"}, "networks": {"default": None},
         "command": ["x"], "entrypoint": None},
    ]  # fmt: skip


def test_an_empty_profile_is_active_when_none_is_given(folder: Any) -> None:
    folder.write("services: {a: {image: i, profiles: [p, '']}, b: {image: i}}")

    assert sorted(folder.compose()["services"]) == ["a", "b"]
    assert sorted(folder.compose(profiles=("q",))["services"]) == ["b"]


def test_a_network_that_begins_with_x_can_not_be_joined(folder: Any) -> None:
    folder.write("services: {a: {image: i, networks: [x-n]}}\nnetworks: {x-n: }")

    assert folder.refuse() == (
        'compose.yaml:1:37: service "a" joins network "x-n", which Docker Compose takes for an extension'
        "\n  fix: give the network a name without x-"
    )


def test_a_bare_key_at_the_end_of_an_env_file_has_no_name_and_no_effect(folder: Any) -> None:
    folder.write("services: {a: {image: i, env_file: e.env}}", e_env="A=1\nB")

    assert folder.compose()["services"]["a"]["environment"] == {"A": "1", "": "B"}
    assert folder.load().stack.services["a"].environment == {"A": "1"}


def test_an_empty_entry_of_include_is_left_out(folder: Any) -> None:
    folder.write("include: [null]\nservices: {a: {image: i}}")

    assert folder.load().stack.services


def test_an_empty_context_is_refused_for_a_run(folder: Any) -> None:
    folder.write('services: {a: {build: ""}}')

    assert folder.compose()["services"]["a"]["build"] == {"dockerfile": "Dockerfile"}
    assert "has an empty build context" in folder.refuse()


def test_a_large_number_of_an_extension_has_the_digits_of_go(folder: Any) -> None:
    folder.write("services: {a: {image: i}}\nx-big: [18446744073709551616, 1e21, 1.5]")

    assert folder.compose()["x-big"] == [18446744073709552000, 1e21, 1.5]
