"""A later file on an earlier one, a service on the one that it extends: the merge rule of every key.

Mappings merge key by key, lists append, scalars are replaced, null keeps what was there; `RULES` has the exceptions.
`!reset` and `!override` in the later file come first. Source: Compose Specification, "Merge", as Docker Compose does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.errors import BadValue
from orchestrator.spec.findings import Findings
from orchestrator.spec.scalars import text
from orchestrator.spec.shape import Rule, Shape
from orchestrator.spec.tree import At, Map, Override, Reset, Seq, clone, plain

Merger = Callable[[Any, Any, Shape, "Where"], Any]


class Where:
    """The path of what is being merged, where the later value stands, and who is told of what can't be merged."""

    __slots__ = ("at", "findings", "path")

    def __init__(self, path: str, at: At, findings: Findings) -> None:
        self.path, self.at, self.findings = path, at, findings

    def clash(self) -> BadValue:
        return BadValue(
            f"{self.path} can't be merged with what an earlier file says",
            where=str(self.at),
            why="one is a list, the other a mapping or a text",
            fix="write both in one form, or put !override before this one",
        )


def merge_maps(base: Map, over: Map, shape: Shape, path: str, findings: Findings) -> Map:
    """`base` with `over` on it; tags of `over` stay, so that they can be applied to an earlier file too.

    base: is changed and given back. Where the two can't be merged it stays, and `findings` is told.
    """
    for key, value in over.items():
        at = over.place(key)
        if key in base and not isinstance(value, Reset | Override):
            where = Where(f"{path}.{key}" if path else key, at, findings)
            try:
                value = _merged(base[key], value, shape.child(key), where)
            except BadValue as error:
                findings.add(error, where.path, subject=where.path)
                continue
            at = base.place(key) if value is base[key] and isinstance(value, Map) else at
        base.put(key, value, at)
    return base


BY_NAME = frozenset((Rule.DEPENDENCIES, Rule.ATTACHMENTS, Rule.MODELS))
"""What is a list or a mapping of names in every file; a text in a later one is a name, too."""


