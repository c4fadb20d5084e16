"""The engine's JSON read: what no conformance test can provoke on a real engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.engine.observe import container_of, event_of, image_of, moment, ports_of, published_ports
from orchestrator.model.cluster import ContainerState, Health, HeldPort
from orchestrator.model.names import NodeName, StackName

NODE = NodeName("n1")


def inspected(**changes: Any) -> dict[str, Any]:
    return {
        "Id": "abc",
        "Name": "/shop-web-2",
        "Config": {
            "Image": "web:1",
            "Labels": {
                "com.docker.compose.project": "shop",
                "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "2",
            },
        },
        "State": {"Status": "running", "Running": True, "StartedAt": "2026-01-02T03:04:05.123456789Z"},
        **changes,
    }


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5Z", datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("soon", None),
    ],
)
def test_moments_of_the_engine_are_ours(text: str | None, at: datetime | None) -> None:
    assert moment(text) == at


def test_a_container_of_compose_has_its_place() -> None:
    found = container_of(inspected(), NODE)

    assert (found.stack, found.service, found.slot, found.config, found.revision) == ("shop", "web", 2, "", 0)
    assert (found.name, found.health, found.state) == ("shop-web-2", Health.NONE, ContainerState.RUNNING)


def test_our_labels_win_over_composes() -> None:
    labels = {"dev.orch.stack": "mine", "dev.orch.service": "api", "dev.orch.slot": "5"}
    body = inspected()
    body["Config"]["Labels"] |= labels

    found = container_of(body, NODE)
    assert (found.stack, found.service, found.slot) == ("mine", "api", 5)


def test_the_clock_of_the_engine_is_taken_off_but_never_from_the_mark() -> None:
    found = container_of(inspected(), NODE, clock_offset_s=60)

    assert found.started_at == datetime(2026, 1, 2, 3, 3, 5, 123456, tzinfo=UTC)
    assert found.started_mark == "2026-01-02T03:04:05.123456789Z"


def test_a_long_check_output_is_shortened() -> None:
    state = {"Status": "running", "Health": {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "x" * 900}]}}

    found = container_of(inspected(State=state), NODE)
    assert (found.health, len(found.health_log), found.health_log[-1]) == (Health.UNHEALTHY, 200, "…")


def test_ports_are_held_also_between_two_tries() -> None:
    state = {"Status": "restarting", "Running": True, "Restarting": True}
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": [{"HostIp": "10.0.0.1", "HostPort": ""}]}
    body = inspected(State=state, HostConfig={"PortBindings": bindings}, NetworkSettings={"Ports": {}})

    assert container_of(body, NODE).ports == (HeldPort(port=8080, target=80),)


def test_both_address_families_are_one_port() -> None:
    both = [{"HostIp": "0.0.0.0", "HostPort": "80"}, {"HostIp": "::", "HostPort": "80"}]

    assert ports_of({"80/tcp": both, "81/tcp": None}) == (HeldPort(port=80, target=80),)


def test_published_ports_leave_one_stack_out() -> None:
    def listed(stack: str, port: int) -> dict[str, Any]:
        ports = [{"IP": "0.0.0.0", "PublicPort": port, "Type": "tcp"}, {"PrivatePort": 9, "Type": "tcp"}]
        return {"Labels": {"com.docker.compose.project": stack}, "Ports": ports}

    both = [listed("shop", 80), listed("other", 81), {"Labels": None, "Ports": None}]
    assert published_ports(both, besides=StackName("shop")) == ((81, "tcp", ""),)


def test_an_image_with_a_check_of_none_has_none() -> None:
    body = {"Id": "sha256:1", "Config": {"Healthcheck": {"Test": ["NONE"]}, "Volumes": {"/b": {}, "/a": {}}}}

    found = image_of(body, "web:1", NODE)
    assert (found.has_check, found.volumes) == (False, ("/a", "/b"))
    assert not image_of({"Id": "sha256:1", "Config": None}, "web:1", NODE).has_check


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        ({"Action": "die", "Actor": {"ID": "c", "Attributes": {"dev.orch.stack": "a", "exitCode": "1"}}}, "die 1"),
        (
            {"Action": "health_status: healthy", "Actor": {"ID": "c", "Attributes": {"dev.orch.stack": "a"}}},
            "health_status healthy",
        ),
        ({"Action": "exec_die", "Actor": {"ID": "c", "Attributes": {"dev.orch.stack": "a"}}}, "other exec_die"),
        ({"Action": "connect", "Actor": {"ID": "n", "Attributes": {"container": "c", "name": "x"}}}, "connect x"),
        ({"Action": "destroy", "Actor": {"ID": "n", "Attributes": {"name": "x"}}}, "destroy "),
        ({"Action": "die", "Actor": {"ID": "strange", "Attributes": {}}}, None),
        (
            {
                "Action": "die",
                "Actor": {
                    "ID": "c",
                    "Attributes": {"com.docker.compose.project": "a", "com.docker.compose.oneoff": "True"},
                },
            },
            None,
        ),
    ],
)
def test_events_are_told_of_stacks_only(heard: dict[str, Any], wanted: str | None) -> None:
    event = event_of(heard, NODE, {"c": StackName("a"), "n": StackName("a")})

    assert (event and f"{event.kind} {event.detail}") == wanted


def test_an_image_knows_when_it_came() -> None:
    shown = {"Id": "sha256:a", "Metadata": {"LastTagTime": "2026-01-02T03:04:05.5Z"}}

    found = image_of(shown, "a:1", NODE, clock_offset_s=2.0)

    assert found.fetched_at == datetime(2026, 1, 2, 3, 4, 3, 500000, tzinfo=UTC)
    never = {"Id": "sha256:a", "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"}}
    assert image_of(never, "a:1", NODE).fetched_at is None
