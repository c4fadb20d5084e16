"""What a test of this folder is made of: `orch` as a person runs it, and what the engines and the network then show.

`Orch` runs the command as a process of its own and keeps all that it said; `Engines` looks at the labs' engines past
orch; `get` is a client outside of the nodes. Nothing here asks orch what orch has done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from orchestrator.errors import LabError
from orchestrator.lab import Lab, api

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OFFLINE = ("--env-file", str(EXAMPLES / "offline.env"))
BUSYBOX = "orch/busybox:1"
IDLE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
"""Runs until it is told to stop, and then stops at once."""

T = TypeVar("T")


class Done(NamedTuple):
    """A command that has ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ orch {' '.join(self.argv)}\n{self.out}{self.err}[exit code {self.code}]"


class Running:
    """A command under way."""

    def __init__(self, argv: Sequence[str], process: subprocess.Popen[str], keep: list[Done]) -> None:
        self.argv, self._process, self._keep = tuple(argv), process, keep
        self._ended: Done | None = None

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def ended(self, within_s: float = 60.0) -> Done:
        """How it ended; killed, and a failure of the test, when it does not in time."""
        if self._ended is None:
            try:
                out, err = self._process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                out, err = self._process.communicate()
                self._keep.append(Done(self.argv, -signal.SIGKILL, out, err))
                raise AssertionError(f"orch {' '.join(self.argv)} did not end within {within_s} s") from None
            self._ended = Done(self.argv, self._process.returncode, out, err)
            self._keep.append(self._ended)
        return self._ended


class Orch:
    """The command, in a folder and with an environment of its own. `said`: all that it has said, for a failed test.

    where: what argv is put before it, such as `Lab.enter("hub")`: to run it on another network.
    """

    def __init__(self, folder: Path, where: Sequence[str] = ()) -> None:
        self.folder, self.where, self.said = folder, tuple(where), list[Done]()
        self._running: list[Running] = []
        base = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "ORCH_HOME": str(folder / "orch-home")}
        self.env = {**base, "PYTHONPATH": str(ROOT)}

    def argv(self, *words: str | Path) -> list[str]:
        """The whole command line."""
        return [*self.where, sys.executable, "-m", "orchestrator", *map(str, words)]

    def stack(self, text: str, name: str = "stack.yml") -> Path:
        """Writes a stack file into the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def start(self, *argv: str | Path, env: Mapping[str, str] | None = None) -> Running:
        process = subprocess.Popen(
            self.argv(*argv),
            cwd=self.folder,
            env={**self.env, **(env or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._running.append(Running([str(word) for word in argv], process, self.said))
        return self._running[-1]

    def __call__(
        self, *argv: str | Path, code: int = 0, env: Mapping[str, str] | None = None, within_s: float = 60.0
    ) -> Done:
        """Runs it to its end, which must come with `code` and without a traceback."""
        done = self.start(*argv, env=env).ended(within_s)
        assert done.code == code, f"exit code {code} was expected:\n{done}"
        assert "Traceback" not in done.err, done
        return done

    def close(self) -> None:
        for running in self._running:
            if running.is_running:
                running.send(signal.SIGKILL)
                running.ended()


def eventually(check: Callable[[], T], *, within_s: float, pause_s: float = 0.05) -> T:
    """What `check` gives, once it raises no AssertionError and gives something; its last failure when it never does."""
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            found = check()
            assert found not in (False, None), f"still {found} after {within_s} s"
        except AssertionError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(pause_s)
        else:
            return found


class Box(NamedTuple):
    """A container as its engine reports it; `raw` is all of it."""

    node: str
    id: str
    name: str
    service: str
    slot: int
    state: str
    health: str
    exit_code: int
    started_at: str
    finished_at: str
    config: str
    raw: Mapping[str, Any]

    @property
    def what(self) -> tuple[str, str]:
        return self.name, self.state


class Engines:
    """The engines of a lab, asked directly."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def ask(self, node: str, method: str, url: str) -> Any:
        answer = api.ask(self.lab.socket(node), method, url)
        return json.loads(answer) if answer.strip() else None

    def boxes(self, stack: str, nodes: Sequence[str] = ()) -> tuple[Box, ...]:
        """The stack's containers on these nodes (all), stopped ones included, by name."""
        filters = json.dumps({"label": [f"com.docker.compose.project={stack}"]}).replace('"', "%22").replace(" ", "")
        found = []
        for node in nodes or self.lab.nodes():
            for listed in self.ask(node, "GET", f"/containers/json?all=1&filters={filters}"):
                with suppress(LabError):  # gone since it was listed
                    found.append(_box(node, self.ask(node, "GET", f"/containers/{listed['Id']}/json")))
        return tuple(sorted(found, key=lambda box: (box.name, box.node)))

    def box(self, stack: str, name: str) -> Box:
        """The one container of that name."""
        found = [box for box in self.boxes(stack) if box.name == name]
        assert len(found) == 1, f"{len(found)} containers are called {name}: {found}"
        return found[0]

    def volumes(self, stack: str) -> set[tuple[str, str]]:
        """(node, name) of the volumes that carry the stack's label or its prefix."""
        listed = [(node, v) for node in self.lab.nodes() for v in self.ask(node, "GET", "/volumes")["Volumes"] or ()]
        return {(node, v["Name"]) for node, v in listed if v["Name"].startswith(f"{stack}_")}

    def networks(self, stack: str) -> set[tuple[str, str]]:
        listed = [(node, n) for node in self.lab.nodes() for n in self.ask(node, "GET", "/networks")]
        return {(node, n["Name"]) for node, n in listed if n["Name"].startswith(f"{stack}_")}

    def run(self, node: str, name: str, *command: str, ports: Mapping[str, str] | None = None) -> str:
        """Starts a container of no stack; its id. ports: "80/tcp" -> port of the host."""
        bindings = {inner: [{"HostPort": outer}] for inner, outer in (ports or {}).items()}
        body = {"Image": BUSYBOX, "Cmd": command or IDLE, "HostConfig": {"PortBindings": bindings}}
        body["ExposedPorts"] = {inner: {} for inner in bindings}
        created = post(self.lab.socket(node), f"/containers/create?name={name}", body)
        post(self.lab.socket(node), f"/containers/{created['Id']}/start", {})
        return str(created["Id"])


