"""Values that Compose prints and no engine could take, or that need something beside them: refused with their place."""

from __future__ import annotations

from typing import Any

import pytest


def refused(folder: Any, keys: str) -> str:
    folder.write(f"services:\n  a:\n    image: i\n    {keys}\n  b: {{image: i}}\n")
    told: str = folder.refuse()
    return told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("expose: ['100|']", 'compose.yaml:4:14: service "a" can\'t expose "100|"\n  why: "100|" is no port'),
        ("expose: ['80/icmp']", '"icmp" is no protocol: tcp, udp, sctp'),
        ("expose: ['90-80']", 'the range "90-80" runs backwards'),
        ("ports: [{target: 80, published: x-y}]", 'service "a" can\'t publish on "x-y"'),
        ("ports: [{target: 65536}]", 'service "a" publishes port 65536 of its container\n  fix: use 1 to 65535'),
        ("ports: [{target: 80, mode: both}]", '"both" is no value of mode\n  fix: use ingress or host'),
        ("network_mode: bridge\n    links: ['b:c']", 'orch does not honour link "b:c" with network_mode'),
        ("security_opt: ['seccomp=none.json']", 'can\'t read "none.json"'),
        ("security_opt: ['seccomp=compose.yaml']", '"compose.yaml" is no seccomp profile'),
        ("security_opt: [nonsense]", '"nonsense" is no security option\n  fix: write it as name=value'),
        ("pull_policy: refresh", "it needs pull_refresh_after, the age of the image"),
        ("tmpfs: ['/t:size=big']", '"size=big" is no option of a tmpfs'),
        ("user: '" + "${A:-" * 3000 + "}" * 3000 + "'", "nests too many variables"),
        ("volumes: [{type: cluster, source: b, target: /b}]", 'orch does not honour mounts of type "cluster" yet'),
        ("volumes: ['./b:data']", 'compose.yaml:4:15: service "a" can\'t mount on "data"\n  why: the engine takes an'),
        ("volumes: [{type: bind, source: /b, target: x/../y}]", 'can\'t mount on "y"'),
        (
            "volumes: ['b:/data']",
            'can\'t mount on "b:/data"\n  why: the engine takes an absolute path in the container, and'
            " not its root\n  fix: give the volume a name of two letters or more",
        ),
        ("volumes: ['./b:/.']", 'can\'t mount on "/"'),
        ("volumes: [{type: tmpfs, target: ''}]", 'can\'t mount on ""'),
        (
            "tmpfs: run",
            'service "a" can\'t mount on "run"\n  why: the engine takes an absolute path in the container, and'
            ' not its root\n  fix: write "/run"',
        ),
    ],
)
def test_a_value_is_refused_with_its_place(folder: Any, keys: str, told: str) -> None:
    text = refused(folder, keys)

    assert told in text
    assert text.startswith("compose.yaml:")


def test_all_that_is_wrong_with_a_service_comes_out_at_once(folder: Any) -> None:
    text = refused(folder, "expose: [x]\n    pull_policy: refresh\n    security_opt: [nonsense]")

    assert text.count("compose.yaml:") == 3


def test_a_thousand_different_mounts_are_no_repeats_and_two_equal_ones_are(folder: Any) -> None:
    folder.write(
        "services:\n  a:\n    image: i\n    volumes:\n"
        + "".join(f"      - {{type: tmpfs, target: /{n}}}\n" for n in range(1000))
    )
    assert len(folder.load().stack.services["a"].mounts) == 1000

    folder.write(
        "services:\n  a:\n    image: i\n    cap_add: [A]\n    devices:\n"
        "      - {source: /a, target: /b}\n      - {target: /b, source: /a}\n    security_opt: [a=b, a=b]\n"
    )
    assert "lists the same entry twice" in folder.refuse()
