"""How commands reach engines and containers: TLS over the network, DOCKER_HOST, terminals, logs of several nodes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import Engines, Orch, eventually

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("ways"), pytest.mark.timeout(150)]

TALKER = """
name: t
services:
  talk:
    image: orch/busybox:1
    command: [sh, -c, "n=0; while :; do n=$$((n+1)); echo $$(hostname) $$n; sleep 0.2; done"]
    stop_signal: SIGKILL
    network_mode: none
    deploy: {replicas: 3}
"""


@pytest.fixture
def outside(three: Lab, tmp_path: Path) -> Iterator[Orch]:
    """The command on a machine that reaches the nodes by their network only, and that knows none of them yet."""
    (tmp_path / "outside").mkdir()
    made = Orch(tmp_path / "outside", three.enter("hub"))
    yield made
    made.close()
    print(*made.said, sep="\n")


def endpoint(lab: Lab, node: str) -> str:
    env = lab.env(node, tcp=True)
    return f"{env['DOCKER_HOST']}?certs={env['DOCKER_CERT_PATH']}"


def test_nodes_are_added_by_tls_endpoints_and_run_a_stack(three: Lab, outside: Orch, engines: Engines) -> None:
    for node in ("n1", "n2", "n3"):
        assert outside("node", "add", node, endpoint(three, node)).out.startswith(f"{node} added: engine 20.10.24")
    again = outside("node", "add", "twin", endpoint(three, "n2"), code=1).err
    assert again.startswith('orch: node "twin" is there already, as "n2"\n  why: both endpoints lead to engine ')

    outside.stack(TALKER)
    assert outside("up", "-f", "stack.yml").out.startswith("t: revision 1, 3 containers on 3 nodes in ")
    assert sorted(box.node for box in engines.boxes("t")) == ["n1", "n2", "n3"]
    assert outside("exec", "-p", "t", "-T", "talk.2", "echo", "hello").out == "hello\n"

    three.partition("n3", drop=True)
    nodes = json.loads(outside("node", "ls", "--format", "json").out)
    assert [node.get("status", "ready") for node in nodes] == ["ready", "ready", "down"]
    three.heal("n3")
    outside("up", "-f", "stack.yml")

    outside("down", "-p", "t")
    assert engines.boxes("t") == ()
    outside("node", "rm", "n3")
    assert outside("node", "ls", "-q").out == "n1\nn2\n"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "the engine wants TLS"),
        ("?certs=/nowhere", "/nowhere"),
    ],
)
def test_an_endpoint_without_the_right_certificate_is_refused_with_advice(
    three: Lab, outside: Orch, query: str, told: str
) -> None:
    host = three.env("n1", tcp=True)["DOCKER_HOST"]

    said = outside("node", "add", "n1", f"{host}{query}", code=1).err
    assert told in said
    assert "  fix: " in said


def test_docker_host_is_the_whole_cluster_where_no_node_was_added(three: Lab, outside: Orch, engines: Engines) -> None:
    outside.stack(TALKER)
    env = three.env("n2", tcp=True)

    assert outside("up", "-f", "stack.yml", env=env).out.startswith("t: revision 1, 3 containers on 1 node in ")
    assert {box.node for box in engines.boxes("t")} == {"n2"}
    assert {box["node"] for box in json.loads(outside("ps", "--format", "json", "-p", "t", env=env).out)} == {"local"}
    assert outside("ls", "--format", "json", env=three.env("n3", tcp=True)).out.strip() == "[]"


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The command on a terminal, with a person before it."""

    def __init__(self, orch: Orch, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            orch.argv(*words),
            cwd=orch.folder,
            env={**orch.env, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C comes as a signal
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def shows(self, pattern: str, within_s: float = 15) -> re.Match[str]:
        def found() -> re.Match[str]:
            try:
                while piece := os.read(self._ours, 4096):
                    self.seen += piece.decode()
            except BlockingIOError:
                pass
            except OSError:  # the other side has closed
                time.sleep(0.05)
            shown = re.search(pattern, ESCAPES.sub("", self.seen))
            assert shown, f"{pattern!r} is not in {self.seen!r}"
            return shown

        return eventually(found, within_s=within_s)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.mark.usefixtures("three")
def test_exec_gives_a_terminal_and_the_commands_own_exit_code(orch: Orch) -> None:
    orch.stack(TALKER)
    orch("up", "-f", "stack.yml")
    shell = Terminal(orch, "exec", "-p", "t", "talk.3", "sh")
    try:
        shell.shows(r"# ")
        shell.type("tty; echo $((6*7))\n")
        shell.shows(r"/dev/pts/\d+\r\n42\r\n")
        shell.type("exit 7\n")
        assert shell.process.wait(10) == 7
    finally:
        shell.close()

    assert orch("exec", "-p", "t", "-T", "talk", "sh", "-c", "echo no; exit 3", code=3).out == "no\n"
    missing = orch("exec", "-p", "t", "-T", "talk", "nothing-of-this-name", code=126)
    assert '"nothing-of-this-name": executable file not found' in missing.err + missing.out


@pytest.mark.usefixtures("three")
def test_progress_on_a_terminal_has_one_line_for_each_service(orch: Orch) -> None:
    orch.stack(TALKER)
    shown = Terminal(orch, "up", "-f", "stack.yml")
    try:
        shown.shows(r"talk\s+ready\s+3/3")
        shown.shows(r"t: revision 1, 3 containers on 3 nodes in ")
        assert shown.process.wait(10) == 0
    finally:
        shown.close()


@pytest.mark.usefixtures("three")
def test_logs_of_several_nodes_come_merged_and_follow_newcomers(orch: Orch) -> None:
    orch.stack(TALKER)
    orch("up", "-f", "stack.yml")
    following = Terminal(orch, "logs", "-p", "t", "-f", "--no-color")
    try:
        for slot in (1, 2, 3):
            following.shows(rf"talk-{slot}  \| \w+ 7\r\n")
        orch("-p", "t", "scale", "talk=4")
        following.shows(r"talk-4  \| \w+ 3\r\n")
        following.type("\x03")
        assert following.process.wait(10) == 130
        assert "Traceback" not in following.seen
    finally:
        following.close()

    lines = [line.split(" | ") for line in orch("logs", "-p", "t", "--tail", "3", "-t").out.splitlines()]
    assert sorted(prefix.strip() for prefix, _ in lines) == sorted(f"talk-{n}" for n in (1, 2, 3, 4) for _ in range(3))
    moments = [text.split()[0] for _, text in lines]
    assert moments == sorted(moments)
