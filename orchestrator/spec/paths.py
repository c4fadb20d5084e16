"""Relative paths -> absolute ones, `~` included; what names something else than a local file stays as it is.

Source: Compose Specification; compose-go's path rules, as observed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from orchestrator.spec.tree import Map, Seq

Resolve = Callable[[str], str]
_REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")


def is_remote(path: str) -> bool:
    """True for what Docker Compose would fetch: a git repository or an OCI artifact."""
    return path.startswith((*_REMOTE, "oci://")) and not path.startswith("github.com/.")


class Folder:
    """A folder that paths of a stack are relative to."""

    def __init__(self, path: str, home: str) -> None:
        self.path, self._home = path, home

    def absolute(self, path: str) -> str:
        """`path` from this folder, cleaned; an absolute one is left alone."""
        if path.startswith("~") and self._home:
            return os.path.normpath(os.path.join(self._home, path[1:].lstrip("/")))
        return path if path.startswith("/") else os.path.normpath(os.path.join(self.path, path))

    def context(self, path: str) -> str:
        """A build context: remote ones, those of other services and an empty one stay."""
        if not path or "://" in path or path.startswith(("service:", *_REMOTE)):
            return path
        return self.absolute(path)

    def source(self, path: str) -> str:
        """The source of a bind mount; a Windows path stays."""
        is_windows = path.startswith("\\\\") or (path[1:2] == ":" and path[:1].isalpha())
        return path if is_windows else self.absolute(path)

    def real(self, path: str) -> str:
        """A watched path: symbolic links are followed."""
        absolute = self.absolute(path)
        return os.path.realpath(absolute) if os.path.exists(absolute) else absolute


def resolve(tree: Map, folder: Folder) -> None:
    """Make every path of the services, secrets, configs and volumes absolute; `tree` is in long form and changed."""
    for service in maps(tree.get("services")):
        resolve_service(service, folder)
    for kind in ("secrets", "configs"):
        for entry in maps(tree.get(kind)):
            _change(entry, "file", folder.absolute)
    for volume in maps(tree.get("volumes")):
        options = volume.get("driver_opts")
        if volume.get("driver") == "local" and isinstance(options, Map) and options.get("o") == "bind":
            _change(options, "device", folder.source)


def resolve_service(service: Map, folder: Folder) -> None:
    """The same for one service."""
    if isinstance(build := service.get("build"), Map):
        _change(build, "context", folder.context)
        _resolve_contexts(build.get("additional_contexts"), folder)
    if isinstance(extends := service.get("extends"), Map):
        _change(extends, "file", folder.absolute)
    for env_file in maps(service.get("env_file")):
        _change(env_file, "path", folder.absolute)
    if isinstance(labels := service.get("label_file"), Seq):
        labels[:] = [folder.absolute(path) if isinstance(path, str) else path for path in labels]
    for mount in maps(service.get("volumes")):
        if mount.get("type") == "bind":
            _change(mount, "source", folder.source)
    for hook in maps(service.get("pre_start")):
        resolve_service(hook, folder)
    if isinstance(develop := service.get("develop"), Map):
        for rule in maps(develop.get("watch")):
            _change(rule, "path", folder.real)


def _resolve_contexts(contexts: Any, folder: Folder) -> None:
    if isinstance(contexts, Map):
        for name in contexts:
            _change(contexts, name, folder.context)
    elif isinstance(contexts, Seq):
        for index, entry in enumerate(contexts):
            name, separator, path = str(entry).partition("=")
            contexts[index] = name + separator + folder.context(path)


def maps(value: Any) -> list[Map]:
    """The mappings in a list or under the keys of a mapping."""
    entries = value.values() if isinstance(value, Map) else value if isinstance(value, Seq) else ()
    return [entry for entry in entries if isinstance(entry, Map)]


def _change(holder: Map, key: str, change: Resolve) -> None:
    if isinstance(value := holder.get(key), str):
        holder[key] = change(value)
