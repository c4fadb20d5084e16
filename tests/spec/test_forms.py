"""Short forms are long forms: one table, both sides loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.spec import duration, sizes, words

Service = Callable[..., dict[str, Any]]
TOP = """
volumes: {vol: }
networks: {n: }
secrets: {s: {environment: S}}
configs: {c: {content: x}}
models: {m: {model: q}}
"""

SAME = [
    ('ports: ["80"]', "ports: [{target: 80}]"),
    ("ports: [80]", 'ports: [{target: "80", protocol: tcp, mode: ingress}]'),
    ('ports: ["127.0.0.1:8080:80/UDP"]', 'ports: [{host_ip: 127.0.0.1, published: "8080", target: 80, protocol: udp}]'),
    ('ports: ["[::1]:1:2"]', 'ports: [{host_ip: "::1", published: 1, target: 2}]'),
    ('ports: ["8000-8002:80"]', 'ports: [{published: "8000-8002", target: 80}]'),
    ('ports: ["5-6:7-8"]', 'ports: [{published: "5", target: 7}, {published: "6", target: 8}]'),
    ("volumes: [/data]", "volumes: [{type: volume, target: /data, volume: {}}]"),
    ('volumes: ["vol:/d:ro"]', "volumes: [{type: volume, source: vol, target: /d, read_only: true, volume: {}}]"),
    ('volumes: ["./a:/b/../c:z"]', "volumes: [{type: bind, source: a, target: /c, bind: {selinux: z}}]"),
    ('volumes: ["~/a:/b:rshared"]', "volumes: [{type: bind, source: ~/a, target: /b, bind: {propagation: rshared}}]"),
    ("depends_on: [b]", "depends_on: {b: {condition: service_started, required: true}}"),
    ("networks: [n]", "networks: {n: }"),
    ("secrets: [s]", "secrets: [{source: s, target: /run/secrets/s}]"),
    ("configs: [c]", "configs: [{source: c}]"),
    ("models: [m]", "models: {m: }"),
    ("build: ./x", "build: {context: x, dockerfile: Dockerfile}"),
    ("build: {context: ., args: [A=1]}", "build: {args: {A: 1}}"),
    ("environment: [A=1, B]", 'environment: {A: "1", B: }'),
    ("labels: [a=1, b]", 'labels: {a: 1, b: ""}'),
    ("sysctls: [a.b=1]", "sysctls: {a.b: 1}"),
    ('annotations: ["a=1"]', "annotations: {a: 1}"),
    ("dns: 1.1.1.1", 'dns: [1.1.1.1, ""]'),
    ("tmpfs: /t", "tmpfs: [/t]"),
    ('extra_hosts: ["a:1.1.1.1", "b=[::1]"]', 'extra_hosts: {b: "::1", a: [1.1.1.1]}'),
    ('devices: ["/a"]', "devices: [{source: /a, target: /a, permissions: rwm}]"),
    ("command: sh -c 'a b' \\ c", 'command: [sh, -c, "a b", " c"]'),
    ("healthcheck: {test: a b, interval: 90s}", 'healthcheck: {test: [CMD-SHELL, "a b"], interval: 1m30s}'),
    ("gpus: all", "gpus: [{count: -1}]"),
    ("mem_limit: 1.5g", 'mem_limit: "1610612736"'),
    ("ulimits: {nofile: 5}", 'ulimits: {nofile: "5"}'),
    ("pull_policy: if_not_present", "pull_policy: missing"),
    ("expose: [80]", 'expose: ["80"]'),
    ("secrets: [{source: s, mode: 0440}]", 'secrets: [{source: s, mode: "440"}]'),
]


@pytest.mark.parametrize(("short", "long"), SAME)
def test_a_short_form_is_its_long_form(service: Service, short: str, long: str) -> None:
    assert service(short, top=TOP) == service(long, top=TOP)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ('ports: ["80-79"]', "runs backwards"),
        ('ports: ["1-2:3-5"]', "differ in length"),
        ('ports: ["65536"]', "0 to 65535"),
        ('ports: ["80/foo"]', "tcp, udp or sctp"),
        ('ports: ["host:80:80"]', "is no IP address"),
        ("ports: [{published: 80}]", 'has no "target"'),
        ('volumes: ["vol:/b:ro:x"]', "too many colons"),
        ('volumes: ["vol::/b"]', "empty part"),
        ('devices: ["a:b:c:d"]', "too many colons"),
        ('command: "it\'s"', "left open"),
        ("healthcheck: {test: [a]}", "begin with CMD: [CMD, a, ...]; or with CMD-SHELL or NONE"),
        ("healthcheck: {interval: 5}", "must be a text"),
        ('stop_grace_period: "5"', "a number with a unit"),
        ("mem_limit: 5q", "is no unit"),
        ('environment: ["A =1"]', "remove the blank"),
        ("extra_hosts: [a]", "names no address"),
    ],
)
def test_a_bad_form_says_why_and_where(folder: Any, keys: str, why: str) -> None:
    folder.write(f"services:\n  a:\n    image: i\n    {keys}\n")

    message = folder.refuse()
    assert message.startswith("compose.yaml:4:")
    assert why in message


@pytest.mark.parametrize(
    ("text", "printed"),
    [("90s", "1m30s"), ("1.5h", "1h30m0s"), ("1w2d", "216h0m0s"), ("1500us", "1.5ms"), ("3ns", "3ns"), ("0", "0s")],
)
def test_a_duration_has_one_spelling(text: str, printed: str) -> None:
    assert duration.render(duration.parse(text)) == printed


@pytest.mark.parametrize("text", ["", "5", "s", "1h 30m", "5S", "1..5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration.parse(text)


@pytest.mark.parametrize(
    ("text", "size"), [("10", 10), ("1k", 1024), ("1.5 GB", 1610612736), ("1Gib", 2**30), ("5b", 5), ("-1", -1)]
)
def test_a_size_counts_bytes(text: str, size: int) -> None:
    assert sizes.parse(text) == size


def test_an_operator_ends_a_command() -> None:
    assert words.split("echo 'a;b' $(ls -l) ; rm") == (["echo", "a;b", "$(ls -l)"], "; rm")
