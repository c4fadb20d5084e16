"""`volumes` of the canonical project -> VolumeSpec; one for each slot where the file says so."""

from __future__ import annotations

import re

from orchestrator.errors import BadValue, SpecError
from orchestrator.model.shared import SLOT_TEMPLATE, VolumeSpec
from orchestrator.spec.ownkeys import own_keys
from orchestrator.spec.tree import Map

_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_SLOT = re.compile(r"\{\{-?\s*\.Task\.Slot\s*-?\}\}")


def volume_spec(key: str, value: Map, problems: list[SpecError]) -> VolumeSpec:
    """The volume as the rest of orch knows it; a name that can't be goes to `problems`."""
    own = own_keys("volumes", key, value, problems)
    return VolumeSpec(
        key=key,
        name=_name(key, value, own, problems),
        external=value.get("external", False),
        driver=value.get("driver", ""),
        driver_opts=dict(value.get("driver_opts", {})),
        labels=dict(value.get("labels", {})),
    )


def _name(key: str, value: Map, own: Map, problems: list[SpecError]) -> str:
    """The engine's name, the slot's number as SLOT_TEMPLATE. Source: Docker Swarm, templates (Go's: blanks may be)."""
    written: str = value.get("name", key)
    name = _SLOT.sub(SLOT_TEMPLATE, written)
    if odd := next((found for found in _TEMPLATE.findall(name) if found != SLOT_TEMPLATE), ""):
        what, where = f'volume "{key}" has "{odd}" in its name', str(value.place("name"))
        problems.append(BadValue(what, where=where, fix=f"orch fills in {SLOT_TEMPLATE} and nothing else"))
    is_per_slot = own.get("per_replica", False) and SLOT_TEMPLATE not in name
    return f"{name}-{SLOT_TEMPLATE}" if is_per_slot else name
