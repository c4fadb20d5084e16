"""load -> dump -> load gives the same project."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.spec import Read, Request, compose, load, read, to_yaml

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12) | st.sampled_from(
    ["1e3", "08", "0o7", "on", "no", "null", "~", "", "22:22", "2001-12-14", "<<", "=", "- a", "a: b", "#x", "$$",
     "$", "${", "!x", "&a", "*a", "a\nb\n", " a\n b", "\n", "x\t", "\ttab", "0x1F", ".inf", "True", "'", '"', "\\", "é",
     "😀", "%", "@", "`", "a #b", "line\n\n", "  lead", "trail  \nx", "\x85", "\u2028"]
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(texts=["a\u2028b", "\ufeff", "a\n  b", "\n a"])
def test_any_text_survives(texts: list[str]) -> None:
    with TemporaryDirectory() as name:
        doubled = [text.replace("$", "$$") for text in texts]
        labels = {f"k{text}": text for text in doubled}
        first = _read(Path(name), to_yaml({"services": {"a": {"image": "i", "command": doubled, "labels": labels}}}))
        again = _read(Path(name), to_yaml(first.document))

    assert first.project["services"]["a"]["command"] == doubled
    assert first.project["services"]["a"]["labels"] == labels
    assert (again.document, again.project) == (first.document, first.project)


def _read(folder: Path, text: str) -> Read:
    (folder / "c.yml").write_text(text, encoding="utf-8")
    return read(Request(files=("c.yml",), cwd=str(folder), project_name="p"))


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.sampled_from(["0.5", 1.25, "1_000", 1e3]),
        "mem_limit": st.sampled_from(["1g", "1.5 GB", 1024, -1]),
        "stop_grace_period": st.sampled_from(["1m30s", "1.5ms", "2d", "0"]),
        "environment": st.dictionaries(st.sampled_from(["A", "on", "1e3"]), TEXTS | st.integers() | st.none()),
        "ports": st.lists(st.sampled_from(["80", "9-11", "127.0.0.1:1:2/udp", 53]), unique=True),
        "volumes": st.lists(st.sampled_from(["/a", "data:/b:ro", "./c:/c:z", "~/d:/d"]), unique=True),
        "ulimits": st.sampled_from([{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}, {}]),
        "blkio_config": st.sampled_from([{"weight": 5}, {"device_read_bps": [{"path": "/a", "rate": "1m"}]}]),
        "healthcheck": st.sampled_from([{"test": "x $$y"}, {"disable": True}, {"test": ["CMD", "a b"], "retries": 0}]),
        "models": st.sampled_from([["m"], {"m": {"model_var": "M"}}]),
        "deploy": st.sampled_from([{}, {"replicas": 0}, {"resources": {"reservations": {"cpus": "0.5"}}}]),
        "build": st.sampled_from([".", {"context": "x", "args": {"A": None, "B": 1.0}}]),
        "x-note": st.recursive(TEXTS | st.floats(allow_nan=False, allow_infinity=False), st.lists, max_leaves=3),
        "pre_start": st.just([{"command": "x"}]),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(keys=KEYS)
def test_any_service_survives(keys: dict[str, Any]) -> None:
    stack = {"services": {"a": {"image": "i", **keys}}, "volumes": {"data": None}, "models": {"m": {"model": "q"}}}
    with TemporaryDirectory() as name:
        first = _read(Path(name), to_yaml(stack))
        again = _read(Path(name), to_yaml(first.document))

    assert (again.document, again.project) == (first.document, first.project)


@pytest.mark.parametrize("key", ["stack"])
def test_a_full_stack_loads_again_to_the_same_stack(folder: Any, key: str) -> None:
    folder.write(
        """services:
  web:
    build: {context: ./app, args: {A: "1"}}
    command: ["a b", 'c "d"', "$$HOME"]
    ports: ["8080:80", {target: 53, published: "53-55", protocol: udp}]
    environment: {A: "08", B: "on", C: , D: "1e3"}
    volumes: ["data:/d:ro", ./x:/x]
    networks: {front: {aliases: [w]}}
    healthcheck: {test: "exit 0", interval: 1m30s}
    deploy:
      replicas: 2
      resources: {limits: {cpus: "0.5", memory: 64m}}
      placement:
        constraints: ["node.labels.disk == ssd", node.role!=manager]
        preferences: [{spread: node.labels.zone}, {spread: engine.labels.rack}]
        max_replicas_per_node: 2
    x-orch: {placement: {strategy: binpack}, many_writers: true}
    secrets: [{source: s, mode: 0440}]
    depends_on: {db: {condition: service_healthy}}
    ulimits: {nofile: {soft: 1, hard: 2}}
    stop_grace_period: 1m
  db: {image: db, logging: {driver: local, options: {max-file: 3}}, extra_hosts: {h: 1.1.1.1}}
networks: {front: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}
volumes: {data: {labels: {x: "y"}, x-orch: {per_replica: true}}}
secrets: {s: {environment: S}}
x-own: {a: [1, 2.5, null, true]}
"""
    )
    first = folder.load(env={"S": "s"})
    folder.write(to_yaml(read(folder.request(env={"S": "s"})).document))

    again = folder.load(env={"S": "s"})
    assert again.project == first.project
    assert _without_places(again.stack) == _without_places(first.stack)
    assert first.stack.services["web"].placement.max_replicas_per_node == 2
    assert first.stack.volumes["data"].is_per_slot
    assert key


def _without_places(stack: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(stack, places={})


def test_load_and_compose_agree(folder: Any) -> None:
    folder.write("services: {a: {image: i}}")

    assert load(folder.request()).project == compose(folder.request())
