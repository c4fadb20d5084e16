"""What a changed file does to a stack that runs, and a stack that Docker Compose started: data and names stay."""

from __future__ import annotations

import json

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import BUSYBOX, IDLE, Engines, Orch, eventually, get, post

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("changes"), pytest.mark.usefixtures("one")]

IMAGES = ("redis",)
COMMON = "image: orch/busybox:1, stop_signal: SIGKILL"


def ids(engines: Engines) -> dict[str, str]:
    return {box.name: box.id for box in engines.boxes("c")}


def require_settled(orch: Orch, engines: Engines, *names: str) -> None:
    assert [box.what for box in engines.boxes("c")] == [(name, "running") for name in names]
    assert orch("plan", "-f", "stack.yml").out == "nothing to do\n"


def test_a_stack_that_compose_started_is_taken_over_with_its_volume(one: Lab, orch: Orch, engines: Engines) -> None:
    socket = one.socket("n1")
    label = {"com.docker.compose.project": "c"}
    post(socket, "/volumes/create", {"Name": "c_data", "Labels": {**label, "com.docker.compose.volume": "data"}})
    post(
        socket,
        "/networks/create",
        {"Name": "c_default", "Labels": {**label, "com.docker.compose.network": "default"}},
    )
    made = post(
        socket,
        "/containers/create?name=c-web-1",
        {
            "Image": BUSYBOX,
            "Cmd": ["sh", "-c", "echo gold > /data/precious; exec idle"],
            "StopSignal": "SIGKILL",
            "Labels": {
                **label,
                "com.docker.compose.service": "web",
                "com.docker.compose.container-number": "1",
                "com.docker.compose.oneoff": "False",
                "com.docker.compose.config-hash": "cafe",
            },
            "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {
                "Binds": ["c_data:/data"],
                "NetworkMode": "c_default",
                "PortBindings": {"80/tcp": [{"HostPort": "8092"}]},
            },
        },
    )
    post(socket, f"/containers/{made['Id']}/start", {})
    orch.stack(
        "name: c\nservices:\n  web:\n"
        f'    {{{COMMON}, command: [httpd, -f, -h, /data], ports: ["8092:80"], volumes: ["data:/data"]}}\n'
        "volumes: {data: }\n"
    )
    assert [stack["name"] for stack in json.loads(orch("ls", "--format", "json").out)] == ["c"]

    assert "because it was not made by orch" in orch("plan", "-f", "stack.yml", code=2).out
    orch("up", "-f", "stack.yml")
    assert get(one, "n1", 8092, "/precious").body == "gold\n"
    assert made["Id"] not in ids(engines).values()
    require_settled(orch, engines, "c-web-1")


def test_data_in_a_volume_of_the_image_outlive_an_update(orch: Orch, engines: Engines) -> None:
    def declare(edition: int) -> None:
        orch.stack(f'name: c\nservices:\n  r: {{image: "orch/redis:7.0", environment: {{EDITION: "{edition}"}}}}\n')

    declare(1)
    orch("up", "-f", "stack.yml")
    eventually(lambda: orch("exec", "-p", "c", "-T", "r", "redis-cli", "set", "x", "gold").out == "OK\n", within_s=5)
    first = ids(engines)
    declare(2)
    orch("up", "-f", "stack.yml")

    assert ids(engines)["c-r-1"] != first["c-r-1"]
    eventually(lambda: orch("exec", "-p", "c", "-T", "r", "redis-cli", "get", "x").out == "gold\n", within_s=5)
    require_settled(orch, engines, "c-r-1")
    orch("down", "-p", "c", "-v", "-y")
    assert engines.ask("n1", "GET", "/volumes")["Volumes"] in (None, [])


def test_a_volume_that_left_the_file_is_mounted_no_more_and_kept(orch: Orch, engines: Engines) -> None:
    orch.stack(
        f"name: c\nservices:\n  a: {{{COMMON}, command: [idle], volumes: ['data:/data']}}\nvolumes: {{data: }}\n"
    )
    orch("up", "-f", "stack.yml")
    orch.stack(f"name: c\nservices:\n  a: {{{COMMON}, command: [idle]}}\n")
    orch("up", "-f", "stack.yml")

    assert engines.box("c", "c-a-1").raw["Mounts"] == []
    assert engines.volumes("c") == {("n1", "c_data")}


