"""What ties a container to others: `links`, `external_links`, `volumes_from`."""

from __future__ import annotations

from orchestrator.errors import SpecError, UnsupportedKey
from orchestrator.model.spec import Link, VolumesFrom
from orchestrator.spec.tree import Map, Seq

_CONTAINER = "container:"


def links(name: str, service: Map, problems: list[SpecError]) -> tuple[Link, ...]:
    """`db:database` and, for containers outside of the stack, `some-container:database`; the alias may be left out."""
    found = []
    for key in ("links", "external_links"):
        for written, at in (service.get(key) or Seq()).entries():
            target, _, alias = written.partition(":")
            found.append(Link(target=target, alias=alias or target, is_external=key == "external_links"))
            if key == "links" and not service.get("networks"):
                what = f'service "{name}": orch does not honour link "{written}" with network_mode'
                why = "without a network of the stack a link leads to one container for ever, not to a service"
                problems.append(UnsupportedKey(what, where=str(at), why=why, fix="remove network_mode"))
    return tuple(found)


def volumes_from(service: Map) -> tuple[VolumesFrom, ...]:
    """`db`, `db:ro`, `container:name:ro`."""
    return tuple(_lender(written) for written in service.get("volumes_from", ()))


def _lender(written: str) -> VolumesFrom:
    name, _, mode = written.removeprefix(_CONTAINER).partition(":")
    kind = "container" if written.startswith(_CONTAINER) else "service"
    return VolumesFrom(**{kind: name}, read_only=mode == "ro")
