"""An image from a folder of this machine: by `docker buildx` where it is installed, else by the engine's own builder.

Sources: Docker Engine API, `ImageBuild`; `docker buildx build` reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engine.client import Client
from orchestrator.engine.endpoint import Endpoint
from orchestrator.engine.failures import StreamedError
from orchestrator.engine.images import error_in
from orchestrator.engine.protocol import Progress
from orchestrator.errors import Refused
from orchestrator.model.spec import Build

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

SILENCE_S = 1800.0
"""A step of a build may say nothing for long."""
LAST_LINES = 12
INLINE = ".dockerfile.orch"
BUILDKIT = (1, 39)
"""The first API of engines that buildx can use."""


async def build(client: Client, ref: str, wanted: Build, progress: Progress | None) -> None:
    """raises Refused with the builder's last lines"""
    if not Path(wanted.context).is_dir():  # noqa: ASYNC240 (one look at a local disk)
        raise Refused(f'can\'t build "{ref}"', where=client.node, why=f'there is no folder "{wanted.context}"')
    await client.agree()
    uses_buildx = client.version >= BUILDKIT and await has_buildx()
    lines = _buildx(client, ref, wanted) if uses_buildx else _classic(client, ref, wanted)
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        async for line in lines:
            last.append(line)
            if progress is not None:
                progress(line)
    except Refused as error:
        raise Refused(error.what, where=error.where, why=_explanation(error.why, last), fix=error.fix) from error


def _explanation(why: str, last: deque[str]) -> str:
    told = [line for line in last if line.strip() and line.strip() != why]
    return "\n       ".join([why, *told])


# -- the engine's own builder ----------------------------------------------------------------------------------------


async def _classic(client: Client, ref: str, wanted: Build) -> AsyncIterator[str]:
    def work(api: Api, emit: Callable[[str], None]) -> None:
        api.reload_config()
        with context_archive(wanted) as archive:
            for said in api.build(fileobj=archive, **build_options(ref, wanted, dockerfile_of(wanted)[0])):
                if message := error_in(said):
                    raise StreamedError(message)
                for line in str(said.get("stream") or "").splitlines():
                    emit(line)
        for tag in wanted.tags:
            api.tag(ref, *repository_and_tag(tag))

    async for line in client.stream(f'build image "{ref}"', work, idle_s=SILENCE_S):
        yield line


def build_options(ref: str, wanted: Build, dockerfile: str | None) -> dict[str, Any]:
    """The SDK's words for a build. Pure."""
    options = {
        "labels": dict(wanted.labels),
        "target": wanted.target,
        "network_mode": wanted.network,
        "cache_from": list(wanted.cache_from),
        "extra_hosts": list(wanted.extra_hosts),
        "shmsize": wanted.shm_size_bytes,
        "platform": wanted.platform,
        "buildargs": {name: value for name, value in wanted.args.items() if value is not None},
        "dockerfile": dockerfile,
    }
    told = {key: value for key, value in options.items() if value}
    always = {"tag": ref, "custom_context": True, "decode": True, "rm": True, "forcerm": True}
    return {**always, **told, "nocache": wanted.no_cache, "pull": wanted.pull}


def repository_and_tag(ref: str) -> tuple[str, str]:
    """`registry:5000/a:1` -> (`registry:5000/a`, `1`); no tag is `latest`."""
    repository, colon, tag = ref.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (ref, "latest")


def dockerfile_of(wanted: Build) -> tuple[str | None, str | None]:
    """Its name in the archive, and its text where it is not a file of the folder. (None, None): the usual one."""
    from docker.api.build import process_dockerfile

    if wanted.dockerfile_inline:
        return INLINE, wanted.dockerfile_inline
    try:
        name, text = process_dockerfile(wanted.dockerfile, wanted.context)
    except OSError as error:
        raise Refused(f'can\'t read "{wanted.dockerfile}"', why=str(error.strerror).lower()) from error
    return name, text


