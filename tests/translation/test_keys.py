"""Every key of a service, from a stack's text to the engine's body: `keys.yaml` has a case for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.engine.translate import container_body
from orchestrator.model.cluster import Container, ContainerState
from orchestrator.model.names import ContainerId, ServiceName, SlotNumber, StackName
from orchestrator.spec.schema import SERVICE
from orchestrator.spec.shape import Shape
from orchestrator.spec.support import REFUSED, known_keys
from tests.translation.requests import N1, request_of, stack_of

TABLE = Path(__file__).parent / "keys.yaml"
API = (1, 49)
CASES: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text())
OTHER = Container(
    id=ContainerId("0" * 12),
    name="t-other-1",
    node=N1,
    stack=StackName("t"),
    service=ServiceName("other"),
    slot=SlotNumber(1),
    state=ContainerState.RUNNING,
)


def body_of(case: dict[str, Any]) -> dict[str, Any]:
    said = {"image": "a", **case.get("service", {})}
    services = {"web": {key: value for key, value in said.items() if value is not None}, "other": {"image": "b"}}
    stack = stack_of(yaml.safe_dump({"services": services, **case.get("top", {})}), case.get("files"))
    return container_body(request_of(stack, containers=[OTHER]), API)


def difference(body: Any, plain: Any) -> Any:
    """What of `body` is not in `plain`; null for what only `plain` has."""
    found = {key: _changed(body.get(key), plain.get(key)) for key in sorted(body.keys() | plain.keys())}
    return {key: value for key, value in found.items() if value is not EQUAL}


EQUAL = object()


def _changed(new: Any, old: Any) -> Any:
    if new == old:
        return EQUAL
    return difference(new, old) if isinstance(new, dict) and isinstance(old, dict) else new


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return body_of({})


@pytest.fixture(scope="module", autouse=True)
def rewritten(pytestconfig: pytest.Config, plain: dict[str, Any]) -> None:
    if pytestconfig.getoption("--update-scenarios"):
        head = TABLE.read_text().partition("\n- ")[0].rstrip()
        for case in CASES:
            case["body"] = _told(case, plain)
        TABLE.write_text("\n\n".join([head, *(_dumped(case) for case in CASES)]))


def _dumped(case: dict[str, Any]) -> str:
    return yaml.safe_dump([case], sort_keys=False, width=112, allow_unicode=True).rstrip() + "\n" * (case is CASES[-1])


def _told(case: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    found = difference(body_of(case), plain)
    labels = found.get("Labels") or {}
    labels.pop("dev.orch.hash", None)
    return {key: value for key, value in found.items() if key != "Labels" or labels}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["key"])
def test_the_body_of_a_key(case: dict[str, Any], plain: dict[str, Any]) -> None:
    told = _told(case, plain)

    assert told == case["body"]
    assert bool(told) != bool(case.get("by")) or case["key"] == "build"


def test_every_key_that_is_not_refused_has_a_case() -> None:
    seen = {path for case in CASES for path in _paths({**case["service"]}, SERVICE, "")}
    wanted = {path for path in known_keys(SERVICE) if not _is_of_others(path)}

    assert sorted(wanted - seen) == []


OF_OTHERS = (
    *("build.", "pre_start.", "develop.", "env_file.format", "post_start.", "models.", "provider."),
    "deploy.placement.",
)
"""They end in no container's body: their own tests are elsewhere."""


def _is_of_others(path: str) -> bool:
    """Refused, or not about containers."""
    parts = path.split(".")
    is_refused = any("services." + ".".join(parts[:end]) in REFUSED for end in range(1, len(parts) + 1))
    return is_refused or path.startswith(OF_OTHERS)


def _paths(value: Any, shape: Shape | None, path: str) -> Iterator[str]:
    if isinstance(value, dict) and shape is not None:
        for key, entry in value.items():
            inner = f"{path}.{key}".lstrip(".") if shape.fields is not None else path
            yield inner
            yield from _paths(entry, shape.child(key), inner)
    elif isinstance(value, list) and shape is not None:
        for entry in value:
            yield from _paths(entry, shape.items, path)
