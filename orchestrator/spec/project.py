"""Which files, which variables, which name: what the command line and the environment say about a project.

Source: Docker Compose's reference, "Environment variables" and "Project name"; compose-go's order of options.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.errors import BadValue, FileMissing
from orchestrator.spec import dotenv
from orchestrator.spec import files as disk
from orchestrator.spec.interpolate import Warn

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for, as on the command line. Empty means: not given.

    files, env_files, project_directory: as written, relative to `cwd`.
    env: the process environment.
    """

    files: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    project_name: str = ""
    project_directory: str = ""
    cwd: str = ""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The request, completed. `name` is what must be used, or "" when the files may say; `fallback` if they don't."""

    files: tuple[Path, ...]
    directory: str
    env: Mapping[str, str]
    profiles: tuple[str, ...]
    name: str
    fallback: str
    cwd: str


def project_name(request: Request) -> str:
    """The name that options, variables or files give the stack, or "" when there is none of them. Raises SpecError.

    A plain `name:` is read without the loader, so that a verb which only needs the name does not pay for all phases.
    """
    if name := _given_name(request, request.env):
        return name
    try:
        found = find(request, lambda _text: None)
    except FileMissing:
        if request.files:
            raise
        return ""
    return found.name or _written_name(request, found.files) or found.fallback


_NAME_LINE = re.compile(rb"^name[ \t]*:[ \t]*(.*?)[ \t]*(?:#.*)?$", re.MULTILINE)
_PLAIN_NAME = re.compile(rb"""(["']?)([a-z0-9][a-z0-9_-]*)\1""")


def _written_name(request: Request, paths: Iterable[Path]) -> str:
    """The last `name:` of the files; what is no plain one, or can't be read, is the loader's to judge."""
    try:
        written = [match for path in paths if str(path) != "-" for match in _NAME_LINE.findall(path.read_bytes())]
    except OSError:
        return _loaded_name(request)
    if not written:
        return ""
    plain = _PLAIN_NAME.fullmatch(written[-1])
    return plain[2].decode() if plain else _loaded_name(request)


def _loaded_name(request: Request) -> str:
    from orchestrator.spec import read

    return read(request).name


def find(request: Request, warn: Warn) -> Project:
    """The files, folder, variables, profiles and name that `request` stands for.

    Raises FileMissing when no stack file is there, BadValue for a name that can't be one.
    """
    cwd = request.cwd or os.getcwd()
    directory = os.path.abspath(os.path.join(cwd, request.project_directory)) if request.project_directory else ""
    first = directory or (_folder(cwd, request.files[0]) if request.files else cwd)
    env = _with_env_files(request, dict(request.env), first, cwd, warn)
    files = _files(request, env, directory or cwd, cwd)
    directory = directory or str(files[0].parent)
    if directory != first:
        env = _with_env_files(request, env, directory, cwd, warn)
    name = _given_name(request, env)
    return Project(
        files=files, directory=directory, env=env, profiles=_profiles(request, env), name=name,
        fallback=usable_name(os.path.basename(directory)), cwd=cwd,
    )  # fmt: skip


def _given_name(request: Request, env: Mapping[str, str]) -> str:
    """The name that the option or a variable gives, or ""; raises BadValue for one that can't be a stack's."""
    name = request.project_name or env.get("COMPOSE_PROJECT_NAME", "")
    if name != usable_name(name):
        raise BadValue(
            f'"{name}" can\'t be the name of a stack',
            why="it must be lower case letters, digits, hyphens and underscores, and begin with a letter or digit",
        )
    return name


def usable_name(name: str) -> str:
    """`name` in lower case, without what a stack's name can't hold. Source: Docker Compose."""
    return "".join(re.findall("[a-z0-9_-]", name.lower())).lstrip("_-")


def _folder(cwd: str, file: str) -> str:
    return cwd if file == "-" else os.path.dirname(os.path.abspath(os.path.join(cwd, file)))


def _with_env_files(request: Request, env: dict[str, str], directory: str, cwd: str, warn: Warn) -> dict[str, str]:
    """`env` and below it what the env files say; later files win."""
    names = request.env_files or tuple(filter(None, request.env.get("COMPOSE_ENV_FILES", "").split(",")))
    paths = [os.path.join(cwd, name.strip()) for name in names]
    if not paths and not _is_disabled(env.get("COMPOSE_DISABLE_ENV_FILE", "")):
        default = os.path.join(directory, ".env")
        paths = [default] if os.path.isfile(default) else []
    return {**read_env_files(paths, env, cwd, warn), **env}


def _is_disabled(word: str) -> bool:
    """Source: Go's ParseBool."""
    if word in ("", "0", "f", "F", "false", "False", "FALSE"):
        return False
    if word in ("1", "t", "T", "true", "True", "TRUE"):
        return True
    raise BadValue(f'"{word}" is no boolean', where="COMPOSE_DISABLE_ENV_FILE", fix="set it to true or false")


def read_env_files(paths: list[str], env: Mapping[str, str], cwd: str, warn: Warn, where: str = "") -> dict[str, str]:
    """The variables of env files; later ones win and see earlier ones, `env` wins inside `${...}`."""
    found: dict[str, str] = {}
    for path in paths:
        if os.path.isdir(path):
            raise FileMissing(f'"{shown(path, cwd)}" is a folder, not an env file', where=where)
        content = disk.read(Path(path), shown(path, cwd), where)
        found.update(dotenv.parse(content, shown(path, cwd), env.get, warn, found))
    return found


def shown(path: str, cwd: str) -> str:
    """A path as people shall see it: relative when it is below the working directory."""
    relative = os.path.relpath(path, cwd)
    return path if relative.startswith("..") else relative


def _files(request: Request, env: Mapping[str, str], directory: str, cwd: str) -> tuple[Path, ...]:
    names = request.files
    if not names and (listed := env.get("COMPOSE_FILE")):
        names = tuple(listed.split(env.get("COMPOSE_PATH_SEPARATOR") or os.pathsep))
    if names:
        return tuple(Path(name) if name == "-" else Path(os.path.abspath(os.path.join(cwd, name))) for name in names)
    for folder in (Path(directory), *Path(directory).parents):
        if found := _first(folder, FILE_NAMES):
            override = _first(folder, OVERRIDE_NAMES)
            return (found, override) if override else (found,)
    raise FileMissing(
        "no stack file is here", where=directory, why=f"looked for {', '.join(FILE_NAMES)}, also in the folders above",
        fix="go to the folder that has it, or name it with -f",
    )  # fmt: skip


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _profiles(request: Request, env: Mapping[str, str]) -> tuple[str, ...]:
    if request.profiles:
        return request.profiles
    return tuple(filter(None, (name.strip() for name in env.get("COMPOSE_PROFILES", "").split(","))))
