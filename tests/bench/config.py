"""`orch config -q` beside Docker Compose's, on a file of 200 services and 10,000 lines.

`make bench-config` runs it: whole commands in turn, the first one changing from round to round, and the load itself in
this process. It prints a table, writes JSON, and ends with 1 when a goal is missed. No engine is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.compose import ROOT, Tool, compose_binary

SERVICES, LINES = 200, 10_000
COMMON = (
    "name: big\nx-common: &common\n  restart: unless-stopped\n"
    "  logging: {driver: json-file, options: {max-size: 10m}}\n"
)
GOALS = {"ratio": 1.5, "load_cpu_ms": 150.0, "peak_mb": 100.0}
"""Wall time of the command against Docker Compose's; CPU time of the load alone; memory of the command at its peak."""


def stack() -> str:
    """The file: every service waits for the one before, has variables, ports, mounts, labels, a check and limits."""
    parts = [COMMON + "services:\n", *map(_service, range(SERVICES)), "networks:\n  back: {}\nvolumes:\n"]
    parts += [f"  data{number}: {{}}\n" for number in range(SERVICES)]
    text = "".join(parts)
    assert text.count("\n") <= LINES, "the services fit"
    return text + "# to the round number of lines\n" * (LINES - text.count("\n"))


def _service(number: int) -> str:
    variables = "".join(f'      VAR_{at}: "value {at} ${{V{at}:-x}}"\n' for at in range(16))
    labels = "".join(f"      l{at}: v\n" for at in range(5))
    waits = f"    depends_on:\n      s{number - 1}:\n        condition: service_healthy\n" if number else ""
    return (
        f'  s{number}:\n    <<: *common\n    image: "app:${{TAG:-1}}"\n    command: ["run", "--n", "{number}"]\n'
        f'    environment:\n{variables}    ports:\n      - "{8000 + number}:80"\n      - target: 443\n'
        f'        published: "{9000 + number}"\n    volumes:\n      - data{number}:/data\n      - ./conf:/conf:ro\n'
        f"    networks:\n      back: {{aliases: [n{number}]}}\n    labels:\n{labels}    healthcheck:\n"
        f"      test: curl -f http://localhost\n      interval: 10s\n      retries: 3\n    deploy:\n      replicas: 1\n"
        f'      resources:\n        limits: {{cpus: "0.5", memory: 64m}}\n{waits}'
    )


def load_cpu_ms(file: Path, times: int = 5) -> float:
    """CPU time of one load in a process that has done it before, the best of some."""
    from orchestrator.spec import Request, load

    request = Request(files=(str(file),), cwd=str(file.parent))
    spans = []
    for _ in range(times + 1):
        began = time.process_time()
        load(request)
        spans.append(time.process_time() - began)
    return min(spans[1:]) * 1000


def measured(folder: Path, rounds: int) -> dict[str, float]:
    """Medians over the rounds; the ratio is the median of the rounds' own ratios."""
    (folder / "big.json").write_text(stack())
    env = {**os.environ, "ORCH_HOME": str(folder / "home")}
    orch = Tool("orch", (sys.executable, "-m", "orchestrator"), env)
    compose = Tool("compose", (str(compose_binary()),), env)
    ours, theirs, peaks = [], [], []
    for number in range(rounds):
        for tool in (orch, compose) if number % 2 == 0 else (compose, orch):
            took, peak_kb = tool.run(folder, "big", ("config", "-q"))
            (ours if tool is orch else theirs).append(took)
            peaks += [peak_kb] if tool is orch else []
    return {
        "orch_s": statistics.median(ours), "compose_s": statistics.median(theirs),
        "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
        "load_cpu_ms": load_cpu_ms(folder / "big.json"), "peak_mb": max(peaks) / 1024,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "bench-config.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orchbench") as name:
        found = measured(Path(name), args.rounds)
    for key, value in found.items():
        goal = f"at most {GOALS[key]:g}" if key in GOALS else ""
        print(f"{key:12} {value:10.2f}   {goal}".rstrip())
    args.out.write_text(json.dumps({"services": SERVICES, "lines": LINES, "goals": GOALS, **found}, indent=1))
    return int(any(found[key] > goal for key, goal in GOALS.items()))


if __name__ == "__main__":
    sys.exit(main())
