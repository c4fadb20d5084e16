"""Short forms -> long forms: after this phase every key has one shape.

Each rule has one function here; what is wrong goes to `errors` with its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from orchestrator.errors import BadValue
from orchestrator.spec import mounts, ports
from orchestrator.spec.findings import Findings
from orchestrator.spec.merge import as_list, as_map, bare_dependency, context_map, names_as_map
from orchestrator.spec.scalars import text
from orchestrator.spec.shape import Rule, Shape
from orchestrator.spec.tree import At, Map, Seq

Transformer = Callable[[Any, At], Any]


def canonical(tree: Map, shape: Shape, path: str, findings: Findings, *, lenient: bool = False) -> None:
    """Give every entry below `tree`, which is called `path`, its long form; `tree` is changed.

    What can't be read goes to `findings` and is taken out.
    lenient: what can't be read, for it holds a variable, stays.
    """
    for key, value in tree.items():
        child, inner = shape.child(key), f"{path}.{key}" if path else key
        if transformer := TRANSFORMERS.get(child.rule):
            value = _transformed(child.rule, transformer, value, inner, tree.place(key), findings, lenient)
            tree[key] = value
        if isinstance(value, Map):
            canonical(value, child, inner, findings, lenient=lenient)
        elif isinstance(value, Seq) and child.items is not None and child.items.fields is not None:
            for index, item in enumerate(value):
                if isinstance(item, Map):
                    canonical(item, child.items, f"{inner}[{index}]", findings, lenient=lenient)


def _transformed(
    rule: Rule, transformer: Transformer, value: Any, path: str, at: At, findings: Findings, lenient: bool
) -> Any:
    try:
        return transformer(value, at)
    except _Bad as error:
        is_what = f"is no {_NOUNS[rule]}" if rule in _NOUNS else "can't stand here"
        wrong = [item for item in error.items if not (lenient and "$" in text(item.value))]
        for item in wrong:
            name = f"{path}{item.name}"
            what = f'{name}: "{text(item.value)}" {is_what}'
            findings.add(BadValue(what, where=str(item.at), why=item.why), name, subject=name)
        return error.rest if wrong else error.kept


_NOUNS = {Rule.PORTS: "port", Rule.MOUNTS: "mount", Rule.DEVICES: "device"}


class _Item(NamedTuple):
    """What can't be read: its name below the path, its place, and why."""

    name: str
    value: Any
    at: At
    why: str


class _Bad(Exception):
    """Entries can't be read; `rest` is what is left without them, `kept` what stands for all if they may stay."""

    def __init__(self, items: Sequence[_Item], rest: Any, kept: Any) -> None:
        super().__init__(items)
        self.items, self.rest, self.kept = items, rest, kept


def _items(transform: Callable[[str], dict[str, Any]]) -> Transformer:
    """Each text of a list becomes the mapping that `transform` gives; ValueError is a bad text."""

    def transformed(value: Any, _at: At) -> Any:
        if not isinstance(value, Seq):
            return value
        rest, bad = Seq(value.at), []
        for index, (item, at) in enumerate(value.entries()):
            try:
                value[index] = as_tree(transform(item), at) if isinstance(item, str) else item
                rest.push(value[index], at)
            except ValueError as error:
                bad.append(_Item(f"[{index}]", item, at, str(error)))
        if bad:
            raise _Bad(bad, rest, value)
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
    for index, (item, at) in enumerate(value.entries()):
        try:
            for port in _port(item, at):
                result.push(port, at)
        except ValueError as error:
            bad.append(_Item(f"[{index}]", item, at, str(error)))
    if bad:
        raise _Bad(bad, result, value)
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
            raise _Bad(
                [_Item(".external", external["name"], at, f'it is named "{value["name"]}" already')], value, value
            )
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
    Rule.LABEL_FILES: _words,
    Rule.NAMESERVERS: _nameservers,
    Rule.DEPENDENCIES: _dependencies,
    Rule.ATTACHMENTS: _by_name,
    Rule.MODELS: _by_name,
    Rule.BUILD: _build,
    Rule.GPUS: _gpus,
    Rule.RESOURCE: _resource,
}
