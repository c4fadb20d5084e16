"""One line per stack, for `orch ls`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from orchestrator.model.cluster import Container
from orchestrator.model.names import NodeName, StackName
from orchestrator.model.spec import Intent


class StackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `orch ls`. `revision` 0: nobody declared it, it only runs."""

    name: StackName
    revision: int
    services: int
    running: int
    wanted: int
    nodes: tuple[NodeName, ...] = ()
    files: tuple[str, ...] = ()
    state: str = ""
    """`running(3)`, `exited(1), running(2)`, as `docker compose ls` says it."""


def summaries(declared: Sequence[Intent], containers: Sequence[Container]) -> tuple[StackSummary, ...]:
    """Declared stacks, and those that only run, by name."""
    intents = {intent.stack.name: intent for intent in declared}
    names = sorted(intents.keys() | {c.stack for c in containers})
    return tuple(_summary(name, intents.get(name), [c for c in containers if c.stack == name]) for name in names)


def _summary(name: StackName, intent: Intent | None, containers: Sequence[Container]) -> StackSummary:
    services = intent.stack.services.values() if intent else ()
    states = Counter(c.state.value for c in containers)
    return StackSummary(
        name=name,
        revision=intent.revision if intent else 0,
        services=len(services) or len({c.service for c in containers}),
        running=sum(c.is_running for c in containers),
        wanted=sum(service.replicas for service in services) if intent else len(containers),
        nodes=tuple(sorted({c.node for c in containers})),
        files=intent.stack.files if intent else (),
        state=", ".join(f"{state}({count})" for state, count in sorted(states.items())) or "no containers",
    )
