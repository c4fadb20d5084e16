"""Does the project hold together? References that lead nowhere, keys that exclude each other, names used twice.

Only active services are asked. What an earlier phase has taken out is missed by none of the rules.
Source: compose-go's consistency checks, as observed.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec import sizes
from orchestrator.spec.findings import Findings
from orchestrator.spec.merge import as_map
from orchestrator.spec.normalise import SERVICE_PREFIX
from orchestrator.spec.paths import maps
from orchestrator.spec.tree import At, Map, Seq


def check_values(tree: Map, findings: Findings) -> None:
    """What one layer of files must hold by itself, before names and paths are completed."""
    for error in _wrong_values(tree, findings):
        findings.add(error)


def _wrong_values(tree: Map, findings: Findings) -> Iterator[SpecError]:
    for key, volume in (tree.get("volumes") or Map()).items():
        if isinstance(volume, Map) and volume.get("external"):
            for other in volume:
                if other not in ("external", "name") and not other.startswith("x-"):
                    yield BadValue(
                        f'volume "{key}" is external and can\'t have "{other}"', where=str(volume.place(other))
                    )
    for kind, sources in (("secrets", ("file", "environment")), ("configs", ("file", "environment", "content"))):
        for key, entry in (tree.get(kind) or Map()).items():
            if isinstance(entry, Map) and findings.is_whole(f"{kind}.{key}"):
                for error in _check_source(f'{kind[:-1]} "{key}"', entry, sources):
                    findings.hole(f"{kind}.{key}")
                    yield error
    for name, service in (tree.get("services") or Map()).items():
        if isinstance(service, Map):
            yield from _check_service_values(name, service)


def _check_source(name: str, entry: Map, sources: tuple[str, ...]) -> Iterator[SpecError]:
    given = [source for source in sources if source in entry]
    if len(given) > 1:
        yield BadValue(f"{name} has more than one of {', '.join(given)}", where=str(entry.place(given[1])))
    if not given and "external" not in entry and "driver" not in entry:
        yield BadValue(f"{name} has no source", where=str(entry.at), fix=f"give it one of {', '.join(sources)}")


def _check_service_values(name: str, service: Map) -> Iterator[SpecError]:
    for port in maps(service.get("ports")):
        if isinstance(host := port.get("host_ip"), str) and host:
            try:
                ipaddress.ip_address(host)
            except ValueError:
                yield BadValue(f'service "{name}": "{host}" is no IP address', where=str(port.place("host_ip")))
    yield from _check_contexts(name, service)
    if "pid" in service and service["pid"] is None:
        yield BadValue(f'service "{name}": pid has no value', where=str(service.place("pid")), fix="remove pid")
    develop = service.get("develop")
    for rule in maps(develop.get("watch")) if isinstance(develop, Map) else ():
        if rule.get("path") == "":
            yield BadValue(f'service "{name}" watches an empty path', where=str(rule.place("path")))
    for request in _device_requests(service):
        if request.get("device_ids") and request.get("count") not in (None, -1):
            yield BadValue(f'service "{name}": "count" and "device_ids" exclude each other', where=str(request.at))


def _check_contexts(name: str, service: Map) -> Iterator[SpecError]:
    build = service.get("build")
    contexts = build.get("additional_contexts") if isinstance(build, Map) else None
    if isinstance(contexts, Map | Seq):
        known = as_map(contexts)
        for key, value in known.items():
            if not isinstance(value, str):
                what = f'service "{name}": additional context "{key}" names no folder'
                yield BadValue(what, where=str(known.place(key)), fix="write name: FOLDER")


def _device_requests(service: Map) -> list[Map]:
    value: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        value = value.get(key) if isinstance(value, Map) else None
    return [*maps(service.get("gpus")), *maps(value)]


def check(project: Map, inactive: Iterable[str], findings: Findings) -> None:
    """Tell `findings` all that does not hold together. `project` is as printed."""
    checker = _Checker(project, frozenset(inactive), findings)
    found = [(name, error) for name in project.get("services", ()) for error in checker.service(name)]
    for error in (*checker.names(), *checker.secrets()):
        findings.add(error)
    for name, error in found:
        findings.add(error, f"services.{name}", subject=f'service "{name}" ')


class _Checker:
    def __init__(self, project: Map, inactive: frozenset[str], findings: Findings) -> None:
        self._project, self._inactive, self._findings = project, inactive, findings
        self._services: Map = project.get("services") or Map()

    def _is_there(self, kind: str, name: str) -> bool:
        """True also for what a mistake took out."""
        is_known = name in (self._project.get(kind) or ())
        return is_known or self._findings.is_hole(kind) or self._findings.is_hole(f"{kind}.{name}")

    def _is_whole(self, service: str) -> bool:
        return self._findings.is_whole(f"services.{service}")

    def _fail(self, name: str, what: str, at: At, fix: str = "") -> BadValue:
        return BadValue(f'service "{name}" {what}', where=str(at), fix=fix)

    def service(self, name: str) -> Iterator[SpecError]:
        service, at = self._services[name], self._services.place(name)
        has_image = service.get("image") or service.get("build") or service.get("provider")
        if not has_image and self._is_whole(name):
            yield self._fail(name, "has neither image nor build", at, "give it an image")
        yield from self._build(name, service)
        yield from self._dependencies(name, service)
        yield from self._references(name, service)
        yield from self._network_mode(name, service)
        yield from self._mounts(name, service)
        yield from self._amounts(name, service)
        yield from self._watches(name, service)

    def _build(self, name: str, service: Map) -> Iterator[SpecError]:
        build = service.get("build") or Map()
        if build.get("dockerfile") and build.get("dockerfile_inline"):
            yield self._fail(name, "has both dockerfile and dockerfile_inline", build.place("dockerfile"))
        for key, context in (build.get("additional_contexts") or Map()).items():
            other = context.removeprefix(SERVICE_PREFIX)
            is_built = (self._services.get(other) or Map()).get("build") or not self._is_whole(other)
            if context.startswith(SERVICE_PREFIX) and not is_built:
                what = f'builds from service "{other}", which is not built'
                yield self._fail(name, what, build["additional_contexts"].place(key))
        platform, platforms = service.get("platform"), build.get("platforms")
        if platform and platforms and platform not in platforms:
            yield self._fail(name, f'runs on "{platform}", which build.platforms lacks', service.place("platform"))

    def _dependencies(self, name: str, service: Map) -> Iterator[SpecError]:
        for other, needs in (service.get("depends_on") or Map()).items():
            at = service["depends_on"].place(other)
            if other in self._services or (other in self._inactive and not needs.get("required", True)):
                continue
            if other not in self._inactive and self._is_there("services", other):
                continue
            if other in self._inactive:
                yield self._fail(name, f'depends on "{other}", whose profile is not active', at,
                                 "activate its profile, or set `required: false`")  # fmt: skip
            else:
                yield self._fail(
                    name, f'depends on "{other}", which is not a service', at, self._near("services", other)
                )

    def _near(self, kind: str, name: str) -> str:
        known = sorted(key for key in self._project.get(kind) or () if key != "default")
        if close := difflib.get_close_matches(name, known, n=1):
            return f'did you mean "{close[0]}"? else add "{name}" under {kind}'
        return f"add it under {kind}, which has {', '.join(known)}" if known else f"add it under {kind}"

    def _references(self, name: str, service: Map) -> Iterator[SpecError]:
        for kind in ("networks", "models"):
            for key in service.get(kind) or ():
                if kind == "networks" and key.startswith("x-"):
                    what = f'joins network "{key}", which Docker Compose takes for an extension'
                    yield self._fail(name, what, service[kind].place(key), "give the network a name without x-")
                elif not self._is_there(kind, key):
                    what = f'uses {kind[:-1]} "{key}", which is not defined'
                    yield self._fail(name, what, service[kind].place(key), self._near(kind, key))
        for holder in (service, service.get("build") or Map()):
            for kind in ("secrets", "configs"):
                for grant in maps(holder.get(kind)):
                    source = grant.get("source", "")
                    if self._is_there(kind, source) if source else not self._is_whole(name):
                        continue
                    what = f'uses {kind[:-1]} "{source}", which is not defined'
                    yield self._fail(name, what, grant.at, self._near(kind, source))

    def _network_mode(self, name: str, service: Map) -> Iterator[SpecError]:
        mode = service.get("network_mode", "")
        if mode and service.get("networks"):
            yield self._fail(name, "has both network_mode and networks", service.place("network_mode"), "remove one")
        for key in ("network_mode", "ipc", "pid"):
            value = service.get(key, "")
            if value.startswith(SERVICE_PREFIX):
                other = value.removeprefix(SERVICE_PREFIX)
                if not self._is_there("services", other) and other not in (service.get("depends_on") or ()):
                    yield self._fail(name, f'shares with "{other}", which is not a service', service.place(key))

    def _mounts(self, name: str, service: Map) -> Iterator[SpecError]:
        targets: dict[str, At] = {}
        for mount in maps(service.get("volumes")):
            source, kind, target = mount.get("source", ""), mount.get("type"), mount.get("target", "")
            if kind == "volume" and source and not self._is_there("volumes", source):
                yield self._fail(name, f'uses volume "{source}", which is not defined', mount.at,
                                 f'add "{source}:" under volumes, or write "./{source}" for a folder')  # fmt: skip
            if kind == "bind" and "source" not in mount and self._is_whole(name):
                yield self._fail(name, "has a bind mount without source", mount.at)
            if target in targets and (target or self._is_whole(name)):
                yield self._fail(name, f'mounts "{target}" twice', mount.at, f"the other one is at {targets[target]}")
            targets[target] = mount.at
        for tmpfs, at in (service.get("tmpfs") or Seq()).entries():
            target = tmpfs.split(":")[0]
            if target in targets:
                yield self._fail(name, f'mounts "{target}" twice', at, f"the other one is at {targets[target]}")
            targets[target] = at

    def _amounts(self, name: str, service: Map) -> Iterator[SpecError]:
        deploy = service.get("deploy") or Map()
        replicas, scale = deploy.get("replicas"), service.get("scale")
        if scale is not None and replicas is not None and scale != replicas:
            yield self._fail(name, f"has scale {scale} and deploy.replicas {replicas}", service.place("scale"))
        amount = scale if scale is not None else replicas if replicas is not None else 1
        if amount < 0:
            yield self._fail(name, f"wants {amount} replicas", service.place("scale"))
        if service.get("container_name") and amount > 1:
            yield self._fail(name, f"has a container_name and {amount} replicas", service.place("container_name"),
                             "remove container_name")  # fmt: skip
        yield from self._limits(name, service, deploy)

    def _limits(self, name: str, service: Map, deploy: Map) -> Iterator[SpecError]:
        resources = deploy.get("resources") or Map()
        if not self._is_whole(f"{name}.deploy"):
            return
        for key, block, inner in _TWICE:
            other = resources.get(block)
            if key in service and isinstance(other, Map) and not _same(service[key], other.get(inner)):
                yield self._fail(
                    name, f"says {key} and deploy.resources.{block}.{inner}, and they differ", service.place(key),
                    "keep one of them",
                )  # fmt: skip

    def _watches(self, name: str, service: Map) -> Iterator[SpecError]:
        develop = service.get("develop") or Map()
        for rule in maps(develop.get("watch")):
            needs_target = rule.get("action") not in ("rebuild", "restart")
            if needs_target and not rule.get("target") and self._is_whole(name):
                yield self._fail(name, f'watches with "{rule.get("action")}" and no target', rule.at)

    def secrets(self) -> Iterator[SpecError]:
        """Secrets that nothing fills."""
        for key, secret in (self._project.get("secrets") or Map()).items():
            has_source = secret.get("external") or secret.get("file") or secret.get("environment")
            if not has_source and self._findings.is_whole(f"secrets.{key}"):
                yield BadValue(f'secret "{key}" has no source', where=str(secret.at), fix="use `file` or `environment`")

    def names(self) -> Iterator[SpecError]:
        """Container names that two services want."""
        owners: dict[str, str] = {}
        for name, service in self._services.items():
            wanted = service.get("container_name")
            if wanted and wanted in owners:
                what = f'wants the container name "{wanted}", which "{owners[wanted]}" has'
                yield self._fail(name, what, service.place("container_name"), "give one of them another name")
            owners.setdefault(wanted or "", name)


_TWICE = (
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("cpus", "limits", "cpus"),
    ("pids_limit", "limits", "pids"),
)


def _same(legacy: Any, modern: Any) -> bool:
    if isinstance(legacy, str):
        return sizes.parse(legacy) == sizes.parse(modern or "0")
    return bool(legacy == modern)
