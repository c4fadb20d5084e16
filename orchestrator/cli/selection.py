"""Which stack a command means, and which containers: the words of the command line become names.

The files decide (`-f`, COMPOSE_FILE, or those of the folder), else `-p`, else the only stack that is declared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.cli import output
from orchestrator.errors import NoSuchThing
from orchestrator.model.names import ServiceName, SlotNumber, StackName

if TYPE_CHECKING:
    from orchestrator.cli.options import Project
    from orchestrator.model.cluster import Container
    from orchestrator.service.control import Control
    from orchestrator.spec import Loaded, Read, Request


def request(project: Project, profiles: Iterable[str] = ()) -> Request:
    """What the loader has to read: the options as they were given, this process's environment and folder.

    profiles: to be enabled beside those that the options name
    """
    from orchestrator.spec import Request

    return Request(
        files=tuple(project.files),
        env=dict(os.environ),
        env_files=tuple(project.env_files),
        profiles=(*project.profiles, *profiles),
        project_name=project.name,
        project_directory=project.directory,
        cwd=os.getcwd(),
    )


def load(project: Project, services: Iterable[str] = ()) -> Loaded:
    """The stack of the files; what the loader warns of goes to stderr. raises SpecError

    services: those that the command line names; their profiles are enabled. Source: Compose Specification, profiles.
    """
    from orchestrator import spec

    loaded = spec.load(request(project))
    if any(name not in loaded.stack.services for name in services):
        loaded = spec.load(request(project, _profiles_of(project, services)))
    _warn(loaded.warnings)
    return loaded


def read(project: Project, services: Sequence[str] = ()) -> Read:
    """The canonical project of the files, also what orch can't run, with only `services` and what they depend on.

    raises SpecError, NoSuchThing; else as `load`
    """
    from orchestrator import spec

    read = spec.read(request(project))
    if any(name not in read.services for name in services):
        read = spec.read(request(project, _profiles_of(project, services)))
    _warn(read.warnings)
    if not services:
        return read
    return read.only(with_dependencies(read.services, services, read.name))


def with_dependencies(known: Mapping[str, Any], words: Sequence[str], stack: str) -> dict[str, Any]:
    """Of the services `known` those that `words` name and those that they need; raises NoSuchThing"""
    wanted, waiting = set[str](), list[str](check_services(words, known, StackName(stack)))
    while waiting:
        name = waiting.pop()
        if name in known and name not in wanted:
            wanted.add(name)
            waiting.extend(known[name].get("depends_on", {}))
    return {name: service for name, service in known.items() if name in wanted}


def _warn(texts: Iterable[str]) -> None:
    for text in texts:
        output.warning(text)


def _profiles_of(project: Project, services: Iterable[str]) -> list[str]:
    from orchestrator import spec

    known = spec.read(request(project, ["*"])).services
    enabled = os.environ.get("COMPOSE_PROFILES", "").split(",") if not project.profiles else []
    wanted = [name for service in services for name in known.get(service, {}).get("profiles", ())]
    return [*filter(None, (name.strip() for name in enabled)), *wanted]


async def stack_name(control: Control, project: Project) -> StackName:
    """The stack that a verb without files works on; raises NoSuchThing with the candidates."""
    if named := declared_name(project):
        return StackName(named)
    names = await control.stack_names()
    if len(names) == 1:
        return names[0]
    raise _undecided(names)


def declared_name(project: Project) -> str:
    """The name that options, variables or files give, or "" when there are none of them. raises SpecError"""
    from orchestrator import spec

    return spec.project_name(request(project))


def _undecided(names: Sequence[StackName]) -> NoSuchThing:
    why = "there is no Compose file in this folder or above it"
    if not names:
        return NoSuchThing("which stack is meant?", why=f"{why}, and no stack is declared", fix="orch up -f stack.yml")
    listed = ", ".join(f'"{name}"' for name in names)
    return NoSuchThing(
        "which stack is meant?", why=f"{why}, and several stacks are declared: {listed}", fix=f"orch -p {names[0]} ..."
    )


def slot_of(text: str) -> tuple[ServiceName, SlotNumber | None]:
    """`web` as (web, None), `web.2` as (web, 2)."""
    service, dot, number = text.rpartition(".")
    if dot and number.isdecimal():
        return ServiceName(service), SlotNumber(int(number))
    return ServiceName(text), None


def chosen(containers: Iterable[Container], words: Sequence[str], stack: StackName) -> tuple[Container, ...]:
    """Of `containers` those that `words` name (`web`, `web.2`), all when there are no words.

    raises NoSuchThing for a word that names none of them
    """
    there = tuple(containers)
    if not words:
        return there
    for word in words:
        if not any(is_named(container, word) for container in there):
            raise no_such_service(word, (container.service for container in there), stack)
    return tuple(container for container in there if any(is_named(container, word) for word in words))


def tell_silent(control: Control) -> None:
    """Warns of nodes that gave no answer: what is on them is not seen."""
    for node, why in control.silent_nodes:
        output.warning(f'node "{node}" does not answer, and what is on it is not seen: {why}')


def is_named(container: Container, word: str) -> bool:
    """A service may have a dot in its name, so `web.2` is tried as a service, too."""
    service, slot = slot_of(word)
    return container.service == word or (container.service == service and container.slot == slot)


def no_such_service(word: str, known: Iterable[str], stack: StackName) -> NoSuchThing:
    """`word` is no service (or slot) of the stack; the nearest name and all names."""
    from difflib import get_close_matches

    names = sorted(set(known))
    near = get_close_matches(word, names, n=1)
    suggestion = f', did you mean "{near[0]}"' if near else ""
    listed = ", ".join(f'"{name}"' for name in names)
    return NoSuchThing(
        f'stack "{stack}" has no "{word}"{suggestion}',
        why=f"its services are {listed}" if names else "it has no container",
    )


def check_services(words: Iterable[str], known: Iterable[str], stack: StackName) -> tuple[ServiceName, ...]:
    """`words` as names of services; raises NoSuchThing for one that is not `known`."""
    names = set(known)
    for word in words:
        if word not in names:
            raise no_such_service(word, names, stack)
    return tuple(ServiceName(word) for word in words)
