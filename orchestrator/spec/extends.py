"""`extends`: a service on top of another one, of the same file or another.

Only the service comes along. Paths of another file are made absolute from its folder; loops are refused.
Source: Compose Specification, `extends`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

from orchestrator.errors import BadValue, SeveralErrors, SpecError
from orchestrator.spec import merge
from orchestrator.spec.schema import SERVICE
from orchestrator.spec.tree import At, Map, clone


class Layer(NamedTuple):
    """The services of one file, and how to get those of another: `open` gives a layer with absolute paths."""

    file: str
    services: Map
    open: Callable[[str, At], Layer]


def apply(layer: Layer) -> None:
    """Resolve every `extends` of the layer; its services are changed, their tags stay."""
    done: dict[tuple[str, str], Any] = {}
    errors: dict[str, SpecError] = {}
    for name in list(layer.services):
        try:
            layer.services[name] = _extended(layer, name, (), done)
        except SpecError as error:
            errors.setdefault(str(error), error)
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        raise SeveralErrors(errors.values())


def _extended(layer: Layer, name: str, chain: tuple[tuple[str, str], ...], done: dict[tuple[str, str], Any]) -> Any:
    step = (layer.file, name)
    if step in done:
        return done[step]
    service = layer.services[name]
    if not isinstance(service, Map) or "extends" not in service:
        return service
    if step in chain:
        done.update(dict.fromkeys(chain[chain.index(step) :], service))  # told once
        loop = " -> ".join(f'"{other}" in {file}' for file, other in (*chain[chain.index(step) :], step))
        raise BadValue(
            f'service "{name}" extends itself', where=str(service.place("extends")), why=loop, fix="remove one of these"
        )
    base = _base(layer, name, service, (*chain, step), done)
    if base is None:
        return service  # as in Docker Compose, a service that extends nothing keeps saying so
    base = merge.stripped(base)
    merge.reset(base, service)
    result = merge.merge_maps(clone(base), service, SERVICE, f"services.{name}")
    result.pop("extends", None)
    done[step] = result
    return result


def _base(layer: Layer, name: str, service: Map, chain: tuple[Any, ...], done: dict[tuple[str, str], Any]) -> Any:
    at, target = service.place("extends"), service["extends"]
    wanted, file = (target, None) if isinstance(target, str) else _long(name, target, at)
    holder = layer if file is None else layer.open(file, at)
    if wanted not in holder.services:
        raise BadValue(
            f'service "{name}" extends "{wanted}", which {holder.file} does not have',
            where=str(at),
            fix=_offered(wanted, sorted(other for other in holder.services if other != name)),
        )
    if not isinstance(holder.services[wanted], Map | None):
        what = f'service "{name}" extends "{wanted}", which is no mapping in {holder.file}'
        raise BadValue(what, where=str(at))
    return _extended(holder, wanted, chain, done)


def _offered(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=1)
    return f'did you mean "{near[0]}"?' if near else f"it has {', '.join(names) or 'no other services'}"


def _long(name: str, target: Any, at: At) -> tuple[str, str | None]:
    if not isinstance(target, Map) or not isinstance(target.get("service"), str):
        raise BadValue(f'"extends" of service "{name}" names no service', where=str(at), fix="extends: {service: NAME}")
    file = target.get("file")
    if file is not None and not isinstance(file, str):
        raise BadValue(f'"extends" of service "{name}" has a file that is no text', where=str(at))
    return target["service"], file
