"""What the lab does to its hosts, seen as a client sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from orchestrator.errors import LabError, NoSuchThing
from orchestrator.lab import Lab, Link, api
from tests.labs import BUSYBOX

pytestmark = pytest.mark.real

PING = """
import socket, ssl, sys
host, port, tls, certificate = sys.argv[1:5]
context = ssl.create_default_context(cafile=f"{tls}/ca.pem")
if certificate == "with":
    context.load_cert_chain(f"{tls}/cert.pem", f"{tls}/key.pem")
try:
    with context.wrap_socket(socket.create_connection((host, int(port)), 1), server_hostname=host) as client:
        client.sendall(b"GET /_ping HTTP/1.0\\r\\n\\r\\n")
        print(client.recv(4096).decode().partition("\\r\\n")[0])
except OSError as error:
    print(type(error).__name__, error)
"""


def ask(lab: Lab, node: str, certificate: str = "with") -> str:
    """What a client in the hub gets from the node's engine over TLS."""
    host, _, port = lab.env(node, tcp=True)["DOCKER_HOST"].removeprefix("tcp://").partition(":")
    path = lab.env(node, tcp=True)["DOCKER_CERT_PATH"]
    argv = lab.enter("hub", sys.executable, "-c", PING, host, port, path, certificate)
    return subprocess.run(argv, text=True, capture_output=True, check=True).stdout.strip()


def state(lab: Lab, node: str) -> tuple[str, Link, int | None]:
    found = next(report for report in lab.status() if report.node == node)
    return found.engine.partition("+")[0], found.link, found.containers


def run_idle(lab: Lab, node: str) -> int:
    """A container that the engine restarts; returns its process, as the node sees it."""
    client = docker.DockerClient(base_url=f"unix://{lab.socket(node)}")
    try:
        started = client.containers.run(BUSYBOX, ["idle"], detach=True, restart_policy={"Name": "always"})
        started.reload()
        return int(started.attrs["State"]["Pid"])
    finally:
        client.close()


def lives(lab: Lab, node: str, pid: int) -> bool:
    return subprocess.run(lab.inside(node, "kill", "-0", str(pid)), capture_output=True).returncode == 0


WELL = ("20.10.24", Link.UP, 0)
ONE = ("20.10.24", Link.UP, 1)


def test_a_client_with_the_certificate_is_answered_and_one_without_is_not(lab3: Lab) -> None:
    assert ask(lab3, "n1") == "HTTP/1.0 200 OK"
    assert "CERTIFICATE" in ask(lab3, "n1", "without").upper()


def test_a_killed_host_is_silent_and_comes_back_with_its_containers_and_identity(lab3: Lab) -> None:
    run_idle(lab3, "n2")
    identity = api.info(lab3.socket("n2"))["ID"]

    lab3.kill("n2")
    assert state(lab3, "n2") == ("down", Link.GONE, None)
    assert ask(lab3, "n2").startswith(("TimeoutError", "OSError [Errno 113]"))
    for act in (lab3.pause, lab3.partition, lab3.heal):
        with pytest.raises(LabError, match='"n2" is down') as raised:
            act("n2")
        assert raised.value.fix == "orch lab restart n2"

    lab3.restart("n2")
    assert state(lab3, "n2") == ONE
    assert ask(lab3, "n2") == "HTTP/1.0 200 OK"
    assert api.info(lab3.socket("n2"))["ID"] == identity


def test_a_crashed_engine_refuses_while_its_containers_live_on(lab3: Lab) -> None:
    pid = run_idle(lab3, "n1")

    lab3.kill("n1", engine=True)
    assert state(lab3, "n1") == ("stopped", Link.UP, None)
    assert ask(lab3, "n1").startswith("ConnectionRefusedError")
    assert lives(lab3, "n1", pid)

    lab3.restart("n1")
    assert state(lab3, "n1") == ONE


def test_a_frozen_host_accepts_and_says_nothing_until_it_thaws(lab3: Lab) -> None:
    lab3.pause("n3")
    assert state(lab3, "n3") == ("hung", Link.UP, None)
    assert ask(lab3, "n3").startswith("TimeoutError")

    lab3.unpause("n3")
    assert state(lab3, "n3") == WELL
    assert ask(lab3, "n3") == "HTTP/1.0 200 OK"


def test_a_frozen_host_is_rebooted_by_restart(lab3: Lab) -> None:
    lab3.pause("n3")
    lab3.restart("n3")

    assert state(lab3, "n3") == WELL


def test_a_hung_engine_leaves_the_host_running(lab3: Lab) -> None:
    pid = run_idle(lab3, "n1")

    lab3.pause("n1", engine=True)
    assert state(lab3, "n1") == ("hung", Link.UP, None)
    assert lives(lab3, "n1", pid)

    lab3.unpause("n1")
    assert state(lab3, "n1") == ONE


@pytest.mark.parametrize(
    ("drop", "link", "answer"), [(False, Link.DOWN, ("TimeoutError", "OSError")), (True, Link.DROP, ("TimeoutError",))]
)
def test_a_partition_cuts_the_network_only_and_heals(
    lab3: Lab, drop: bool, link: Link, answer: tuple[str, ...]
) -> None:
    lab3.partition("n2", drop=drop)
    assert state(lab3, "n2") == ("20.10.24", link, 0)
    assert ask(lab3, "n2").startswith(answer)
    assert ask(lab3, "n1") == "HTTP/1.0 200 OK"

    lab3.heal("n2")
    assert state(lab3, "n2") == WELL
    assert ask(lab3, "n2") == "HTTP/1.0 200 OK"


def test_up_brings_back_what_was_killed_frozen_or_cut_off(lab3: Lab) -> None:
    lab3.kill("n1")
    lab3.pause("n2")
    lab3.partition("n3")

    assert lab3.up(3, tls=True).started == ("n1",)
    assert [state(lab3, node) for node in lab3.nodes()] == [WELL] * 3


def test_an_unknown_node_is_refused_everywhere(lab3: Lab) -> None:
    for act in (lab3.kill, lab3.restart, lab3.pause, lab3.unpause, lab3.partition, lab3.heal, lab3.socket, lab3.env):
        with pytest.raises(NoSuchThing, match='no node "n9" in this lab') as raised:
            act("n9")
        assert raised.value.fix == "there are: n1, n2, n3"


def test_a_lookup_in_a_container_fails_at_once(lab3: Lab) -> None:
    client = docker.DockerClient(base_url=f"unix://{lab3.socket('n1')}")
    try:
        said = client.containers.run(
            BUSYBOX, ["sh", "-c", "time nslookup no.such.example 2>&1; true"], stderr=True, remove=True
        )
    finally:
        client.close()

    assert b"NXDOMAIN" in said
    assert b"real\t0m 0." in said


def test_the_engines_are_of_the_wanted_versions(engine_socket: Path, request: pytest.FixtureRequest) -> None:
    version = json.loads(api.ask(engine_socket, "GET", "/version"))

    wanted = {"20.10": ("20.10.24", "1.41"), "26.1": ("26.1.5", "1.45")}[request.node.callspec.params["engine_socket"]]
    assert (version["Version"].partition("+")[0], version["ApiVersion"]) == wanted


def test_a_container_runs_with_limits_and_an_init_on_each_engine(engine_socket: Path) -> None:
    client = docker.DockerClient(base_url=f"unix://{engine_socket}")
    try:
        assert client.containers.run(BUSYBOX, ["echo", "hello"], mem_limit="64m", init=True, remove=True) == b"hello\n"
    finally:
        client.close()
