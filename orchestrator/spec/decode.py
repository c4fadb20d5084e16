"""The canonical project -> StackSpec: dicts become typed values here, once.

What Compose knows and orch does not honour is refused here, by name and place (`support`). Services are in `services`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.errors import BadValue, FileMissing, SpecError
from orchestrator.model.names import Digest, ServiceName, StackName, content_digest
from orchestrator.model.shared import FileSpec, IpamPool, NetworkSpec
from orchestrator.model.spec import Place, ServiceSpec, StackSpec
from orchestrator.spec import files as disk
from orchestrator.spec import support
from orchestrator.spec.findings import Findings, raise_all
from orchestrator.spec.normalise import RESOURCES
from orchestrator.spec.project import Project, shown
from orchestrator.spec.services import Problems, decode_service, dependencies
from orchestrator.spec.tree import NOWHERE, Map, Seq
from orchestrator.spec.volumespec import volume_spec

_T = TypeVar("_T")


def decode(
    tree: Map, name: str, found: Project, env: Mapping[str, str], findings: Findings
) -> tuple[StackSpec, dict[Digest, bytes], list[str]]:
    """The stack, the content of its secrets and configs, and warnings.

    Raises all that is refused at once, UnsupportedKey for what orch does not honour yet.
    findings: of earlier phases, which raise them; what is not whole is left out.
    """
    refused, remarks = support.unsupported(tree)
    problems: Problems = list(refused)
    contents: dict[Digest, bytes] = {}
    files = _Files(env, found.cwd, contents, problems)
    whole = _whole(tree, findings)
    stack = StackSpec(
        name=StackName(name),
        services=_each(
            whole,
            "services",
            lambda key, _value: decode_service(name, found.directory, key, tree["services"], problems),
        ),
        networks=_each(whole, "networks", _network),
        volumes=_each(whole, "volumes", lambda key, value: volume_spec(key, value, problems)),
        secrets=_each(whole, "secrets", lambda key, value: files.spec("secret", key, value)),
        configs=_each(whole, "configs", lambda key, value: files.spec("config", key, value)),
        working_dir=found.directory,
        files=tuple(str(file) for file in found.files),
        places=places(tree),
    )
    raise_all(problems)
    return stack, contents, remarks


def _whole(tree: Map, findings: Findings) -> Mapping[str, Mapping[str, Map]]:
    """By kind, what no mistake has taken anything out of."""
    return {
        kind: {key: value for key, value in (tree.get(kind) or Map()).items() if findings.is_whole(f"{kind}.{key}")}
        for kind in ("services", *RESOURCES)
    }


def _each(tree: Mapping[str, Mapping[str, Map]], kind: str, make: Callable[[str, Map], _T]) -> dict[Any, _T]:
    return {key: make(key, value) for key, value in tree[kind].items()}


def skeleton(tree: Map, name: str) -> StackSpec:
    """Only names, dependencies and places: what the graph needs to find a loop."""
    services = {
        ServiceName(key): ServiceSpec(
            name=ServiceName(key), image="", depends_on=dependencies(service, tree["services"])
        )
        for key, service in tree["services"].items()
    }
    return StackSpec(name=StackName(name), services=services, places=places(tree))


def places(tree: Map) -> dict[str, Place]:
    """Where services, networks, volumes, secrets and configs stand, and each of their keys and entries."""
    found: dict[str, Place] = {}
    for kind in ("services", *RESOURCES):
        for name, value in (tree.get(kind) or Map()).items():
            _note(found, f"{kind}/{name}", tree[kind], name)
            if isinstance(value, Map):
                _note_inner(found, f"{kind}/{name}", value)
    return found


_UNPLACED = frozenset(("environment", "labels", "annotations", "sysctls", "command", "entrypoint"))
"""Keys whose entries nobody points at."""


def _note(found: dict[str, Place], path: str, holder: Map, key: str) -> None:
    if (at := holder.places.get(key)) and at != NOWHERE and at.line:
        found[path] = Place(str(at))


def _note_inner(found: dict[str, Place], path: str, value: Map) -> None:
    for key, entry in value.items():
        _note(found, f"{path}/{key}", value, key)
        if key in _UNPLACED:
            continue
        if isinstance(entry, Map):
            for inner in entry:
                _note(found, f"{path}/{key}/{inner}", entry, inner)
        elif isinstance(entry, Seq):
            for index, (_item, at) in enumerate(entry.entries()):
                if at.line:
                    found[f"{path}/{key}/{index}"] = Place(str(at))


def _network(key: str, value: Map) -> NetworkSpec:
    ipam = value.get("ipam") or {}
    return NetworkSpec(
        key=key,
        name=value.get("name", key),
        external=value.get("external", False),
        driver=value.get("driver", ""),
        driver_opts=dict(value.get("driver_opts", {})),
        internal=value.get("internal", False),
        attachable=value.get("attachable", False),
        enable_ipv4=value.get("enable_ipv4", True),
        enable_ipv6=value.get("enable_ipv6", False),
        labels=dict(value.get("labels", {})),
        ipam_driver=ipam.get("driver", ""),
        ipam_options=dict(ipam.get("options", {})),
        ipam=tuple(_pool(pool) for pool in ipam.get("config", ())),
    )


def _pool(pool: Map) -> IpamPool:
    return IpamPool(
        subnet=pool.get("subnet", ""),
        ip_range=pool.get("ip_range", ""),
        gateway=pool.get("gateway", ""),
        aux_addresses=dict(pool.get("aux_addresses", {})),
    )


class _Files:
    """Reads the content of secrets and configs; it goes to the store by its digest, never into the stack."""

    def __init__(
        self, env: Mapping[str, str], cwd: str, contents: dict[Digest, bytes], problems: list[SpecError]
    ) -> None:
        self._env, self._cwd, self._contents, self._problems = env, cwd, contents, problems

    def spec(self, kind: str, key: str, value: Map) -> FileSpec:
        if value.get("external"):
            return FileSpec(key=key, name=value.get("name", key), digest=Digest(""), external=True)
        try:
            content = self._content(kind, key, value)
        except SpecError as error:
            self._problems.append(error)
            content = b""
        digest = content_digest(content)
        self._contents[digest] = content
        return FileSpec(key=key, name=value.get("name", key), digest=digest)

    def _content(self, kind: str, key: str, value: Map) -> bytes:
        if "content" in value:
            return str(value["content"]).encode()
        if variable := value.get("environment"):
            return self._variable(kind, key, variable, str(value.place("environment")))
        if "file" not in value:
            raise BadValue(f'{kind} "{key}" is empty', where=str(value.at), fix="use `file` or `environment`")
        return self._file(kind, key, value["file"], str(value.place("file")))

    def _file(self, kind: str, key: str, path: str, where: str) -> bytes:
        try:
            return disk.read(Path(path), shown(path, self._cwd), where)
        except FileMissing as error:
            error.what = f'{kind} "{key}": {error.what}'
            raise

    def _variable(self, kind: str, key: str, variable: str, where: str) -> bytes:
        value = self._env.get(variable)
        if value is None:
            raise BadValue(
                f'{kind} "{key}" is taken from variable "{variable}", which is not set', where=where,
                fix=f"set {variable} in the environment or in .env",
            )  # fmt: skip
        return value.encode()
