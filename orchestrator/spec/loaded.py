"""TEXT -> StackSpec, all phases in order; what `orchestrator.spec` offers.

assemble -> normalise -> printed -> profiles -> consistency -> prune -> env files -> decode
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from orchestrator.errors import BadValue, SeveralErrors, SpecError
from orchestrator.model.names import Digest
from orchestrator.model.spec import StackSpec
from orchestrator.spec import consistency, envfiles, normalise, project
from orchestrator.spec.assemble import Assembler
from orchestrator.spec.findings import Findings
from orchestrator.spec.interpolate import Warn, substitute
from orchestrator.spec.printed import printed
from orchestrator.spec.project import Project, Request
from orchestrator.spec.schema import PROJECT
from orchestrator.spec.tree import Map, Override, clone, plain


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A stack, and what is not part of it.

    contents: of its secrets and configs, by sha256.
    tree:     the canonical project, with places.
    """

    stack: StackSpec
    contents: Mapping[Digest, bytes] = {}
    warnings: tuple[str, ...] = ()
    tree: Any = None

    @property
    def project(self) -> dict[str, Any]:
        """The canonical project as `orch config` prints it."""
        return as_compose(self.tree)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical project with places, and what it came from.

    env: the variables that the files were read with.
    profiles: of all services, also of those that are not active.
    """

    tree: Map
    name: str
    found: Project
    env: Mapping[str, str]
    warnings: tuple[str, ...]
    profiles: tuple[str, ...] = ()

    @property
    def project(self) -> dict[str, Any]:
        """The canonical project as `docker compose config --format json` prints it."""
        return as_compose(self.tree)

    @property
    def document(self) -> dict[str, Any]:
        """The same as it can be loaded again: with models and extensions, without keys that are unset."""
        shown: dict[str, Any] = _doubled(plain(self.tree))
        for service in shown.get("services", {}).values():
            service.pop("env_file", None)  # it is in `environment` by now
        return shown

    @property
    def services(self) -> Mapping[str, Any]:
        """The active ones, as in `tree`."""
        return self.tree.get("services") or Map()

    def only(self, services: Mapping[str, Any]) -> Read:
        """The same with these services alone, and with the networks, volumes, secrets and configs that they use."""
        tree = clone(self.tree)
        for name in [name for name in tree["services"] if name not in services]:
            del tree["services"][name]
        normalise.prune(tree)
        return msgspec.structs.replace(self, tree=tree)

    def refusals(self) -> list[SpecError]:
        """What `load` refuses although Docker Compose reads it."""
        try:
            _decoded(self, Findings())
        except SeveralErrors as error:
            return list(error.errors)
        except SpecError as error:
            return [error]
        return []


def read(request: Request) -> Read:
    """Every phase but decode. Raises SpecError, all that is wrong at once."""
    findings = Findings()
    got = _read(request, findings)
    findings.raise_any()
    return got


def _read(request: Request, findings: Findings) -> Read:
    """The same, of what is left without that which is wrong."""
    warnings: dict[str, None] = {}
    warn: Warn = lambda text: warnings.setdefault(text)  # noqa: E731 - a collector, one line
    found = project.find(request, warn)
    env = dict(found.env)
    tree, name = _assembled(found, env, warn, findings, as_written=False)
    normalise.normalise(tree, name, env.get, findings)
    tree.put("name", name)
    tree = printed(tree, PROJECT, findings)
    profiles = {name for service in (tree.get("services") or {}).values() for name in service.get("profiles", ())}
    inactive = _select(tree, found.profiles)
    consistency.check(tree, inactive, findings)
    _check_cycles(tree, name, findings)
    normalise.prune(tree)
    envfiles.resolve(tree, env, found.cwd, warn, findings)
    return Read(tree=tree, name=name, found=found, env=env, warnings=tuple(warnings), profiles=tuple(sorted(profiles)))


def _assembled(
    found: Project, env: dict[str, str], warn: Warn, findings: Findings, *, as_written: bool
) -> tuple[Map, str]:
    """All files as one tree, and the project's name, which `env` gets, too."""
    assembler = Assembler(env, found.directory, found.cwd, warn, findings, as_written=as_written)
    try:
        name = _name(found, assembler, warn)
    except SpecError as error:
        findings.add(error, "name", subject="name: ")
        name = "nameless"
    env["COMPOSE_PROJECT_NAME"] = name
    return assembler.assemble(found.files), name


def as_written(request: Request) -> dict[str, Any]:
    """The project before variables are filled in: all services and resources, long forms, names. Raises SpecError."""
    found = project.find(request, lambda _text: None)
    findings = Findings()
    tree, name = _assembled(found, dict(found.env), lambda _text: None, findings, as_written=True)
    normalise.normalise(tree, name, lambda _name: None, findings)
    findings.raise_any()
    normalise.drop_unused_default(tree)
    tree.put("name", name)
    shown: dict[str, Any] = plain(tree)
    return shown


