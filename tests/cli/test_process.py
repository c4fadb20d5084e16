"""`orch` as a process: signals, pipes, terminals, completion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

ROOT = Path(__file__).parents[2]
ORCH = [sys.executable, str(Path(__file__).with_name("in_memory.py"))]
SLOW = """
name: shop
services:
  web: {image: "web:1", depends_on: {slow: {condition: service_healthy}}}
  slow: {image: "slow:1", healthcheck: {interval: 1s, retries: 100}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(SLOW)
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "ORCH_HOME": str(folder / "home"), "TERM": "xterm", **more}


def orch(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ORCH, *args], cwd=folder, env=environment(folder, **more), capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_up_says_what_stands_and_what_goes_on(folder: Path, sent: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [*ORCH, "up"], cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stderr
    told = _until(iter(process.stderr.readline, ""), "slow.1 started")
    process.send_signal(sent)
    told += process.stderr.read()

    assert process.wait(20) == code
    assert told.endswith(
        'orch: interrupted; revision 1 of stack "shop" is stored and what was done stands; '
        "the same command goes on from there\n"
    )
    assert "Traceback" not in told


def _until(lines: Iterator[str], text: str) -> str:
    told = ""
    for line in lines:
        told += line
        if text in line:
            return told
    raise AssertionError(f"{text!r} never came: {told}")


def test_no_defect_shows_a_traceback(folder: Path) -> None:
    said = orch(folder, "ps", ORCH_HOME="/dev/null/nowhere")

    assert said.returncode == 1
    assert said.stderr.startswith("orch: ")
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("args", [["--help"], ["config"], ["version", "--format", "json"]])
def test_a_reader_that_goes_away_is_no_error(folder: Path, args: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as closed:
        said = subprocess.run(
            [*ORCH, *args], cwd=folder, env=environment(folder), stdout=closed, stderr=subprocess.PIPE, check=False
        )

    assert said.returncode == 141
    assert said.stderr == b""


def on_a_terminal(folder: Path, *args: str, answer: str = "", **more: str) -> tuple[int, str]:
    """The exit code and all that a terminal of 80 columns shows; `answer` is typed at the first question."""
    with Terminal([*ORCH, *args], folder, environment(folder, COLUMNS="80", LINES="24", **more)) as terminal:
        if answer:
            terminal.wait_for("[y/N]")
            terminal.type(answer)
        return terminal.ended()


def test_a_terminal_shows_a_line_per_service_that_changes_in_place(folder: Path) -> None:
    code, shown = on_a_terminal(folder, "up", "--wait-timeout", "1")

    assert code == 1
    assert "\x1b[1A\x1b[2K" in shown, "the cursor goes up, the line is drawn again"
    assert shown.rindex("\x1b[?25h") > shown.index("\x1b[?25l"), "the cursor is back"
    last = shown[shown.rindex("\x1b[1A\x1b[2K") :]
    assert "slow" in last
    assert "checking" in last
    assert "0/1" in last
    assert "is not ready after 1." in shown


def test_a_dumb_terminal_gets_plain_lines(folder: Path) -> None:
    _, shown = on_a_terminal(folder, "up", "--wait-timeout", "1", TERM="dumb")

    assert "\x1b" not in shown
    assert "slow.1 started (" in shown


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [("y\n", 0, "shop: removed"), ("n\n", 1, "orch: no yes, so nothing was done"), ("\x03", 1, "")],
)
def test_down_with_volumes_asks_on_a_terminal(folder: Path, answer: str, code: int, told: str) -> None:
    (folder / "compose.yaml").write_text(
        "name: shop\nservices: {web: {image: 'web:1', volumes: ['data:/data']}}\nvolumes: {data: }\n"
    )
    assert on_a_terminal(folder, "up")[0] == 0

    ended, shown = on_a_terminal(folder, "down", "-v", answer=answer)

    assert ended == code, shown
    assert '  volume "shop_data" on local\r\ndestroy 1 volume with all data [y/N]: ' in shown
    assert told in shown
    assert ("shop" in orch(folder, "ls", "-q").stdout) is (code == 1)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("orch u", "plain,up"),
        ("orch node ", "plain,ls"),
        ("orch ps --form", "plain,--format"),
        ("orch scale --w", "--wait"),
    ],
)
def test_a_shell_is_offered_the_next_word(folder: Path, words: str, offered: str) -> None:
    asked = {"_ORCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}

    said = orch(folder, **asked)

    assert said.returncode == 0
    assert offered in said.stdout


def test_a_shell_is_offered_services_of_the_declared_stack(folder: Path) -> None:
    orch(folder, "up", "--wait-timeout", "0.1")

    said = orch(folder, _ORCH_COMPLETE="bash_complete", COMP_WORDS="orch logs ", COMP_CWORD="2")

    assert said.stdout.split() == ["plain,slow", "plain,web"]


def test_a_shell_is_offered_stacks(folder: Path) -> None:
    orch(folder, "up", "--wait-timeout", "0.1")

    said = orch(folder, _ORCH_COMPLETE="bash_complete", COMP_WORDS="orch -p sh", COMP_CWORD="2")

    assert said.stdout.split() == ["plain,shop"]


def test_completion_stays_silent_when_nothing_can_be_known(folder: Path) -> None:
    said = orch(
        folder, _ORCH_COMPLETE="bash_complete", COMP_WORDS="orch logs ", COMP_CWORD="2", ORCH_HOME="/dev/null/nowhere"
    )

    assert (said.stdout.strip(), said.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_back(folder: Path, shell: str) -> None:
    assert f"_ORCH_COMPLETE={shell}_complete" in orch(folder, "completion", shell).stdout


def test_bash_completes_with_the_script(folder: Path) -> None:
    (folder / "orch").write_text(f'#!/bin/sh\nexec {ORCH[0]} {ORCH[1]} "$@"\n')
    (folder / "orch").chmod(0o755)
    script = orch(folder, "completion", "bash").stdout
    tab = 'COMP_WORDS=(orch lab un) COMP_CWORD=2\n_orch_completion orch\necho "${COMPREPLY[@]}"'
    asks = f"PATH={folder}:$PATH\n{script}\n{tab}"

    said = subprocess.run(["bash"], input=asks, text=True, env=environment(folder), capture_output=True, check=False)

    assert said.stdout.split() == ["unpause"], said.stderr
