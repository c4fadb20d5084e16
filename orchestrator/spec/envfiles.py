"""`env_file` into `environment`, `label_file` into `labels`, of the active services.

Later files win, what the service says itself wins over all of them. Source: Compose Specification, `env_file`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.errors import BadValue, FileMissing, SpecError
from orchestrator.spec import dotenv, files
from orchestrator.spec.findings import Findings
from orchestrator.spec.interpolate import Warn
from orchestrator.spec.paths import maps
from orchestrator.spec.project import shown
from orchestrator.spec.tree import Map


def resolve(tree: Map, env: Mapping[str, str], cwd: str, warn: Warn, findings: Findings) -> None:
    """Read the files that the services of `tree` name; it is changed. What is wrong with one goes to `findings`."""
    for service in maps(tree.get("services")):
        if service.get("env_file"):
            _read_variables(service, env, cwd, warn, findings)
        if service.get("label_file"):
            _read_labels(service, cwd, warn, findings)


def _read_variables(service: Map, env: Mapping[str, str], cwd: str, warn: Warn, findings: Findings) -> None:
    own: Map = service.get("environment") or Map(service.place("env_file"))

    def lookup(name: str) -> str | None:
        value = env.get(name)
        return own.get(name) if value is None else value

    merged = Map(own.at)
    for entry in maps(service["env_file"]):
        at = entry.place("path")
        try:
            content = _content(entry, cwd, str(at))
            found = {} if content is None else _parsed(entry, content, cwd, lookup, warn, merged)
        except SpecError as error:
            findings.add(error)
            continue
        for key, value in found.items():
            merged.put(key, value, at)
    for key, value in own.items():
        merged.put(key, value, own.place(key))
    if merged:
        service.put("environment", merged, service.place("environment"))


def _content(entry: Map, cwd: str, where: str) -> bytes | None:
    path = entry["path"]
    if not os.path.exists(path) and entry.get("required") is not True:
        return None
    try:
        return files.read(Path(path), shown(path, cwd), where)
    except FileMissing as error:
        error.fix = "make the file, or set `required: false`"
        raise


def _parsed(entry: Map, content: bytes, cwd: str, lookup: dotenv.Lookup, warn: Warn, known: Map) -> dict[str, str]:
    file, kind = shown(entry["path"], cwd), entry.get("format", "")
    if kind == "raw":
        return dotenv.parse_raw(content, file, lookup)
    if kind:
        raise BadValue(f'"{kind}" is no format of an env file', where=str(entry.place("format")), fix='use "raw"')
    return dotenv.parse(content, file, lookup, warn, known)


def _read_labels(service: Map, cwd: str, warn: Warn, findings: Findings) -> None:
    own: Map = service.get("labels") or Map(service.place("label_file"))
    merged = Map(own.at)
    for path, at in service["label_file"].entries():
        try:
            content = files.read(Path(path), shown(path, cwd), str(at))
            found = dotenv.parse(content, shown(path, cwd), lambda _name: None, warn, merged)
        except SpecError as error:
            findings.add(error)
            continue
        for key, value in found.items():
            merged.put(key, value, at)
    for key, value in own.items():
        merged.put(key, value, own.place(key))
    if merged:
        service.put("labels", merged, service.place("labels"))