def _merged(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    if shape.rule in BY_NAME:
        over = as_list(over, where.at) if isinstance(over, str) else over
        if not all(isinstance(value, Map | Seq | None) for value in (base, over)):
            raise where.clash()
    if rule := RULES.get(shape.rule):
        return rule(base, over, shape, where)
    return _by_type(base, over, shape, where)


def _by_type(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    if over is None:
        return base
    if isinstance(base, Map):
        if not isinstance(over, Map):
            raise where.clash()
        return merge_maps(base, over, shape, where.path, where.findings)
    if isinstance(base, Seq):
        if not isinstance(over, Seq):
            raise where.clash()
        return _appended(base, over)
    return over


def _appended(base: Seq, over: Seq) -> Seq:
    known = [plain(item) for item in base]
    for item, at in over.entries():
        if not _is_in(plain(item), known):
            known.append(plain(item))
            base.push(item, at)
    return base


def _is_in(item: Any, known: list[Any]) -> bool:
    return any(type(item) is type(other) and item == other for other in known)


def _replaced(_base: Any, over: Any, _shape: Shape, _where: Where) -> Any:
    return over


def _by_key(base: Any, over: Any, _shape: Shape, where: Where) -> Any:
    """List and map form mix: both become a list, whose later entries win; so `!reset` of one key is over."""
    if base is None:
        return over
    result = Seq(over.at if isinstance(over, Map | Seq) else where.at)
    for side in (base, over):
        for item, at in _as_entries(side, where.at).entries():
            if not isinstance(item, str):
                what = f'{where.path} lists "{text(item)}", which is no text'
                raise BadValue(what, where=str(at), fix="put it in quotes")
            result.push(item, at)
    return result


def _as_entries(value: Any, at: At) -> Seq:
    """A map or a text as a list; what else there is counts as an empty one."""
    if isinstance(value, Map):
        return _keys_as_list(value)
    return as_list(value, at) if isinstance(value, str | Seq) else Seq(at)


def as_map(value: Any) -> Map:
    """`["A=1", "B"]` as `{"A": "1", "B": None}`; a map is itself."""
    if isinstance(value, Map):
        return value
    result = Map(value.at)
    for item, at in value.entries():
        key, separator, rest = text(item).partition("=")
        result.put(key, rest if separator else None, at)
    return result


def _words(base: Any, over: Any, _shape: Shape, where: Where) -> Any:
    """A text or a list, joined; as in Docker Compose, a mapping counts as the list of its keys or `key=value`."""
    if over is None or base is None:
        return base if over is None else over
    joined = as_list(base)
    for item, at in _as_entries(over, where.at).entries():
        joined.push(item, at)
    return joined


def _files(base: Any, over: Any, _shape: Shape, where: Where) -> Any:
    """A text or a list, joined, what is there already left out."""
    if over is None or base is None:
        return base if over is None else over
    return _appended(as_list(base), _as_entries(over, where.at))


def _keys_as_list(value: Map) -> Seq:
    listed = Seq(value.at)
    for key, entry in sorted((key, stripped(entry)) for key, entry in value.items() if not isinstance(entry, Reset)):
        listed.push(key if entry is None else f"{key}={text(entry)}", value.place(key))
    return listed


def as_list(value: Any, at: At | None = None) -> Seq:
    """A single text as a list of it."""
    if isinstance(value, Seq):
        return value
    result = Seq(at or getattr(value, "at", None) or At("", 0, 0))
    result.push(value, result.at)
    return result


def _names(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    """Lists of names and maps by name mix; a bare name says nothing new."""
    if over is None or base is None:
        return base if over is None else over
    return merge_maps(names_as_map(base), names_as_map(over), shape, where.path, where.findings)


def names_as_map(value: Any, make: Callable[[At], Any] = lambda _at: None) -> Map:
    """`[a, b]` as `{a: make(), b: make()}`; a map is itself."""
    if isinstance(value, Map):
        return value
    result = Map(value.at)
    for item, at in value.entries():
        result.put(text(item), make(at), at)
    return result


def _dependencies(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    if over is None or base is None:
        return base if over is None else over
    return merge_maps(
        names_as_map(base, bare_dependency), names_as_map(over, bare_dependency), shape, where.path, where.findings
    )


def bare_dependency(at: At) -> Map:
    """What a name in the list form of `depends_on` stands for."""
    result = Map(at)
    result.put("condition", "service_started", at)
    result.put("required", True, at)
    return result


def _build(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    if over is None or base is None:
        return base if over is None else over
    return merge_maps(context_map(base, where.at), context_map(over, where.at), shape, where.path, where.findings)


def context_map(value: Any, at: At) -> Map:
    """`build: ./dir` as `{context: ./dir}`; a map is itself."""
    if isinstance(value, Map):
        return value
    result = Map(at)
    result.put("context", value, at)
    return result


def _logging(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    """Options merge if the drivers agree or one side names none."""
    if not isinstance(base, Map) or not isinstance(over, Map):
        raise where.clash()
    ours, theirs = base.get("driver"), over.get("driver")
    if ours is None or theirs is None or ours == theirs:
        return merge_maps(base, over, shape, where.path, where.findings)
    return over


def _ulimit(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    if isinstance(base, Map) and isinstance(over, Map):
        return merge_maps(base, over, shape, where.path, where.findings)
    return over


def _hosts(base: Any, over: Any, _shape: Shape, where: Where) -> Any:
    if over is None or base is None:
        return base if over is None else over
    over = over if isinstance(over, Map) else _as_entries(over, where.at)
    if not isinstance(base, Map | Seq):
        raise where.clash()
    return _appended(hosts_list(base), hosts_list(over))


def hosts_list(value: Any) -> Seq:
    """`{host: [ip, ip]}` as `["host=ip", "host=ip"]`; a list is itself."""
    if isinstance(value, Seq):
        return value
    result = Seq(value.at)
    for host, addresses in value.items():
        if addresses is None:
            result.push(host, value.place(host))
            continue
        for address in addresses if isinstance(addresses, Seq) else [addresses]:
            result.push(f"{host}={text(address)}", value.place(host))
    return result


def _pools(base: Any, over: Any, shape: Shape, where: Where) -> Any:
    """Pools of one subnet merge, and the later file's pools are the list.

    As in Docker Compose, where a pool of the later file also meets every other pool of the earlier one, and then keeps
    nothing of the pool with its own subnet. `assemble` warns of what got lost.
    """
    if not isinstance(base, Seq) or not isinstance(over, Seq) or not base:
        return base if over is None else over
    result = Seq(over.at)
    for pool in clone(base):
        for item, at in over.entries():
            if _subnet(item) != _subnet(pool) and _subnet(item) not in map(_subnet, result):
                result.push(item, at)
                continue
            merge_maps(pool, item, shape.items or shape, where.path, where.findings)
            _put_pool(result, pool, at)
    return result


def _put_pool(pools: Seq, pool: Any, at: At) -> None:
    """In the place of the pool with its subnet, or at the end."""
    for index, other in enumerate(pools):
        if _subnet(other) == _subnet(pool):
            pools[index] = pool
            return
    pools.push(pool, at)


def _subnet(pool: Any) -> Any:
    return pool.get("subnet") if isinstance(pool, Map) else None


RULES: dict[Rule, Merger] = {
    Rule.COMMAND: _replaced,
    Rule.TEST: _replaced,
    Rule.REPLACED: _replaced,
    Rule.VARIABLES: _by_key,
    Rule.LABELS: _by_key,
    Rule.WORDS: _words,
    Rule.LABEL_FILES: _files,
    Rule.NAMESERVERS: _words,
    Rule.ENV_FILES: _words,
    Rule.DEPENDENCIES: _dependencies,
    Rule.ATTACHMENTS: _names,
    Rule.MODELS: _names,
    Rule.BUILD: _build,
    Rule.LOGGING: _logging,
    Rule.ULIMIT: _ulimit,
    Rule.HOSTS: _hosts,
    Rule.POOLS: _pools,
}


def reset(base: Map, over: Map) -> None:
    """Take out of `base` what `over` marks with `!reset` or `!override`; paths through lists mean nothing."""
    for key, value in over.items():
        if isinstance(value, Reset | Override):
            base.pop(key, None)
        elif isinstance(value, Map) and isinstance(base.get(key), Map):
            reset(base[key], value)


def stripped(value: Any) -> Any:
    """A copy without tags: what `!reset` marks is gone, what `!override` marks is itself."""
    if isinstance(value, Override):
        return stripped(value.value)
    if isinstance(value, Map):
        result = Map(value.at)
        for key, entry in value.items():
            if not isinstance(entry, Reset):
                result.put(key, stripped(entry), value.place(key))
        return result
    if isinstance(value, Seq):
        items = Seq(value.at)
        for entry, at in value.entries():
            if not isinstance(entry, Reset):
                items.push(stripped(entry), at)
        return items
    return value
