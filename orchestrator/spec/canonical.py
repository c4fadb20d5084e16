"""Short forms -> long forms: after this phase every key has one shape.

Each rule has one function here; what is wrong goes to `errors` with its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec import mounts, ports
from orchestrator.spec.merge import as_list, as_map, bare_dependency, context_map, names_as_map
from orchestrator.spec.scalars import text
from orchestrator.spec.shape import Rule, Shape
from orchestrator.spec.tree import At, Map, Seq

Transformer = Callable[[Any, At], Any]


def canonical(tree: Map, shape: Shape, errors: list[SpecError], *, lenient: bool = False) -> None:
    """Give every entry below `tree` its long form; `tree` is changed.

    lenient: what can't be read, for it holds a variable, stays.
    """
    for key, value in tree.items():
        child = shape.child(key)
        if transformer := TRANSFORMERS.get(child.rule):
            value = _transformed(child.rule, transformer, value, tree.place(key), errors, lenient)
            tree[key] = value
        if isinstance(value, Map):
            canonical(value, child, errors, lenient=lenient)
        elif isinstance(value, Seq) and child.items is not None and child.items.fields is not None:
            for item in value:
                if isinstance(item, Map):
                    canonical(item, child.items, errors, lenient=lenient)


def _transformed(
    rule: Rule, transformer: Transformer, value: Any, at: At, errors: list[SpecError], lenient: bool
) -> Any:
    try:
        return transformer(value, at)
    except _Bad as error:
        is_what = f"is no {_NOUNS[rule]}" if rule in _NOUNS else "can't stand here"
        for item, place, why in error.items:
            if not (lenient and "$" in text(item)):
                errors.append(BadValue(f'"{text(item)}" {is_what}', where=str(place), why=why))
        return value


_NOUNS = {Rule.PORTS: "port", Rule.MOUNTS: "mount", Rule.DEVICES: "device"}


class _Bad(Exception):
    """The entries that can't be read, each with its place and the reason."""

    def __init__(self, *items: tuple[Any, At, str]) -> None:
        super().__init__(items)
        self.items = items


def _items(transform: Callable[[str], dict[str, Any]]) -> Transformer:
    """Each text of a list becomes the mapping that `transform` gives; ValueError is a bad text."""

    def transformed(value: Any, _at: At) -> Any:
        if not isinstance(value, Seq):
            return value
        bad = []
        for index, (item, place) in enumerate(value.entries()):
            if isinstance(item, str):
                try:
                    value[index] = as_tree(transform(item), place)
                except ValueError as error:
                    bad.append((item, place, str(error)))
        if bad:
            raise _Bad(*bad)
        return value

    return transformed


def as_tree(value: Any, at: At) -> Any:
    """A dict that all stands at one place."""
    if isinstance(value, dict):
        result = Map(at)
        for key, entry in value.items():
            result.put(key, as_tree(entry, at), at)
        return result
    return value


def _ports(value: Any, _at: At) -> Any:
    if not isinstance(value, Seq):
        return value
    result, bad = Seq(value.at), []
    for item, at in value.entries():
        try:
            for port in _port(item, at):
                result.push(port, at)
        except ValueError as error:
            bad.append((item, at, str(error)))
    if bad:
        raise _Bad(*bad)
    return result


def _port(item: Any, at: At) -> list[Any]:
    if isinstance(item, Map):
        return [item]
    if not isinstance(item, str | int):
        raise ValueError("a port is an integer, a text or a mapping")
    return [as_tree(_long_port(port), at) for port in ports.parse(text(item))]


def _long_port(port: ports.PublishedPort) -> dict[str, Any]:
    named = {"host_ip": port.host_ip, "published": port.published}
    return {
        "mode": "ingress",
        "target": port.target,
        "protocol": port.protocol,
        **{key: value for key, value in named.items() if value},
    }


def _device(spec: str) -> dict[str, Any]:
    parts = spec.split(":")
    if len(parts) > 3:
        raise ValueError("too many colons, use the long form")
    source, target, permissions = (*parts, "", "")[:3]
    return {"source": source, "target": target or source, "permissions": permissions if len(parts) > 2 else "rwm"}


def _env_files(value: Any, at: At) -> Any:
    files = as_list(value, at)
    for index, (item, place) in enumerate(files.entries()):
        if not isinstance(item, Map):
            files[index] = as_tree({"path": item, "required": True}, place)
        elif "required" not in item:
            item.put("required", True, place)
    return files


def _words(value: Any, at: At) -> Any:
    return value if value is None else as_list(value, at)


def _nameservers(value: Any, at: At) -> Any:
    """As words, blank ones left out."""
    if value is None:
        return value
    result = Seq(at)
    for item, place in as_list(value, at).entries():
        if item:
            result.push(item, place)
    return result


def _dependencies(value: Any, _at: At) -> Any:
    if value is None:
        return value
    result = names_as_map(value, bare_dependency)
    for name, entry in result.items():
        if isinstance(entry, Map) and "required" not in entry:
            entry.put("required", True, result.place(name))
    return result


def _by_name(value: Any, _at: At) -> Any:
    return value if value is None else names_as_map(value)


def _build(value: Any, at: At) -> Any:
    if value is None:
        return value
    build = context_map(value, at)
    if isinstance(contexts := build.get("additional_contexts"), Seq):
        build["additional_contexts"] = as_map(contexts)
    return build


def _gpus(value: Any, at: At) -> Any:
    if value != "all":
        return value
    result = Seq(at)
    result.push(as_tree({"count": -1}, at), at)
    return result


def _resource(value: Any, _at: At) -> Any:
    """`external: {name: x}` is `external: true` with that name."""
    if not isinstance(value, Map) or not isinstance(value.get("external"), Map):
        return value
    external, at = value["external"], value.place("external")
    value["external"] = True
    if external.get("name"):
        if value.get("name") and value["name"] != external["name"]:
            raise _Bad((external["name"], at, f'it is named "{value["name"]}" already'))
        value.put("name", external["name"], external.place("name"))
    return value


TRANSFORMERS: dict[Rule, Transformer] = {
    Rule.PORTS: _ports,
    Rule.MOUNTS: _items(mounts.parse),
    Rule.DEVICES: _items(_device),
    Rule.SECRETS: _items(lambda name: {"source": name}),
    Rule.CONFIGS: _items(lambda name: {"source": name}),
    Rule.BUILD_SECRETS: _items(lambda name: {"source": name}),
    Rule.ENV_FILES: _env_files,
    Rule.WORDS: _words,
    Rule.NAMESERVERS: _nameservers,
    Rule.DEPENDENCIES: _dependencies,
    Rule.ATTACHMENTS: _by_name,
    Rule.MODELS: _by_name,
    Rule.BUILD: _build,
    Rule.GPUS: _gpus,
    Rule.RESOURCE: _resource,
}
