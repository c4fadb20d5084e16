"""Files -> one project in long form: each document is interpolated, included into, extended, merged and checked.

The order of the stages is Compose's: interpolate, include, extend, merge, drop repeats, check the schema, long forms.
A stage tells `findings` what is wrong and goes on without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import BadValue, BadYaml, SpecError, UnsupportedKey
from orchestrator.spec import canonical, consistency, extends, merge, normalise, paths, source, unique, validate
from orchestrator.spec import files as disk
from orchestrator.spec.findings import Findings
from orchestrator.spec.interpolate import Warn, interpolated
from orchestrator.spec.project import read_env_files, shown
from orchestrator.spec.schema import PROJECT
from orchestrator.spec.tree import At, Map, Override, Reset, Seq

_INCLUDED = ("services", "volumes", "networks", "secrets", "configs", "models")


class Assembler:
    """Loads files below one environment; `include` makes further ones with their own.

    as_written: variables stay, and so do short forms that can't be read for that.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        directory: str,
        cwd: str,
        warn: Warn,
        findings: Findings,
        included: tuple[str, ...] = (),
        *,
        as_written: bool = False,
    ) -> None:
        self._as_written = as_written
        self._env, self._directory, self._cwd, self._warn = env, directory, cwd, warn
        self._findings, self._included = findings, included
        self._home = env.get("HOME", "")
        self._opened: dict[str, extends.Layer] = {}
        self._documents: dict[str, list[Any] | None] = {}

    def assemble(self, files: tuple[Path, ...]) -> Map:
        """All `files` as one project: long forms, absolute paths, defaults, variables; nothing normalised yet."""
        tree = Map()
        for file in files:
            for document in self._known_documents(file, self._findings):
                tree = self._add(tree, document, file)
        if not tree and not self._included and not self._findings:
            where = shown(str(files[0]), self._cwd)
            self._findings.add(BadYaml("the stack file is empty", where=where, fix="add services"))
        normalise.set_defaults(tree)
        if not self._as_written:
            consistency.check_values(tree, self._findings)
        paths.resolve(tree, paths.Folder(self._directory, self._home))
        if not self._as_written:
            normalise.resolve_variables(tree, self._env.get)
        return tree

    def documents(self, file: Path, where: str = "") -> list[Any] | None:
        """The documents of a file, read once, or None if it can't be read.

        where: the place that names the file.
        """
        name = str(file)
        if name not in self._documents:
            self._documents[name] = self._read(file, shown(name, self._cwd), where)
        return self._documents[name]

    def _known_documents(self, file: Path, findings: Findings, where: str = "") -> list[Any]:
        found = self.documents(file, where)
        findings.is_partial |= found is None
        return found or []

    def _read(self, file: Path, label: str, where: str) -> list[Any] | None:
        self._findings.reads(label)
        errors: list[SpecError] = []
        try:
            found = source.readable(disk.read(file, label, where), label, errors)
        except SpecError as unreadable:
            errors, found = [unreadable], None
        for error in errors:
            self._findings.add(error)
        return found

    def _interpolated(self, document: Any, file: Path, findings: Findings) -> Map:
        if not isinstance(document, Map):
            where = shown(str(file), self._cwd)
            findings.add(BadYaml("a stack file is a mapping", where=where, fix="begin with services:"))
            findings.is_partial = True
            return Map()
        lookup = None if self._as_written else self._env.get
        tree = interpolated(document, PROJECT, lookup, self._warn, findings)
        assert isinstance(tree, Map), "a mapping stays one"
        return tree

    def _add(self, tree: Map, document: Any, file: Path) -> Map:
        findings = self._findings
        layer = self._interpolated(document, file, findings)
        layer = self._with_includes(layer, file)
        self._extend(layer, file)
        self._check_services(tree, layer)
        merge.reset(tree, layer)
        subnets = _subnets(tree)
        tree = merge.merge_maps(tree, merge.stripped(layer), PROJECT, "", findings)
        self._warn_of_pools(layer, subnets - _subnets(tree))
        unique.unique(tree, PROJECT, "", findings)
        validate.check(tree, PROJECT, "", tree.at, findings)
        if tree.pop("version", None) is not None:
            self._warn(f"{tree.place('version')}: `version` is obsolete and has no effect")
        canonical.canonical(tree, PROJECT, "", findings, lenient=self._as_written)
        unique.unique(tree, PROJECT, "", findings)
        return tree

    def _check_services(self, tree: Map, layer: Map) -> None:
        """A later file can't say `services:` and nothing; of a first file the schema says so."""
        if tree.get("services") and "services" in layer and layer["services"] is None:
            self._refuse_services(layer, "services must be a mapping, not nothing", "remove it")

    def _refuse_services(self, layer: Map, what: str, fix: str) -> None:
        self._findings.add(BadValue(what, where=str(layer.place("services")), fix=fix), "services")
        del layer["services"]

    def _warn_of_pools(self, layer: Map, lost: set[tuple[str, str]]) -> None:
        for name, subnet in sorted(lost):
            self._warn(f'{layer.at}: network "{name}" loses its pool {subnet}, as in Docker Compose: name it here, too')

    def _extend(self, layer: Map, file: Path) -> None:
        services = layer.get("services")
        if isinstance(services, Override):
            services = services.value
        if services is None or isinstance(services, Reset):
            return
        if not isinstance(services, Map):
            fix = 'write each service as "name:" below it, without a dash'
            self._refuse_services(layer, "services must be a mapping", fix)
            return
        opener = self._opener(self._directory)
        extends.apply(extends.Layer(shown(str(file), self._cwd), services, opener, self._findings))

    def _opener(self, directory: str) -> Any:
        def opened(name: str, at: At) -> extends.Layer:
            _refuse_remote(name, str(at))
            file = Path(paths.Folder(directory, self._home).absolute(name))
            if str(file) not in self._opened:
                self._opened[str(file)] = self._open(file, str(at))
            return self._opened[str(file)]

        return opened

    def _open(self, file: Path, where: str) -> extends.Layer:
        services, findings = Map(), Findings()
        for document in self._known_documents(file, findings, where):
            more = self._services(document, file, findings)
            merge.merge_maps(services, more, PROJECT.child("services"), "services", findings)
        return extends.Layer(shown(str(file), self._cwd), services, self._opener(str(file.parent)), findings)

    def _services(self, document: Any, file: Path, findings: Findings) -> Map:
        """The services of a file that is extended, in long form, their paths made absolute."""
        layer = self._interpolated(document, file, findings)
        services = layer.get("services")
        if not isinstance(services, Map):
            if not findings.is_hole("services"):
                findings.add(BadValue("the file has no services", where=shown(str(file), self._cwd)), "services")
            return Map()
        folder = paths.Folder(str(file.parent), self._home)
        canonical.canonical(services, PROJECT.child("services"), "services", findings, lenient=self._as_written)
        for service in paths.maps(services):
            paths.resolve_service(service, folder)
        return services

    def _with_includes(self, layer: Map, file: Path) -> Map:
        if "include" not in layer:
            return layer
        at, entries = layer.place("include"), layer.pop("include")
        if entries is None:
            return layer
        if not isinstance(entries, Seq):
            self._miss(BadValue("include must be a list", where=str(at), fix="write - in front of the file"))
            return layer
        validate.check(entries, PROJECT.child("include"), "include", at, self._findings)
        for entry, place in entries.entries():
            try:
                included = Map() if entry is None else self._include(entry, place, file)
            except SpecError as error:
                self._miss(error)
                continue
            if entry is not None:
                merge.reset(included, layer)
                layer = merge.merge_maps(included, layer, PROJECT, "", self._findings)
        return layer

    def _miss(self, error: SpecError) -> None:
        """A file is not there, and whoever refers to what it has may be right."""
        self._findings.add(error)
        self._findings.is_partial = True

    def _include(self, entry: Any, at: At, file: Path) -> Map:
        wanted = entry if isinstance(entry, Map) else Map(at)
        names = _texts(wanted.get("path") if wanted is entry else entry, at)
        for written in names:
            _refuse_remote(written, str(at))
        here = paths.Folder(self._directory, self._home)
        files = tuple(Path(here.absolute(name)) for name in names)
        chain = (*self._included, str(file))
        if str(files[0]) in chain:
            loop = " -> ".join(shown(name, self._cwd) for name in (*chain, str(files[0])))
            raise BadValue("the files include each other", where=str(at), why=loop)
        directory = here.absolute(wanted["project_directory"]) if wanted.get("project_directory") else None
        directory = directory or str(files[0].parent)
        env = self._include_env(wanted, directory, here, at)
        nested = Assembler(env, directory, self._cwd, self._warn, self._findings, chain, as_written=self._as_written)
        for name in files:
            nested.documents(name, str(at))
        tree = nested.assemble(files)
        for key in [key for key in tree if key not in _INCLUDED]:
            del tree[key]
        return tree

    def _include_env(self, wanted: Map, directory: str, here: paths.Folder, at: At) -> Mapping[str, str]:
        if wanted.get("env_file"):
            files = [here.absolute(name) for name in _texts(wanted["env_file"], at)]
        else:
            default = os.path.join(directory, ".env")
            files = [default] if os.path.isfile(default) else []
        return {**read_env_files(files, self._env, self._cwd, self._warn, str(at)), **self._env}


def _subnets(tree: Map) -> set[tuple[str, str]]:
    """(network, subnet) of every pool."""
    networks, found = tree.get("networks"), set[tuple[str, str]]()
    for name, network in networks.items() if isinstance(networks, Map) else ():
        ipam = network.get("ipam") if isinstance(network, Map) else None
        for pool in paths.maps(ipam.get("config")) if isinstance(ipam, Map) else ():
            found.add((name, str(pool.get("subnet", "without a subnet"))))
    return found


def _refuse_remote(name: str, where: str) -> None:
    if paths.is_remote(name):
        raise UnsupportedKey(
            f'orch does not fetch "{name}"', where=where, why="only local files can be included or extended",
            fix="fetch it yourself and name the file",
        )  # fmt: skip


def _texts(value: Any, at: At) -> list[str]:
    found = list(value) if isinstance(value, Seq) else [value]
    if not found or not all(isinstance(name, str) and name for name in found):
        raise BadValue("include names no file", where=str(at), fix="include: [other.yml]")
    return found