def _name(found: Project, assembler: Assembler, warn: Warn) -> str:
    if found.name:
        return found.name
    written = ""
    for file in found.files:
        for document in assembler.documents(file) or ():
            value = document.get("name") if isinstance(document, Map) else None
            value = value.value if isinstance(value, Override) else value
            if isinstance(value, str) and value:
                written = substitute(value, found.env.get, warn, document.place("name"))
                if not (written := project.usable_name(written)):
                    raise _nameless(str(document.place("name")))
    if not (name := written or found.fallback):
        raise _nameless()
    return name


def _nameless(where: str = "") -> BadValue:
    return BadValue("the stack has no name", where=where, why="no letter or digit is left of it", fix="use -p NAME")


def _select(tree: Map, profiles: Iterable[str]) -> list[str]:
    """Take the services of inactive profiles out of `tree`; their names. Source: Compose Specification, profiles."""
    services, active = tree.get("services") or Map(), set(profiles) or {""}
    inactive = [
        name
        for name, service in services.items()
        if service.get("profiles") and "*" not in active and not active & set(service["profiles"])
    ]
    for name in inactive:
        del services[name]
    return inactive


def _check_cycles(tree: Map, name: str, findings: Findings) -> None:
    """A loop of dependencies is the graph's to find; it is asked only when there are dependencies."""
    services = tree.get("services") or Map()
    if not any(service.get("depends_on") for service in services.values()):
        return
    from orchestrator.graph import ServiceGraph
    from orchestrator.spec.decode import skeleton

    try:
        ServiceGraph.of(skeleton(tree, name))
    except SpecError as error:
        findings.add(error)


def compose(request: Request) -> dict[str, Any]:
    """The canonical project as `docker compose config --format json` prints it. Raises SpecError."""
    return as_compose(read(request).tree)


def as_compose(tree: Map) -> dict[str, Any]:
    """The same of a tree: `$` doubled, extensions only at the top."""
    top = {key: _doubled(plain(value)) for key, value in tree.items() if key.startswith("x-")}
    rest = Map()
    for key, value in tree.items():
        if key not in top and key != "models":
            rest[key] = value
    shown: dict[str, Any] = _doubled(plain(_without_extensions(rest, PROJECT)))
    for service in shown.setdefault("services", {}).values():
        service.pop("env_file", None)
        for container in (service, *service.get("pre_start", ())):
            _complete(container)
        if isinstance(service.get("deploy"), dict):
            service["deploy"].setdefault("placement", {})
            service["deploy"].setdefault("resources", {})
    for network in shown.get("networks", {}).values():
        network.setdefault("ipam", {})
    return {**shown, **top}


def _complete(container: dict[str, Any]) -> None:
    """What Docker Compose prints in its JSON only."""
    container.setdefault("command", None)
    container.setdefault("entrypoint", None)
    if isinstance(container.get("blkio_config"), dict):
        _capitalise(container["blkio_config"])
    for env_file in container.get("env_file", ()):
        if env_file.get("required"):
            del env_file["required"]


def _capitalise(blkio: dict[str, Any]) -> None:
    """Docker Compose prints `Path`, `Rate` and `Weight` here, in its JSON only."""
    for key, limits in blkio.items():
        if isinstance(limits, list):
            empty = {"Path": "", **({"Weight": 0} if key == "weight_device" else {"Rate": "0"})}
            blkio[key] = [empty | {name.capitalize(): value for name, value in limit.items()} for limit in limits]


def _without_extensions(value: Any, shape: Any) -> Any:
    """Records lose their `x-` keys; maps with names of the user's own keep theirs."""
    if isinstance(value, Map):
        return {
            key: _without_extensions(entry, shape.child(key))
            for key, entry in value.items()
            if not (shape.fields is not None and key.startswith("x-"))
        }
    if isinstance(value, list) and shape.items is not None:
        return [_without_extensions(entry, shape.items) for entry in value]
    return value


_FIRST_SCIENTIFIC = 1e21
"""From here on JSON of Go writes an exponent."""


def _doubled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, float) and value.is_integer() and abs(value) < _FIRST_SCIENTIFIC:
        return int(Decimal(repr(value)))  # its shortest digits, as Go writes them
    if isinstance(value, dict):
        return {_doubled(key): _doubled(entry) for key, entry in value.items()}
    return [_doubled(entry) for entry in value] if isinstance(value, list) else value


def load(request: Request) -> Loaded:
    """The stack that `request` names, complete. Raises SpecError, all that is wrong at once."""
    findings = Findings()
    got = _read(request, findings)
    try:
        stack, contents, remarks = _decoded(got, findings)
    except SpecError as error:
        findings.add(error)
    findings.raise_any()
    warnings = (*got.warnings, *remarks)
    return Loaded(stack=stack, contents=contents, warnings=warnings, tree=got.tree)


def _decoded(got: Read, findings: Findings) -> tuple[StackSpec, dict[Digest, bytes], list[str]]:
    from orchestrator.spec.decode import decode

    return decode(got.tree, got.name, got.found, got.env, findings)
