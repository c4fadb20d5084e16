"""Mistakes of every phase come out together, by file and line, each one once, and what follows from one does not."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import SeveralErrors, SpecError
from orchestrator.spec import load


def _said(folder: Any, *files: str, **more: Any) -> list[str]:
    """Place and message of each error."""
    with pytest.raises(SpecError) as caught:
        load(folder.request(files=files or ("compose.yaml",), **more))
    errors = caught.value.errors if isinstance(caught.value, SeveralErrors) else (caught.value,)
    return [f"{error.where}: {error.what}" for error in errors]


EVERY_PHASE = """\
services:
  web:
    image: i
    networks: [nope]
    healthcheck: {test: x, interval: 10x}
    mem_limit: 1gg
    scale: many
    ports: ["80:http"]
    enviroment: {A: 1}
    user: ${WHO:?}
    user: root
    container_name: same
  api:
    image: i
    container_name: same
    depends_on: [web, gone]
    credential_spec: {file: f}
"""


def test_mistakes_of_every_phase_come_at_once_in_the_order_of_lines(folder: Any) -> None:
    folder.write(EVERY_PHASE)

    assert _said(folder) == [
        'compose.yaml:4:16: service "web" uses network "nope", which is not defined',
        'compose.yaml:5:28: services.web.healthcheck.interval: "10x" is no duration, write a number with a unit:'
        " 90s, 1m30s, 500ms",
        'compose.yaml:6:5: services.web.mem_limit: "gg" is no unit: b, k, m, g, t, p',
        'compose.yaml:7:5: services.web.scale: "many" is no integer',
        'compose.yaml:8:13: services.web.ports[0]: "80:http" is no port',
        'compose.yaml:9:5: services.web has no key "enviroment"',
        'compose.yaml:10:5: services.web.user: variable "WHO" is required and not set',
        'compose.yaml:11:5: duplicate key "user"',
        'compose.yaml:15:5: service "api" wants the container name "same", which "web" has',
        'compose.yaml:16:23: service "api" depends on "gone", which is not a service',
        'compose.yaml:17:5: orch does not honour "credential_spec" yet',
    ]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("services: {a: {image: 5}}", "2:15: services.a.image must be a text"),
        ("services: {a: {image: '${X:?}'}}", "1:16: services.a.image: variable"),
        ("services: {a: {image: i, depends_on: [b]}, b: 5}", "1:44: services.b must be a mapping"),
        ("services: {a: {image: i, networks: [n]}}\nnetworks: {n: 5}", "2:12: networks.n must be"),
        ("services: {a: {image: i, networks: [n]}}\nnetworks: [n]", "2:1: networks must be a mapping"),
        ("services: {a: {image: i, networks: [n]}}\nnetworks: *n", '2:11: alias "*n" has no anchor'),
        ("services: {a: {image: i, volumes: [vol:/v]}}\nvolumes: {vol: {drivr: x}}", "2:17: volumes.vol has no key"),
        ("services: {a: {image: i, secrets: [s]}}\nsecrets: {s: {file: 5}}", "2:15: secrets.s.file must be a text"),
        ("services: {a: {image: i, secrets: [s]}}\nsecrets: {s: {}}", '2:11: secret "s" has no source'),
        ("services: {a: {image: i, volumes: [{type: bind, source: 5, target: /t}]}}", "1:49: services.a.volumes[0].so"),
        ("services: {a: {image: i, ports: [{target: x}]}}", "1:35: services.a.ports[0].target:"),
        (
            "services: {a: {image: i, depends_on: {b: {condition: x}}}, b: {image: i}}",
            "1:43: services.a.depends_on.b.c",
        ),
        ("services: {a: {<<: *x, user: u}}", '1:20: alias "*x" has no anchor'),
        ("services: {a: {image: i}}\nservices: {b: {image: i, depends_on: [a]}}", '2:1: duplicate key "services"'),
        ("services: {5: {image: i}, b: {image: i, depends_on: ['5']}}", '1:12: the key "5" is no text'),
        ("services: {a: {image: i, mem_limit: 1q, deploy: {resources: {limits: {memory: 2g}}}}}", "1:26: services.a.m"),
        ("services: {a: {image: i, mem_limit: 1g, deploy: {resources: {limits: {memory: 2q}}}}}", "1:71: services.a.d"),
        ("services: {a: {extends: b}, b: {extends: a}}", '1:16: service "a" extends itself'),
        ("services: {a: {extends: {service: b, file: no.yml}}}", '1:16: can\'t read "no.yml"'),
        ("include: [no.yml]\nservices: {a: {image: i, depends_on: [b], networks: [n]}}", '1:11: can\'t read "no.yml"'),
        ("services: {a: {image: i, develop: {watch: [{path: 5, action: sync, target: x}]}}}", "1:45: services.a.dev"),
        ("services: {a: {image: i, configs: [{source: 5}]}}", "1:37: services.a.configs[0].source must be a text"),
        (
            "services: {a: {image: i, post_start: [{command: c, user: 5}]}}",
            "1:52: services.a.post_start[0].user must be",
        ),
    ],
)
def test_a_mistake_that_takes_something_away_is_told_alone(folder: Any, text: str, only: str) -> None:
    folder.write(text)

    said = _said(folder)
    assert len(said) == 1
    assert said[0].removeprefix("compose.yaml:").partition(": ")[2].startswith(only.partition(": ")[2])


def test_a_grant_without_source_is_told_beside_a_section_that_can_not_be_read(folder: Any) -> None:
    folder.write("secrets: 1\nservices: {a: {image: i, secrets: [s, {}]}}\n")

    assert _said(folder) == [
        'compose.yaml:1:1: secrets must be a mapping, not "1", an integer',
        'compose.yaml:2:39: service "a" uses secret "", which is not defined',
    ]


def test_a_key_that_stands_twice_may_hold_an_alias_of_itself(folder: Any) -> None:
    folder.write("x-a: &a {b: c}\nx-a: {d: *a}\nservices: {a: {image: i}}\n")

    assert _said(folder) == ['compose.yaml:2:1: duplicate key "x-a"']


def test_an_undefined_secret_is_told_beside_another_mistake_of_the_service(folder: Any) -> None:
    folder.write("services: {a: {image: i, usr: x, secrets: [s]}}\n")

    assert _said(folder) == [
        'compose.yaml:1:26: services.a has no key "usr"',
        'compose.yaml:1:44: service "a" uses secret "s", which is not defined',
    ]


def test_a_mistake_in_a_base_is_told_once(folder: Any) -> None:
    base = "x-base: &base {mem_limit: 1q, networks: [n]}\n"
    folder.write(f"{base}services:\n  a: {{<<: *base, image: i}}\n  b: {{<<: *base, image: i}}\n  c: {{extends: b}}\n")

    assert _said(folder) == [
        'compose.yaml:1:16: services.a.mem_limit: "q" is no unit: b, k, m, g, t, p',
        'compose.yaml:1:42: service "a" uses network "n", which is not defined',
    ]


def test_mistakes_of_all_files_come_at_once_in_the_order_of_reading(folder: Any) -> None:
    folder.write(
        "include: [sub/part.yml]\n"
        "services:\n"
        "  web: {extends: {file: base.yml, service: base}, stop_grace_period: 3q}\n"
        "  api: {image: i, networks: [nope], ports: ['80:80']}\n",
        base_yml="services:\n  base: {image: '${I:?which}', shm_size: 1zz, devices: ['a:b:c:d']}\n",
        sub__part_yml="services:\n  part: {imagee: i, scale: x}\n",
        over_yml="services:\n  api: {ports: {a: b}, usr: x}\n  web: {mem_limit: 2zz}\n",
    )

    assert _said(folder, "compose.yaml", "over.yml") == [
        'compose.yaml:3:51: services.web.stop_grace_period: "3q" is no duration, write a number with a unit:'
        " 90s, 1m30s, 500ms",
        'compose.yaml:4:30: service "api" uses network "nope", which is not defined',
        'sub/part.yml:2:10: services.part has no key "imagee"',
        'sub/part.yml:2:21: services.part.scale: "x" is no integer',
        'base.yml:2:10: services.base.image: variable "I" is required and not set',
        'base.yml:2:32: services.web.shm_size: "zz" is no unit: b, k, m, g, t, p',
        'base.yml:2:57: services.base.devices[0]: "a:b:c:d" is no device',
        "over.yml:2:9: services.api.ports can't be merged with what an earlier file says",
        'over.yml:2:24: services.api has no key "usr"',
        'over.yml:3:9: services.web.mem_limit: "zz" is no unit: b, k, m, g, t, p',
    ]


def test_a_file_that_is_no_yaml_does_not_hide_the_other_one(folder: Any) -> None:
    folder.write("services: {a: {image: i, usr: x, depends_on: [b]}}\n", over_yml="services: {b: [}\n")

    assert _said(folder, "compose.yaml", "over.yml") == [
        'compose.yaml:1:26: services.a has no key "usr"',
        "over.yml:1:16: the text is no YAML",
    ]


def test_what_orch_refuses_is_told_beside_what_nobody_could_read(folder: Any) -> None:
    folder.write("services:\n  a: {image: i, usr: x}\n  b: {image: i, credential_spec: {file: f}, restart: x}\n")

    assert _said(folder) == [
        'compose.yaml:2:17: services.a has no key "usr"',
        'compose.yaml:3:17: orch does not honour "credential_spec" yet',
        'compose.yaml:3:45: service "b": "x" is no value of restart',
    ]


def test_env_files_of_all_services_are_judged(folder: Any) -> None:
    folder.write(
        "services:\n  a: {image: i, env_file: no.env}\n  b: {image: i, env_file: bad.env, label_file: no.labels}\n",
        bad_env="A B=1\n",
    )

    assert _said(folder) == [
        'compose.yaml:2:17: can\'t read "no.env"',
        'compose.yaml:3:36: can\'t read "no.labels"',
        'bad.env:1: "A B" is no name of a variable',
    ]


def test_thousands_of_mistakes_are_counted_not_told(folder: Any) -> None:
    folder.write("services: {a: {image: i, security_opt: [" + ", ".join(map(str, range(20_000))) + "]}}\n")

    said = _said(folder)
    assert len(said) == 1001
    assert said[-1] == ": there are 19000 more mistakes"
