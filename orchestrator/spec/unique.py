"""Entries of a list that mean the same thing: the later one takes the earlier one's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.errors import BadValue
from orchestrator.spec import mounts
from orchestrator.spec.findings import Findings
from orchestrator.spec.scalars import text
from orchestrator.spec.shape import Rule, Shape
from orchestrator.spec.tree import Map, Seq

Index = Callable[[Any], str]


def unique(tree: Map, shape: Shape, path: str, findings: Findings) -> None:
    """Drop repeats in every list below `tree` whose rule says what a repeat is; `tree` is changed.

    A text that can't be read repeats nothing; what else can't be read is taken out, and `findings` is told.
    """
    for key, value in tree.items():
        child = shape.child(key)
        if isinstance(value, Map):
            unique(value, child, f"{path}.{key}" if path else key, findings)
        elif isinstance(value, Seq) and child.rule in INDEXES:
            tree[key] = _distinct(value, INDEXES[child.rule], f"{path}.{key}" if path else key, findings)


def _distinct(value: Seq, index: Index, path: str, findings: Findings) -> Seq:
    result, known = Seq(value.at), dict[str, int]()
    for number, (item, at) in enumerate(value.entries()):
        try:
            key = index(item)
        except ValueError as error:
            if isinstance(item, str):
                result.push(item, at)  # for `canonical` to refuse
                continue
            name = f"{path}[{number}]"
            if findings.is_whole(name):
                findings.add(BadValue(f"{name} can't stand here", where=str(at), why=str(error)), name, subject=name)
            continue
        if key in known:
            result[known[key]], result.places[known[key]] = item, at
        else:
            known[key] = len(result)
            result.push(item, at)
    return result


def _by_name(item: Any) -> str:
    return text(item).partition("=")[0]


def _whole(item: Any) -> str:
    if not isinstance(item, str | int):
        raise ValueError("a port is a number or a text")
    return text(item)


def _port(item: Any) -> str:
    if not isinstance(item, Map):
        return text(item)
    if "target" not in item:
        raise ValueError('the port has no "target"')
    published = item.get("published")
    published = published if isinstance(published, str) else f"#{text(published)}" if published else ""
    host, protocol = item.get("host_ip") or "0.0.0.0", item.get("protocol") or "tcp"
    return f"{host}:{published}:{text(item.get('target'))}/{protocol}"


def _mount(item: Any) -> str:
    if isinstance(item, Map):
        if not isinstance(item.get("target"), str):
            raise ValueError('the mount has no "target"')
        return str(item["target"])
    return str(mounts.parse(text(item))["target"])


def _device(item: Any) -> str:
    if isinstance(item, Map):
        if "target" not in item:
            raise ValueError('the device has no "target"')
        return text(item["target"])
    parts = text(item).split(":")
    return parts[1] if len(parts) > 1 and parts[1] else parts[0]


def _grant(folder: str) -> Index:
    def index(item: Any) -> str:
        if isinstance(item, Map):
            return text(item.get("target")) or f"{folder}/{text(item.get('source'))}"
        return f"{folder}/{text(item)}"

    return index


def _env_file(item: Any) -> str:
    return text(item.get("path")) if isinstance(item, Map) else text(item)


INDEXES: dict[Rule, Index] = {
    Rule.VARIABLES: _by_name,
    Rule.LABELS: _by_name,
    Rule.WORDS: _by_name,
    Rule.NAMESERVERS: _by_name,
    Rule.SET: _by_name,
    Rule.EXPOSED: _whole,
    Rule.PORTS: _port,
    Rule.MOUNTS: _mount,
    Rule.DEVICES: _device,
    Rule.SECRETS: _grant("/run/secrets"),
    Rule.CONFIGS: _grant(""),
    Rule.ENV_FILES: _env_file,
}
