"""`deploy.placement.constraints`: what a node is, beside what a service wants of it.

Source: Docker Swarm. A label that is missing counts as an empty text, so `==` fails and `!=` holds; values compare
without regard to case. On top of that amd64 is x86_64, arm64 is aarch64, and `node.hostname` is orch's name, too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from orchestrator.model.cluster import EngineFacts, Node
from orchestrator.model.spec import Constraint

NODE_LABEL, ENGINE_LABEL = "node.labels.", "engine.labels."
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
_FACTS: Mapping[str, Callable[[EngineFacts], tuple[str, ...]]] = {
    "node.id": lambda facts: (facts.engine_id, facts.swarm.member),
    "node.hostname": lambda facts: (facts.hostname,),
    "node.role": lambda facts: ("manager" if facts.swarm.is_manager else "worker",),
    "node.platform.os": lambda facts: (facts.os,),
    "node.platform.arch": lambda facts: (facts.arch,),
}


def unmet(node: Node, constraints: Sequence[Constraint]) -> str:
    """The first that the node does not meet, in words that complete "node1: ...", or empty."""
    return next((why for constraint in constraints if (why := _unmet(node, constraint))), "")


def _unmet(node: Node, constraint: Constraint) -> str:
    found = values(node, constraint.key)
    if any(_is(constraint, value) for value in found or ("",)) is constraint.is_equal:
        return ""
    if not found:
        return f"{constraint.key} is not set, and has to be {constraint.value}"
    has_to = "has to be" if constraint.is_equal else "must not be"
    return f"{constraint.key} is {found[0]}, and {has_to} {constraint.value}"


def values(node: Node, key: str) -> tuple[str, ...]:
    """All that `key` is on the node, the first for people to read; empty where it is not set, or not known."""
    return tuple(value for value in _values(node, key) if value)


def _values(node: Node, key: str) -> tuple[str, ...]:
    facts = node.facts
    if key.startswith(NODE_LABEL):
        return (node.labels.get(key.removeprefix(NODE_LABEL), ""),)
    if key == "node.ip":
        return _addresses(node)
    named = (node.name,) if key == "node.hostname" else ()
    if facts is None:
        return named
    if key.startswith(ENGINE_LABEL):
        return (facts.labels.get(key.removeprefix(ENGINE_LABEL), ""),)
    return (*_FACTS[key](facts), *named)


def _addresses(node: Node) -> tuple[str, ...]:
    """As a person said, as the engine says, as it is reached."""
    reached = urlsplit(node.endpoint).hostname if "://" in node.endpoint else ""
    return node.address, node.facts.swarm.address if node.facts else "", reached or ""


def _is(constraint: Constraint, value: str) -> bool:
    if constraint.key == "node.ip":
        return _is_in(value, constraint.value)
    wanted, value = constraint.value.lower(), value.lower()
    if constraint.key == "node.platform.arch":
        wanted, value = _ARCHES.get(wanted, wanted), _ARCHES.get(value, value)
    return wanted == value


def _is_in(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
