"""`make fuzz`: 50,000 inputs and more through the loader and the translation. No traceback, no hang, bounded memory.

    python tests/fuzz/run.py [--inputs 60000] [--seed 1]

Prints the counts, the slowest input and the peak of the memory. An input that breaks a promise is kept in
`tests/fuzz/found/` and named; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from orchestrator.engine.translate import container_body  # noqa: E402 - the folder has to be known first
from orchestrator.errors import OrchError, SpecError  # noqa: E402
from orchestrator.model.spec import StackSpec  # noqa: E402
from orchestrator.spec import Request, load, to_yaml  # noqa: E402
from tests.fuzz.inputs import BOMBS, Case, cases, damaged, stacks  # noqa: E402
from tests.translation.requests import request_of  # noqa: E402

FOUND = Path(__file__).parent / "found"
API = (1, 49)
INPUT_CPU_S = 5.0
"""CPU time that an input of the crowd may take; the usual one takes 3 ms."""
BOMB_CPU_S, BOMB_MB = 10.0, 400
"""What a bomb may cost; the whole of it is read before it is refused, or 16 MiB of it."""
MEMORY_MB = 120
"""Peak of the whole run, Hypothesis and the corpus included."""
CHUNK = 2000
"""Hypothesis remembers every input of a run."""


class Hang(BaseException):
    """No handler of the loader's may catch it."""


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """Raises Hang when the block takes more CPU time."""

    def end(*_: Any) -> None:
        raise Hang(f"{cpu_s} s of CPU time are over")

    signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


class Fuzz:
    """Counts what became of inputs, and keeps those that broke a promise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self.slowest = (0.0, "")

    def text(self, content: bytes, name: str) -> None:
        """One stack file."""
        (self.folder / "stack.yml").write_bytes(content)
        self._judge(name, content, self.folder, ("stack.yml",), {})

    def damage(self, case: Case, rng: random.Random, name: str) -> None:
        """One file of a case, damaged, and whole again afterwards."""
        path = rng.choice(case.texts())
        whole = path.read_bytes()
        content = damaged(rng, whole)
        path.write_bytes(content)
        self._judge(f"{name} {path.relative_to(self.folder)}", content, case.folder, case.files, case.env)
        path.write_bytes(whole)

    def _judge(self, name: str, content: bytes, folder: Path, files: tuple[str, ...], env: Mapping[str, str]) -> None:
        began_s = time.process_time()
        request = Request(files=files, cwd=str(folder), env={"HOME": "/nowhere", **env}, project_name="p")
        try:
            with limited(INPUT_CPU_S):
                self.counts[outcome(request)] += 1
        except (Exception, Hang) as error:
            self.counts["BROKEN"] += 1
            self._keep(name, content, error)
        took_s = time.process_time() - began_s
        self.slowest = max(self.slowest, (took_s, name))

    def _keep(self, name: str, content: bytes, error: BaseException) -> None:
        FOUND.mkdir(exist_ok=True)
        kept = FOUND / f"{len(self.broken)}.yml"
        kept.write_bytes(content)
        last = "".join(traceback.format_exception(error)[-3:])
        self.broken.append(f"{name}: {type(error).__name__}: {error}\n  kept in {kept}\n{last}")


def outcome(request: Request) -> str:
    """`taken` or `refused`; everything else comes out as it is."""
    try:
        loaded = load(request)
    except SpecError as error:
        return "refused" if str(error) else "refused without a word"
    to_yaml(dict(loaded.project))
    return "taken" if _is_translated(loaded.stack) else "taken, but no engine could make it"


def _is_translated(stack: StackSpec) -> bool:
    """Whether a body comes out for every service that lives alone."""
    alone = [s for s in stack.services.values() if "service:" not in f"{s.network_mode} {s.host.ipc} {s.host.pid}"]
    try:
        for service in alone:
            if not any(lender.service for lender in service.volumes_from):
                container_body(request_of(stack, service.name), API)
    except OrchError:
        return False
    return True


def crowd(fuzz: Fuzz, inputs: int, seed: int) -> None:
    """Half of the inputs made from the tables, half of them damaged stacks of the corpus, where there is one."""
    found = cases(fuzz.folder)
    made = inputs // 2 if found else inputs
    for start in range(0, made, CHUNK):
        _made(fuzz, min(CHUNK, made - start), seed * 1000 + start // CHUNK)
    rng = random.Random(seed)
    for number in range(inputs - made):
        fuzz.damage(found[number % len(found)], rng, f"damage {number} by seed {seed}")


def _made(fuzz: Fuzz, inputs: int, seed: int) -> None:
    @seeded(seed)
    @settings(max_examples=inputs, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(content=stacks())
    def each(content: bytes) -> None:
        fuzz.text(content, f"made by seed {seed}")

    each()


def bomb(name: str) -> tuple[bool, str]:
    """Whether it was met in good order, in a process of its own; and in words what it cost."""
    work = [sys.executable, __file__, "--bomb", name]
    done = subprocess.run(work, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode == 0, done.stdout.strip() or done.stderr.strip()[-800:]


def _explode(name: str) -> int:
    """The process of one bomb: exit code 0 when it cost no more than it may."""
    content = BOMBS[name]()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder))
        (fuzz.folder / "stack.yml").write_bytes(content)
        del content
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        began_s, before_mb = time.process_time(), peak_mb()
        try:
            with limited(BOMB_CPU_S):
                found = outcome(Request(files=("stack.yml",), cwd=folder, env={}, project_name="p"))
        except (Exception, Hang) as error:
            print(f"{type(error).__name__}: {str(error)[:300]}")
            print("".join(traceback.format_exception(error)[-4:])[-1500:])
            return 1
    cost_mb = peak_mb() - before_mb
    print(f"{found} in {time.process_time() - began_s:.1f} s, {cost_mb:.0f} MB more than before")
    return int(cost_mb > BOMB_MB)


def peak_mb() -> float:
    """The most memory that this process has held: `getrusage` would count its parent's, too."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bomb", choices=sorted(BOMBS), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.bomb:
        return _explode(options.bomb)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(Path(folder))
        crowd(fuzz, options.inputs, options.seed)
    for name in BOMBS:
        is_met, told = bomb(name)
        fuzz.counts["bombs met" if is_met else "BROKEN"] += 1
        print(f"  bomb, {name}: {told}")
        if not is_met:
            fuzz.broken.append(f"bomb, {name}: {told}")
    return _report(fuzz, time.monotonic() - began_s)


def _report(fuzz: Fuzz, took_s: float) -> int:
    for line in fuzz.broken:
        print(line)
    print(", ".join(f"{count} {what}" for what, count in sorted(fuzz.counts.items())))
    print(f"{took_s:.0f} s; slowest {fuzz.slowest[0] * 1000:.0f} ms ({fuzz.slowest[1]}); peak {peak_mb():.0f} MB")
    return int(bool(fuzz.broken) or peak_mb() > MEMORY_MB)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
