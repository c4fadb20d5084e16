"""Golden scenarios: one file of `specs/scenarios` says what the planner must do in one world, as text.

A file is a title ("X must Y"), a stack in Compose's own words, an intent, a world, and last of all `plan: |` (the next
step) or `preview: |` (all steps by waves). `pytest --update-scenarios` rewrites that last part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import yaml

from orchestrator.model.cluster import ClusterState
from orchestrator.model.operations import (
    AnyOperation,
    ConnectNetwork,
    CopyImage,
    CreateContainer,
    RemoveContainer,
    RenameContainer,
    StopContainer,
)
from orchestrator.model.plan import Blocked, Plan, Preview, Severity, Step
from orchestrator.model.spec import Intent
from orchestrator.planner import plan, preview
from tests.planner.worlds import NOW, cluster_of, intent_of, stack_of

FOLDER = Path(__file__).parents[2] / "specs" / "scenarios"
KEYS = {"title", "stack", "intent", "world", "plan", "preview"}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `expected` is the text below its last key, `kind`."""

    path: Path
    title: str
    intent: Intent
    cluster: ClusterState
    kind: str
    expected: str

    def actual(self) -> str:
        if self.kind == "plan":
            return plan_text(plan(self.intent, self.cluster, now=NOW))
        return preview_text(preview(self.intent, self.cluster, now=NOW))


def read(path: Path) -> Scenario:
    """The scenario in a file; an AssertionError says what is wrong with the file."""
    words = yaml.safe_load(path.read_text())
    assert set(words) <= KEYS, f"{path.name} has keys that no scenario has: {set(words) - KEYS}"
    kind = list(words)[-1]
    assert kind in ("plan", "preview"), f"{path.name} must end with `plan` or `preview`"
    stack = stack_of(words["stack"])
    return Scenario(
        path=path,
        title=words["title"],
        intent=intent_of(stack, words.get("intent", {})),
        cluster=cluster_of(stack, words.get("world", {})),
        kind=kind,
        expected=words[kind] or "",
    )


def rewrite(scenario: Scenario, actual: str) -> None:
    """Puts `actual` in the place of the file's expectation."""
    text = scenario.path.read_text()
    head = re.split(rf"^{scenario.kind}:", text, maxsplit=1, flags=re.MULTILINE)[0]
    body = "".join(f"  {line}\n" if line else "\n" for line in actual.splitlines())
    scenario.path.write_text(f"{head}{scenario.kind}: |\n{body}")


def plan_text(decided: Plan) -> str:
    lines = [f"{_operation(operation)}, because {operation.cause}" for operation in decided.operations]
    lines += map(_blocked, decided.blocked)
    if decided.wake_at:
        lines.append(f"wakes after {(decided.wake_at - NOW).total_seconds():g} s")
    return _text(lines or ["converged"])


def preview_text(shown: Preview) -> str:
    lines = list(_waves(shown.steps))
    lines += map(_blocked, shown.blocked) if shown.blocked else ["converged"]
    return _text(lines)


def _text(lines: list[str]) -> str:
    """Hashes in interim names are not spelled out: they change with the model."""
    return re.sub(r"-[0-9a-f]{8}\b", "-<hash>", "".join(f"{line}\n" for line in lines))


def _waves(steps: tuple[Step, ...]) -> Iterator[str]:
    for wave, inside in groupby(steps, key=lambda step: step.wave):
        yield f"wave {wave}"
        for step in inside:
            after = f" [after {', '.join(map(str, step.after))}]" if step.after else ""
            yield f"  {step.number} {_operation(step.operation)}, because {step.operation.cause}{after}"


def _operation(operation: AnyOperation) -> str:
    return operation.title + "".join(f" {detail}" for detail in _details(operation))


def _details(operation: AnyOperation) -> Iterator[str]:
    """What the title leaves out."""
    match operation:
        case CreateContainer(name=name, replaces=old, inherits=inherits):
            yield f"as {name}"
            if old:
                yield f"in place of {old}"
            if inherits:
                yield f"with {', '.join(f'{v.name}:{v.target}' for v in inherits)}"
        case CopyImage(source=source):
            yield f"from {source}"
        case ConnectNetwork(network=network):
            yield f"to {network}"
        case RenameContainer(name=name, to=to):
            yield f"from {name} to {to}"
        case RemoveContainer(force=force, volumes=volumes):
            yield from (word for word, holds in (("by force", force), ("with its volumes", volumes)) if holds)
        case StopContainer(grace_s=float(grace_s)):
            yield f"within {grace_s:g} s"
    if getattr(operation, "container", None) and not isinstance(operation, RenameContainer):
        yield f"({operation.container})"  # type: ignore[union-attr]  # checked on the line above


def _blocked(entry: Blocked) -> str:
    verb = "fails" if entry.severity is Severity.FAILED else "waits"
    causes = f" [for {', '.join(entry.causes)}]" if entry.causes else ""
    fix = f" (fix: {entry.fix})" if entry.fix else ""
    return f"{entry.subject} {verb}: {entry.reason}{causes}{fix}"
