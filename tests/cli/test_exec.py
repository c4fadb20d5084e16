"""`orch exec` on a real engine: exit code, streams, and a terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.terminal import Terminal
from tests.labs import ENGINES, Labs, clean

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
ORCH = [sys.executable, "-m", "orchestrator"]
STACK = """
name: first
services:
  web:
    image: orch/busybox:1
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    pull_policy: never
    scale: 2
"""


class Place(NamedTuple):
    folder: Path
    env: dict[str, str]

    def orch(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ORCH, *args],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def terminal(self, *args: str, size: tuple[int, int] = (24, 80)) -> Terminal:
        return Terminal([*ORCH, *args], self.folder, self.env, size=size)


@pytest.fixture(scope="module", params=ENGINES)
def place(labs: Labs, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder whose stack `first` runs on one engine, two containers of `web`."""
    version: str = request.param
    lab = labs(f"e{version.replace('.', '')}", engine=version)
    folder = tmp_path_factory.mktemp("exec")
    (folder / "compose.yaml").write_text(STACK)
    shutil.copy(Path(lab.env()["ORCH_HOME"]) / "nodes.json", folder)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ORCH_HOME": str(folder),
        "TERM": "xterm",
        "SEEN": "here",
    }
    made = Place(folder, env)
    up = made.orch("up")
    assert up.returncode == 0, up.stderr
    yield made
    clean(lab, 1, version)


def test_the_exit_code_and_both_streams_are_the_commands_own(place: Place) -> None:
    said = place.orch("exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7")

    assert (said.returncode, said.stdout, said.stderr) == (7, "out\n", "err\n")


def test_input_is_piped_to_its_end(place: Place) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))

    assert place.orch("exec", "-T", "web", "cat", stdin=text).stdout == text


def test_options_belong_to_orch_before_the_service_and_to_the_command_after_it(place: Place) -> None:
    said = place.orch(
        "exec", "-e", "A=1", "-e", "SEEN", "-w", "/tmp", "-u", "65534", "web", "sh", "-c", "echo $A $SEEN; pwd; id -u"
    )

    assert said.stdout == "1 here\n/tmp\n65534\n", said.stderr


def test_each_container_of_a_service_can_be_entered(place: Place) -> None:
    names = [place.orch("exec", *words, "hostname").stdout for words in (["web.1"], ["web.2"], ["--index", "2", "web"])]

    assert names[1] == names[2] != names[0]


def test_a_slot_that_does_not_run_is_refused_with_those_that_do(place: Place) -> None:
    said = place.orch("exec", "web.3", "true")

    assert said.returncode == 1
    assert said.stderr == 'orch: "web.3" of stack "first" does not run\n  fix: running: web.1, web.2\n'


def test_a_shell_has_a_terminal_of_this_ones_size_and_its_exit_code_counts(place: Place) -> None:
    with place.terminal("exec", "web", "sh", size=(30, 100)) as terminal:
        terminal.wait_for("# ")
        terminal.type("stty size\n")
        terminal.wait_for("30 100")
        assert not terminal.echoes(), "the far shell echoes, not this terminal"

        terminal.resize(40, 132)
        terminal.type("stty size\n")
        terminal.wait_for("40 132")

        terminal.type("sleep 60\n")
        terminal.type("\x03")
        terminal.wait_for("# ")
        terminal.type("exit 7\n")
        code, shown = terminal.ended()

        assert code == 7, shown
        assert terminal.echoes(), "the terminal is as it was"


def test_the_terminal_is_put_back_when_orch_is_told_to_end(place: Place) -> None:
    with place.terminal("exec", "web", "sh") as terminal:
        terminal.wait_for("# ")
        assert not terminal.echoes()
        os.kill(terminal.pid, signal.SIGTERM)
        code, _ = terminal.ended()

        assert code == 143
        assert terminal.echoes()