def test_a_changed_network_is_made_anew_with_new_containers_on_it(orch: Orch, engines: Engines) -> None:
    services = (
        f"name: c\nservices:\n  a: {{{COMMON}, command: [idle]}}\n  b: {{{COMMON}, command: [idle], depends_on: [a]}}\n"
    )
    orch.stack(services)
    orch("up", "-f", "stack.yml")
    first = ids(engines)
    assert engines.ask("n1", "GET", "/networks/c_default")["Internal"] is False

    orch.stack(services + "networks: {default: {internal: true}}\n")
    orch("up", "-f", "stack.yml")
    network = engines.ask("n1", "GET", "/networks/c_default")
    assert network["Internal"] is True
    assert sorted(member["Name"] for member in network["Containers"].values()) == ["c-a-1", "c-b-1"]
    assert not set(first.values()) & set(ids(engines).values())
    require_settled(orch, engines, "c-a-1", "c-b-1")


def test_who_lives_in_the_network_of_another_follows_its_update_and_its_restart(orch: Orch, engines: Engines) -> None:
    def declare(edition: int) -> None:
        orch.stack(
            "name: c\nservices:\n"
            f'  host: {{{COMMON}, command: [httpd, -f, -p, "80"], environment: {{EDITION: "{edition}"}}}}\n'
            f'  guest: {{{COMMON}, command: [idle], network_mode: "service:host"}}\n'
        )

    def guest_reaches_host() -> bool:
        said = orch("exec", "-p", "c", "-T", "guest", "wget", "-qO-", "http://127.0.0.1/", code=1)
        return "404 Not Found" in said.err + said.out

    declare(1)
    orch("up", "-f", "stack.yml")
    eventually(guest_reaches_host, within_s=3)
    declare(2)
    orch("up", "-f", "stack.yml")
    eventually(guest_reaches_host, within_s=3)
    require_settled(orch, engines, "c-guest-1", "c-host-1")

    orch("restart", "-p", "c", "host")
    eventually(guest_reaches_host, within_s=3)
    require_settled(orch, engines, "c-guest-1", "c-host-1")


def test_a_name_that_somebody_else_has_is_refused_and_his_container_stays(orch: Orch, engines: Engines) -> None:
    other = engines.run("n1", "fixed", *IDLE)
    orch.stack(f"name: c\nservices:\n  web: {{{COMMON}, command: [idle], container_name: fixed}}\n")

    said = orch("up", "-f", "stack.yml", code=1).err
    assert f'The container name "/fixed" is already in use by container "{other}"' in said
    assert "  fix: remove or rename the other container: docker rm -f NAME\n" in said
    assert engines.ask("n1", "GET", f"/containers/{other}/json")["State"]["Running"] is True

    engines.ask("n1", "DELETE", f"/containers/{other}?force=1")
    orch("up", "-f", "stack.yml")
    require_settled(orch, engines, "fixed")


def test_a_service_that_left_the_file_is_kept_until_orphans_are_removed(orch: Orch, engines: Engines) -> None:
    orch.stack(f"name: c\nservices:\n  a: {{{COMMON}, command: [idle]}}\n  b: {{{COMMON}, command: [idle]}}\n")
    orch("up", "-f", "stack.yml")
    orch.stack(f"name: c\nservices:\n  a: {{{COMMON}, command: [idle]}}\n")

    assert "c-b-1 (--remove-orphans removes them)" in orch("up", "-f", "stack.yml").err
    assert sorted(ids(engines)) == ["c-a-1", "c-b-1"]
    orch("up", "-f", "stack.yml", "--remove-orphans")
    require_settled(orch, engines, "c-a-1")


def test_a_build_that_fails_is_told_with_the_builders_last_words(orch: Orch, engines: Engines) -> None:
    orch.stack("name: c\nservices:\n  web: {build: ./web, command: [idle], stop_signal: SIGKILL}\n")
    (orch.folder / "web").mkdir()
    dockerfile = orch.folder / "web" / "Dockerfile"
    dockerfile.write_text(f"FROM {BUSYBOX}\nRUN echo no luck; exit 3\n")

    said = orch("up", "-f", "stack.yml", code=1).err
    assert "The command '/bin/sh -c echo no luck; exit 3' returned a non-zero code: 3" in said
    assert "no luck\n" in said
    assert engines.boxes("c") == ()

    dockerfile.write_text(f"FROM {BUSYBOX}\nRUN echo luck > /luck\n")
    orch("up", "-f", "stack.yml")
    assert orch("exec", "-p", "c", "-T", "web", "cat", "/luck").out == "luck\n"
