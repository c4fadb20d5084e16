"""Keys that Compose knows and orch does not honour yet: refused by name, never dropped; and those without effect.

Keys are paths without the names that people choose: `services.deploy.placement`. `specs/compose-support.yaml` lists
every key, and a test holds the two together. Values that are refused one by one are in `services` and `decode`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.errors import UnsupportedKey
from orchestrator.spec import ownkeys
from orchestrator.spec.schema import PROJECT
from orchestrator.spec.shape import ANYTHING, Shape
from orchestrator.spec.tree import At, Map, Seq

_LATER = "remove it, or run this service with docker compose for now"

REFUSED: dict[str, str] = {
    "models": "orch does not run language models",
    "services.build.additional_contexts": "images are built from one context",
    "services.build.cache_to": "the engine's own builder exports no cache",
    "services.build.entitlements": "the engine's own builder knows no entitlements",
    "services.build.isolation": "only Windows engines have it",
    "services.build.no_cache_filter": "the engine's own builder has one cache switch, no_cache",
    "services.build.privileged": "the engine's own builder has no privileged mode",
    "services.build.provenance": "the engine's own builder makes no attestations",
    "services.build.sbom": "the engine's own builder makes no attestations",
    "services.build.secrets": "the engine's own builder mounts no secrets",
    "services.build.ssh": "the engine's own builder forwards no SSH agent",
    "services.build.ulimits": "limits of a build are not passed to the engine yet",
    "services.credential_spec": "only Windows engines have it",
    "services.deploy.resources.reservations.generic_resources": "generic resources are not reserved yet",
    "services.deploy.restart_policy.delay": "the engine chooses the pause between restarts",
    "services.deploy.restart_policy.window": "the engine decides when a restart has worked",
    "services.deploy.rollback_config": "rolling back by rules is not there yet",
    "services.deploy.update_config.delay": "a pause between slots is not there yet",
    "services.deploy.update_config.failure_action": "an update that fails stops where it is",
    "services.deploy.update_config.max_failure_ratio": "an update that fails stops where it is",
    "services.deploy.update_config.monitor": "a slot counts as updated once it runs, or is healthy",
    "services.models": "orch does not run language models",
    "services.pre_start": "containers that run before a service are not there yet",
    "services.provider": "orch hands no service to other programs",
    "secrets.driver": "secrets are kept by orch, there are no drivers",
    "secrets.driver_opts": "secrets are kept by orch, there are no drivers",
    "secrets.template_driver": "secrets are used as they are, there are no templates",
    "configs.template_driver": "configs are used as they are, there are no templates",
}

WITHOUT_EFFECT: dict[str, str] = {
    "services.cpu_count": "only Windows engines act on it",
    "services.cpu_percent": "only Windows engines act on it",
    "services.deploy.labels": "they belong to a Swarm service, which orch does not have; containers take `labels`",
    "services.volumes.consistency": "it has no effect on Linux",
    "secrets.labels": "a secret is a file in the container, which has no labels",
    "configs.labels": "a config is a file in the container, which has no labels",
}


def unsupported(tree: Map) -> tuple[list[UnsupportedKey], list[str]]:
    """An error for each key of `tree` that is refused, and a sentence for each that changes nothing."""
    errors, remarks = [], []
    for path, at in _keys(tree, PROJECT, ""):
        key = path.removeprefix("services.")
        if key.rpartition(".")[2] == ownkeys.KEY and path.rpartition(".")[0] not in ownkeys.TABLES:
            what, fix = f'orch reads no "{key}"', f"{ownkeys.KEY} stands in a service or in a volume"
            errors.append(UnsupportedKey(what, where=str(at), fix=fix))
        elif why := REFUSED.get(path):
            errors.append(UnsupportedKey(f'orch does not honour "{key}" yet', where=str(at), why=why, fix=_LATER))
        elif why := WITHOUT_EFFECT.get(path):
            remarks.append(f"{at}: {key} has no effect: {why}")
    return errors, remarks


_SCALARS = frozenset(("string", "number", "integer", "boolean", "null", "timestamp"))


def _keys(value: Any, shape: Shape, path: str) -> Iterator[tuple[str, At]]:
    if shape.fields is None and (shape.values or shape.items or ANYTHING).kinds <= _SCALARS:
        return
    if isinstance(value, Map):
        for key, entry in value.items():
            inner = path
            if shape.fields is not None:
                inner = f"{path}.{key}" if path else key
                yield inner, value.place(key)
            yield from _keys(entry, shape.child(key), inner)
    elif isinstance(value, Seq) and shape.items is not None:
        for entry in value:
            yield from _keys(entry, shape.items, path)


def known_keys(shape: Shape = PROJECT, path: str = "") -> Iterator[str]:
    """Every key of the Compose Specification, as a path, in the order of the schema."""
    for key, child in (shape.fields or {}).items():
        inner = f"{path}.{key}" if path else key
        yield inner
        yield from known_keys(child, inner)
    for inner_shape in (shape.values, shape.items):
        if inner_shape is not None:
            yield from known_keys(inner_shape, path)
