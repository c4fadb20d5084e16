"""What `--help` says, what it costs, and what a wrong command line is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli.group import Verb, VerbGroup
from orchestrator.cli.root import ENTRIES, cli

ROOT = Path(__file__).parents[2]
HEAVY_FOR_HELP = {"docker", "networkx", "rich", "asyncio", "yaml", "msgspec", "requests", "cryptography", "sqlite3"}
HEAVY_FOR_PS = {"networkx", "rich", "apscheduler"}


def commands(group: click.Group = cli, path: str = "orch") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found, name
        yield f"{path} {name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")


ALL = dict(commands())


def imported(*args: str, folder: Path, home: Path) -> set[str]:
    """Top-level names of what `orch ARGS` imports."""
    environment = {**os.environ, "ORCH_HOME": str(home), "DOCKER_HOST": f"unix://{home}/no.sock"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", *args],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 50, done.stderr
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_the_list_of_verbs_says_what_each_verb_says_of_itself() -> None:
    context = click.Context(cli)
    said = {name: found.get_short_help_str(limit=200) for name in ENTRIES if (found := cli.get_command(context, name))}

    assert {name: text for name, (_, text) in ENTRIES.items()} == said


@pytest.mark.parametrize("path", ALL)
def test_each_help_ends_with_an_example_of_its_own_verb(path: str) -> None:
    command = ALL[path]
    assert isinstance(command, Verb | VerbGroup)
    text = command.get_help(click.Context(command, info_name=path, terminal_width=120))

    assert any(path in line for line, _ in command.examples), command.examples
    assert "Examples:" in text
    assert all(line in text for line, _ in command.examples)


@pytest.mark.parametrize("path", ALL)
def test_each_option_and_verb_says_what_it_does(path: str) -> None:
    command = ALL[path]
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]

    assert command.help
    assert silent == []


def test_help_imports_nothing_heavier_than_click(tmp_path: Path) -> None:
    assert imported("--help", folder=tmp_path, home=tmp_path) & HEAVY_FOR_HELP == set()


def cpu_s(*argv: str, folder: Path) -> float:
    """The CPU time of `python ARGV`."""
    environment = {**os.environ, "ORCH_HOME": str(folder), "DOCKER_HOST": f"unix://{folder}/no.sock"}
    process = subprocess.Popen(
        [sys.executable, *argv], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("args", [["--help"], ["up", "--help"]])
def test_help_is_there_at_once(tmp_path: Path, args: list[str]) -> None:
    assert min(cpu_s("-m", "orchestrator", *args, folder=tmp_path) for _ in range(5)) < 0.1


NEEDED = "import asyncio, click, msgspec, requests, yaml, docker.api.client, sqlite3"
"""What no command that asks an engine can do without: about 0.11 s."""


def test_ps_costs_little_more_than_the_libraries_that_it_needs(tmp_path: Path) -> None:
    """0.2 s where these take 0.11 s. Side by side: engines of other tests make both half as long again (measured)."""
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web}}\n")

    pairs = [
        (cpu_s("-m", "orchestrator", "ps", folder=tmp_path), cpu_s("-c", NEEDED, folder=tmp_path)) for _ in range(8)
    ]
    assert min(ours for ours, _ in pairs) < 1.8 * min(theirs for _, theirs in pairs)


def test_ps_imports_no_graph_and_no_terminal_drawing(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: web}}\n")

    assert imported("ps", folder=tmp_path, home=tmp_path) & HEAVY_FOR_PS == set()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["pss"], 'orch: orch has no command "pss", did you mean "ps"\n  fix: orch --help tells what it takes\n'),
        (["node", "lx"], 'orch: orch node has no command "lx"\n  fix: orch node --help tells what it takes\n'),
        (["ps", "--alll"], 'orch: no such option "--alll", did you mean "--all"\n  fix: orch ps --help tells'),
        (["kill"], 'orch: orch has no command "kill"\n  fix: orch stop -t 0\n'),
        (["up", "--dry-run"], "  fix: orch plan shows what would happen and changes nothing\n"),
        (["scale", "web"], '"web" is not of the form service=number'),
        (["scale", "web=many"], '"many" is not a number of replicas for "web"'),
        (["logs", "--tail", "few"], '"few" is no number of lines'),
        (["down", "--rmi", "some"], '"some" is not one of "local", "all"'),
    ],
)
def test_a_wrong_command_line_is_told_what_is_right(
    args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from orchestrator.cli import entry

    code = entry.run(args)

    printed = capsys.readouterr()
    assert code == 2
    assert told in printed.err
    assert printed.out == ""


def test_a_group_without_a_verb_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    from orchestrator.cli import entry

    assert entry.run(["node"]) == 2
    assert capsys.readouterr().err.startswith("Usage: orch node")