def post(socket: Path, url: str, body: object) -> Any:
    """A question with a JSON body, by curl's rules of a unix socket."""
    client = api._UnixConnection(socket, 30.0)
    try:
        client.request("POST", url, body=json.dumps(body), headers={"Content-Type": "application/json"})
        response = client.getresponse()
        answer = response.read()
    finally:
        client.close()
    assert response.status < 400, f"POST {url}: {answer.decode()}"
    return json.loads(answer) if answer.strip() else None


def _box(node: str, raw: Mapping[str, Any]) -> Box:
    labels, state = raw["Config"]["Labels"], raw["State"]
    return Box(
        node=node,
        id=raw["Id"],
        name=raw["Name"].removeprefix("/"),
        service=labels["com.docker.compose.service"],
        slot=int(labels["com.docker.compose.container-number"]),
        state=state["Status"],
        health=state.get("Health", {}).get("Status", "none"),
        exit_code=state["ExitCode"],
        started_at=state["StartedAt"],
        finished_at=state["FinishedAt"],
        config=labels["dev.orch.hash"],
        raw=raw,
    )


_CLIENT = """
import sys, urllib.error, urllib.request
url, body = sys.argv[1], sys.argv[2].encode() if len(sys.argv) > 2 else None
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, body, timeout=5) as answer:
        print(answer.status, answer.read().decode(), end="")
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(), end="")
except OSError as error:
    print(0, error, end="")
"""


class Answer(NamedTuple):
    """status 0: nobody answered, and the body says why."""

    status: int
    body: str


def address(lab: Lab, node: str) -> str:
    return lab.env(node, tcp=True)["DOCKER_HOST"].removeprefix("tcp://").partition(":")[0]


def get(lab: Lab, node: str, port: int, path: str = "/", *, post: str | None = None) -> Answer:
    """What a client outside of the nodes gets from a port of one of them."""
    words = [f"http://{address(lab, node)}:{port}{path}", *([post] if post is not None else [])]
    argv = lab.enter("hub", sys.executable, "-I", "-S", "-c", _CLIENT, *words)
    said = subprocess.run(argv, text=True, capture_output=True, check=True, timeout=20).stdout
    status, _, body = said.partition(" ")
    return Answer(int(status), body)


_LOAD = """
import http.client, json, select, sys
hosts, port, failed, sent = sys.argv[2:], int(sys.argv[1]), [], 0
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    answers = []
    for host in hosts:
        try:
            client = http.client.HTTPConnection(host, port, timeout=2)
            client.request("GET", "/")
            answers.append(client.getresponse().status)
            client.close()
        except (OSError, http.client.HTTPException) as error:
            answers.append(repr(error))
    sent += 1
    if 200 not in answers:
        failed.append(answers)
print(json.dumps([sent, failed]))
"""


class Load:
    """A client outside that asks all nodes in turn, over and over: a round has failed when none of them answered."""

    def __init__(self, lab: Lab, port: int, nodes: Sequence[str]) -> None:
        argv = lab.enter("hub", sys.executable, "-I", "-S", "-c", _LOAD, str(port), *(address(lab, n) for n in nodes))
        self._process = subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def end(self) -> tuple[int, list[list[object]]]:
        """(rounds, the answers of rounds that failed)"""
        out, _ = self._process.communicate(timeout=20)
        sent, failed = json.loads(out)
        return sent, failed
