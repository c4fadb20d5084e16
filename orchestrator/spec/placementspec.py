"""`deploy.placement` of the canonical project -> PlacementRules.

Source: Docker Swarm: `key == value` or `key != value`, blanks around them do not count, nor does the case of a key but
for the name of a label. swarmkit takes keys that it doesn't know and then finds no node; orch refuses them.
"""

from __future__ import annotations

import difflib
import ipaddress
import re

from orchestrator.errors import BadValue, SpecError
from orchestrator.model.spec import Constraint, PlacementRules, Strategy
from orchestrator.spec.tree import At, Map, Seq

KEYS = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
LABELS = ("node.labels.", "engine.labels.")
ROLES = ("manager", "worker")
KNOWN = ", ".join((*KEYS, "node.labels.NAME", "engine.labels.NAME"))

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9\-_.]+")
_VALUE = re.compile(r"[A-Za-z0-9:\-_\s.*()?+\[\]\\^$|/]+")


class _Bad(Exception):
    """Why it means nothing, and what to write."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why, fix)
        self.why, self.fix = why, fix


def placement_rules(name: str, deploy: Map, own: Map, problems: list[SpecError]) -> PlacementRules:
    """Where containers of service `name` may go; what means nothing goes to `problems`, each with its place.

    own: the service's `x-orch`.
    """
    placement = deploy.get("placement") or Map(deploy.at)
    strategy = (own.get("placement") or Map()).get("strategy")
    return PlacementRules(
        constraints=_constraints(name, placement.get("constraints") or Seq(), problems),
        spread=_spread(name, placement.get("preferences") or Seq(), problems),
        max_replicas_per_node=placement.get("max_replicas_per_node", 0),
        strategy=Strategy(strategy) if strategy else Strategy.SPREAD,
    )


def _constraints(name: str, written: Seq, problems: list[SpecError]) -> tuple[Constraint, ...]:
    found = []
    for text, at in written.entries():
        try:
            found.append(constraint(text))
        except _Bad as bad:
            problems.append(_error(name, f'"{text}" is no placement constraint', at, bad))
    return tuple(found)


def _spread(name: str, written: Seq, problems: list[SpecError]) -> tuple[str, ...]:
    found = []
    for preference, at in written.entries():
        text = preference.get("spread", "")
        try:
            found.append(_label(text))
        except _Bad as bad:
            place = preference.places.get("spread", at)
            problems.append(_error(name, f'can\'t spread over "{text}"', place, bad))
    return tuple(found)


def _error(name: str, what: str, at: At, bad: _Bad) -> BadValue:
    return BadValue(f'service "{name}": {what}', where=str(at), why=bad.why, fix=bad.fix)


def constraint(text: str) -> Constraint:
    """`node.labels.disk == ssd`. Raises _Bad."""
    operator = next((operator for operator in ("==", "!=") if operator in text), "")
    if not operator:
        fix = text.replace("=", "==", 1) if text.count("=") == 1 else "node.labels.zone==east"
        raise _Bad("it has neither == nor !=", f"write {fix}")
    written, _, value = (part.strip() for part in text.partition(operator))
    key = _known(written)
    if not _VALUE.fullmatch(value):
        why = f'"{value}" holds what no value can' if value else "it has no value"
        raise _Bad(why, "use letters, digits, blanks and : - _ . * ( ) ? + [ ] ^ $ | / \\")
    _check_value(key, value)
    return Constraint(key=key, value=value, is_equal=operator == "==")


def _known(written: str) -> str:
    """The key as orch spells it."""
    if written.lower() in KEYS:
        return written.lower()
    try:
        return _label(written)
    except _Bad:
        raise _Bad(f'a node has no "{written}"', _near(written)) from None


def _label(written: str) -> str:
    """`node.labels.NAME` or `engine.labels.NAME`."""
    prefix = next((prefix for prefix in LABELS if written.lower().startswith(prefix)), "")
    if not prefix or len(written) == len(prefix) or not _KEY.fullmatch(written):
        raise _Bad("it is no label of a node or an engine", "use node.labels.NAME or engine.labels.NAME")
    return prefix + written[len(prefix) :]


def _near(written: str) -> str:
    start = ".".join(written.lower().split(".")[:2])
    label = f"{start}.{written.split('.', 2)[2]}" if written.count(".") > 1 else ""
    options = (*KEYS, *(prefix[:-1] for prefix in LABELS))
    close = difflib.get_close_matches(written.lower(), KEYS, n=1, cutoff=0.75)
    if not close and label and (prefix := difflib.get_close_matches(start, options, n=1, cutoff=0.75)):
        close = [f"{prefix[0]}.{written.split('.', 2)[2]}"]
    return f'did you mean "{close[0]}"?' if close else f"use {KNOWN}"


def _check_value(key: str, value: str) -> None:
    if key == "node.role" and value.lower() not in ROLES:
        raise _Bad(f'"{value}" is no role of a node', f"use {' or '.join(ROLES)}")
    if key == "node.ip" and not _is_address(value):
        raise _Bad(f'"{value}" is neither an address nor a network', "write 192.0.2.7 or 192.0.2.0/24")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True