def context_archive(wanted: Build) -> Any:
    """The folder as a tar, on disk, without what `.dockerignore` names."""
    from docker.utils.build import tar

    try:
        return tar(Path(wanted.context), exclude=ignored(wanted), dockerfile=dockerfile_of(wanted))
    except OSError as error:
        raise Refused(f'can\'t read the folder "{wanted.context}"', why=str(error.strerror or error).lower()) from error


def ignored(wanted: Build) -> list[str]:
    """The patterns of `<Dockerfile>.dockerignore`, or else of `.dockerignore`. Source: Docker, build context."""
    folder = Path(wanted.context)
    for name in (f"{wanted.dockerfile or 'Dockerfile'}.dockerignore", ".dockerignore"):
        with contextlib.suppress(FileNotFoundError):
            lines = (line.strip() for line in (folder / name).read_text().splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []


# -- buildx ----------------------------------------------------------------------------------------------------------

_found: dict[str, bool] = {}


async def has_buildx() -> bool:
    """`docker buildx` works here. Asked once for each PATH."""
    path = os.environ.get("PATH", "")
    if path not in _found:
        try:
            process = await asyncio.create_subprocess_exec(
                "docker", "buildx", "version", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            _found[path] = await process.wait() == 0
        except OSError:
            _found[path] = False
    return _found[path]


def buildx_command(ref: str, wanted: Build) -> list[str]:
    """`docker buildx build ...` with the image loaded into the engine. Pure. An inline Dockerfile comes by stdin."""
    words = ["docker", "buildx", "build", "--builder", "default", "--load", "--progress", "plain", "--tag", ref]
    repeated: tuple[tuple[str, list[str]], ...] = (
        ("--tag", list(wanted.tags)),
        ("--build-arg", [f"{name}={value}" for name, value in wanted.args.items() if value is not None]),
        ("--label", [f"{name}={value}" for name, value in wanted.labels.items()]),
        ("--cache-from", list(wanted.cache_from)),
        ("--add-host", list(wanted.extra_hosts)),
        ("--target", [wanted.target]),
        ("--network", [wanted.network]),
        ("--platform", [wanted.platform]),
        ("--shm-size", [str(wanted.shm_size_bytes)] if wanted.shm_size_bytes else []),
        ("--file", [_dockerfile_path(wanted)]),
    )
    words += [word for flag, values in repeated for value in values if value for word in (flag, value)]
    words += [flag for flag, is_on in (("--no-cache", wanted.no_cache), ("--pull", wanted.pull)) if is_on]
    return [*words, wanted.context]


def _dockerfile_path(wanted: Build) -> str:
    if wanted.dockerfile_inline:
        return "-"
    return os.path.join(wanted.context, wanted.dockerfile) if wanted.dockerfile else ""


def buildx_environment(endpoint: Endpoint, environment: Mapping[str, str]) -> dict[str, str]:
    """Ours, pointed at the engine. ssh endpoints come here as the unix socket of their tunnel. Pure."""
    kept = {key: value for key, value in environment.items() if not key.startswith(("DOCKER_", "BUILDX_BUILDER"))}
    kept |= {key: environment[key] for key in ("DOCKER_CONFIG",) if key in environment}
    if endpoint.scheme == "unix":
        return {**kept, "DOCKER_HOST": f"unix://{endpoint.path}"}
    kept["DOCKER_HOST"] = f"tcp://{endpoint.host}:{endpoint.port}"
    if endpoint.certs:
        kept |= {"DOCKER_CERT_PATH": endpoint.certs, "DOCKER_TLS_VERIFY": "1"}
    return kept


async def _buildx(client: Client, ref: str, wanted: Build) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *buildx_command(ref, wanted),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=buildx_environment(client.reached, os.environ),
    )
    try:
        assert process.stdin is not None, "stdin is a pipe"
        assert process.stdout is not None, "stdout is a pipe"
        process.stdin.write(wanted.dockerfile_inline.encode())
        process.stdin.close()
        async for line in process.stdout:
            yield line.decode(errors="replace").rstrip()
        if await process.wait() != 0:
            raise Refused(f'can\'t build image "{ref}"', where=client.node, why="docker buildx failed")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
