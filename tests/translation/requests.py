"""From a stack's text to what its engine is asked, by the same steps as orch: load, decode, request."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from orchestrator.engine.protocol import ContainerRequest
from orchestrator.model.cluster import Container
from orchestrator.model.names import NodeName, ServiceName, SlotNumber, container_name
from orchestrator.model.operations import CreateContainer
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.planner import service_hash
from orchestrator.reconciler.requests import container_request
from orchestrator.spec import Request, load

N1 = NodeName("n1")


def stack_of(text: str, files: dict[str, str] | None = None) -> StackSpec:
    """The stack `t`. files: those beside it, by name."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {"stack.yml": text, **(files or {})}.items():
            Path(folder, name).write_text(content)
        request = Request(files=("stack.yml",), project_name="t", cwd=folder, profiles=("*",))
        return load(request).stack


def request_of(
    stack: StackSpec, service: str = "web", containers: Iterable[Container] = (), slot: int = 1
) -> ContainerRequest:
    """What is asked for a slot of it on n1, where `containers` are."""
    name = ServiceName(service)
    spec, number = stack.services[name], SlotNumber(slot)
    operation = CreateContainer(
        node=N1,
        service=name,
        slot=number,
        name=spec.container_name or container_name(stack.name, name, number),
        config=service_hash(stack, spec),
        lenders={c.service: c.id for c in containers if c.node == N1},
        cause="it is a test",
    )
    return container_request(Intent(stack=stack, revision=1), operation)
