"""`extends`: a service on top of another one, of the same file or another.

Only the service comes along. Paths of another file are made absolute from its folder; loops are refused.
Source: Compose Specification, `extends`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec import merge
from orchestrator.spec.findings import Findings
from orchestrator.spec.schema import SERVICE
from orchestrator.spec.tree import At, Map, clone, size


class _Lost(Exception):
    """What is extended can't be read; that is told elsewhere."""


class Layer(NamedTuple):
    """The services of one file, and how to get those of another: `open` gives a layer with absolute paths.

    findings: what is wrong with the file.
    """

    file: str
    services: Map
    open: Callable[[str, At], Layer]
    findings: Findings


def apply(layer: Layer) -> None:
    """Resolve every `extends` of the layer; its services are changed, their tags stay.

    A service that can't be extended stays as it is, without `extends`, and the layer's findings are told.
    """
    done: dict[tuple[str, str], Any] = {}
    for name, service in list(layer.services.items()):
        try:
            layer.services[name] = _extended(layer, name, (), done)
        except (SpecError, _Lost) as error:
            if isinstance(error, SpecError):
                layer.findings.add(error)
            layer.findings.hole(f"services.{name}.extends")
            service.pop("extends", None)


def _extended(layer: Layer, name: str, chain: tuple[tuple[str, str], ...], done: dict[tuple[str, str], Any]) -> Any:
    step = (layer.file, name)
    if step in done:
        return done[step]
    service = layer.services[name]
    if not isinstance(service, Map) or "extends" not in service:
        return service
    if step in chain:
        members = chain[chain.index(step) :]
        done.update(dict.fromkeys(members, service))  # told once
        for _file, other in members:
            layer.findings.hole(f"services.{other}.extends")
        loop = " -> ".join(f'"{other}" in {file}' for file, other in (*members, step))
        raise BadValue(
            f'service "{name}" extends itself', where=str(service.place("extends")), why=loop, fix="remove one of these"
        )
    holder, wanted = _target(layer, name, service)
    base = _extended(holder, wanted, (*chain, step), done)
    _take_findings(layer, name, holder, wanted)
    if base is None:
        return service  # as in Docker Compose, a service that extends nothing keeps saying so
    base = merge.stripped(base)
    layer.findings.copies(size(base), str(service.place("extends")))
    merge.reset(base, service)
    result = merge.merge_maps(clone(base), service, SERVICE, f"services.{name}", layer.findings)
    result.pop("extends", None)
    done[step] = result
    return result


def _take_findings(layer: Layer, name: str, holder: Layer, wanted: str) -> None:
    """What is missing in the base for a mistake is missing in the service, too."""
    if not holder.findings.is_whole(f"services.{wanted}"):
        layer.findings.hole(f"services.{name}.extends")
    if holder is not layer:
        layer.findings.take(holder.findings)


def _target(layer: Layer, name: str, service: Map) -> tuple[Layer, str]:
    """Which service of which layer is extended."""
    at, target = service.place("extends"), service["extends"]
    wanted, file = (target, None) if isinstance(target, str) else _long(name, target, at)
    holder = layer if file is None else layer.open(file, at)
    if wanted not in holder.services:
        if holder.findings.is_hole("services") or holder.findings.is_hole(f"services.{wanted}"):
            layer.findings.take(holder.findings)
            raise _Lost
        raise BadValue(
            f'service "{name}" extends "{wanted}", which {holder.file} does not have',
            where=str(at),
            fix=_offered(wanted, sorted(other for other in holder.services if other != name)),
        )
    if not isinstance(holder.services[wanted], Map | None):
        what = f'service "{name}" extends "{wanted}", which is no mapping in {holder.file}'
        raise BadValue(what, where=str(at))
    return holder, wanted


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
