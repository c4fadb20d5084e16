"""Several files: the merge rule of each kind of key, !reset and !override."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Service = Callable[..., dict[str, Any]]
TOP = "volumes: {vol: , war: }\nnetworks: {n: , m: }"

MERGES = [
    ("user: a", "user: b", {"user": "b"}),
    ("user: a", "user: ", {"user": "a"}),
    ("command: a", "command: [b]", {"command": ["b"]}),
    ("command: a", "command: ", {}),
    ("command: a", "command: []", {"command": []}),
    ("environment: {A: 1, B: 2}", "environment: [B=3, C]", {"environment": {"A": "1", "B": "3", "C": None}}),
    ("labels: [a=1]", "labels: {b: 2}", {"labels": {"a": "1", "b": "2"}}),
    ("cap_add: [A, B]", "cap_add: [B, C]", {"cap_add": ["A", "B", "C"]}),
    ("security_opt: [a]", "security_opt: [a, b]", {"security_opt": ["a", "b"]}),
    ("dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", {"dns": ["1.1.1.1", "2.2.2.2"]}),
    ("ulimits: {nofile: 1, core: 2}", "ulimits: {nofile: {soft: 3, hard: 4}}",
     {"ulimits": {"nofile": {"soft": 3, "hard": 4}, "core": 2}}),
    ("logging: {driver: a, options: {x: 1}}", "logging: {options: {y: 2}}",
     {"logging": {"driver": "a", "options": {"x": "1", "y": "2"}}}),
    ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b}", {"logging": {"driver": "b"}}),
    ("healthcheck: {test: x, retries: 2}", "healthcheck: {test: [NONE]}",
     {"healthcheck": {"test": ["NONE"], "retries": 2}}),
    ("extra_hosts: {a: 1.1.1.1}", "extra_hosts: [a=2.2.2.2]", {"extra_hosts": ["a=1.1.1.1", "a=2.2.2.2"]}),
    ("deploy: {replicas: 2, labels: {a: 1}}", "deploy: {replicas: 3}",
     {"deploy": {"replicas": 3, "labels": {"a": "1"}, "placement": {}, "resources": {}}}),
    ("environment: {A: 1, B: 2}", "environment: {A: !reset null}", {"environment": {"B": "2"}}),
    ("environment: {A: 1, B: 2}", "environment: !override {C: 3}", {"environment": {"C": "3"}}),
    ("cap_add: [A]", "cap_add: !override [B]", {"cap_add": ["B"]}),
    ("cap_add: [A]", "cap_add: !reset []", {}),
]  # fmt: skip


@pytest.mark.parametrize(("base", "over", "merged"), MERGES)
def test_a_later_file_merges_by_the_rule_of_the_key(
    service: Service, base: str, over: str, merged: dict[str, Any]
) -> None:
    shown = service(base, over)

    del shown["networks"]
    assert shown == merged


def test_mounts_merge_by_target_and_ports_by_what_they_publish(service: Service) -> None:
    shown = service(
        'volumes: ["vol:/d", /a:/x]\nports: ["80:80", "81:81"]',
        'volumes: ["war:/d"]\nports: ["80:80/tcp", "82:81"]',
        top=TOP,
    )

    assert [(m["source"], m["target"]) for m in shown["volumes"]] == [("war", "/d"), ("/a", "/x")]
    assert [p["published"] for p in shown["ports"]] == ["80", "81", "82"]


def test_dependencies_networks_and_builds_mix_their_forms(service: Service) -> None:
    shown = service(
        "depends_on: [b]\nnetworks: [n]\nbuild: ./x",
        "depends_on: {b: {condition: service_healthy}}\nnetworks: {n: {aliases: [q]}, m: }\nbuild: {target: t}",
        top=TOP,
    )

    assert shown["depends_on"] == {"b": {"condition": "service_healthy", "required": True}}
    assert shown["networks"] == {"n": {"aliases": ["q"]}, "m": None}
    assert shown["build"]["target"] == "t"
    assert shown["build"]["context"].endswith("/x")


def test_a_list_on_a_map_is_refused_with_the_later_place(folder: Any) -> None:
    folder.write("services: {a: {image: i, deploy: {replicas: 1}}}", over_yml="services:\n  a:\n    deploy: [x]\n")

    message = folder.refuse(files=("compose.yaml", "over.yml"))
    assert message.startswith("over.yml:3:5: services.a.deploy can't be merged")


def test_documents_of_one_file_merge_like_files(folder: Any) -> None:
    folder.write("services: {a: {image: i, user: x}}\n---\nservices: {a: {user: y}}\n")

    assert folder.compose()["services"]["a"]["user"] == "y"


@pytest.mark.parametrize("key", ["depends_on", "networks", "models"])
@pytest.mark.parametrize(("first", "second"), [("[a]", "5"), ("3", "{a: b}"), ("{a: b}", "true")])
def test_names_do_not_merge_with_a_number(folder: Any, key: str, first: str, second: str) -> None:
    folder.write(
        f"services:\n  a:\n    image: i\n    {key}: {first}\n",
        over_yml=f"services:\n  a:\n    {key}: {second}\n",
    )

    assert key in folder.refuse(files=("compose.yaml", "over.yml"))


def test_label_files_are_told_apart_by_their_whole_name(folder: Any) -> None:
    for name in ("a=b", "a=c", "x"):
        (folder.path / name).write_text(f"from.{name[-1]}=1\n")
    folder.write(
        "services: {a: {image: i, label_file: [a=b, a=c, a=c]}}\n",
        over_yml="services: {a: {label_file: [x, a=b]}}\n",
    )

    service = folder.compose(files=("compose.yaml", "over.yml"))["services"]["a"]

    assert service["labels"] == {"from.b": "1", "from.c": "1", "from.x": "1"}
    assert [path.rpartition("/")[2] for path in service["label_file"]] == ["a=b", "a=c", "a=c", "x"]
