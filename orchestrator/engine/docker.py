"""`DockerEngine`: the Engine protocol on a real Docker Engine.

What is asked is made by `translate.py`, what is answered is read by `observe.py`; long conversations have modules of
their own (`images.py`, `build.py`, `logs.py`, `execio.py`). Deadlines: `deadline_s` for questions, SLOW times as much
for what has the engine work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.engine import images, observe, translate
from orchestrator.engine.client import Client, version_of
from orchestrator.engine.files import put_archives
from orchestrator.engine.logs import Lines, log_params, read_logs
from orchestrator.engine.protocol import (
    ContainerRequest,
    EngineEvent,
    EventKind,
    ExecResult,
    ExecSession,
    LogLine,
    NetworkJoin,
    Progress,
    UploadedFile,
)
from orchestrator.errors import EngineError, NotFound, Refused, Unreachable
from orchestrator.model.cluster import Container, EngineFacts, Image, Network, Volume
from orchestrator.model.names import COMPOSE_PROJECT, ContainerId, NodeName, StackName
from orchestrator.model.spec import Build, NetworkSpec, VolumeSpec

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

T = TypeVar("T")
_log = logging.getLogger(__name__)

SLOW = 4
"""An overlay network alone may keep a start waiting for 20 s."""
AT_ONCE = 4
"""Inspections under way at a time."""
DEFAULT_GRACE_S = 10.0
STOP_MARGIN_S = 30.0
CLOCK_TOLERANCE_S = 1.0
EVENT_OVERLAP_S = 0.05

HEARD = tuple(kind.value for kind in EventKind if kind is not EventKind.OTHER)
"""The engine is asked for these alone: each check of a container would else make three events."""


def _short(id: str) -> str:
    return id[:12]


class DockerEngine:
    """One Docker host. Made by `connect`; nothing is contacted before the first call."""

    def __init__(self, node: NodeName, endpoint: str, *, deadline_s: float = 30.0) -> None:
        self.node = node
        self._client = Client(node, endpoint, deadline_s=deadline_s)
        self._slow_s = deadline_s * SLOW
        self._offset_s: float | None = None
        self._owners: dict[str, StackName] = {}

    # -- the host --------------------------------------------------------------------------------------------------

    async def ping(self, *, timeout_s: float = 3.0) -> None:
        await self._client.ping(timeout_s)

    async def facts(self) -> EngineFacts:
        def ask(api: Api) -> EngineFacts:
            version, asked_at = version_of(api), time.time()
            info = api.info()
            return observe.facts_of(info, version, clock_offset_s=_offset(info, asked_at, time.time()))

        facts = await self._client.call("ask the engine about itself", ask)
        self._offset_s = facts.clock_offset_s
        return facts

    # -- containers ------------------------------------------------------------------------------------------------

    async def containers(self, stack: StackName | None = None) -> tuple[Container, ...]:
        """Our containers carry Compose's label of the project, too: one list finds both kinds."""
        label = COMPOSE_PROJECT if stack is None else f"{COMPOSE_PROJECT}={stack}"
        listed = await self._client.call(
            "list containers", lambda api: api.containers(all=True, filters={"label": [label]})
        )
        ids = [c["Id"] for c in listed if not observe.is_one_off(c.get("Labels") or {})]
        groups = await asyncio.gather(*(self._inspected(ids[start::AT_ONCE]) for start in range(AT_ONCE)))
        offset_s = await self._clock_offset_s()
        found = [observe.container_of(c, self.node, clock_offset_s=offset_s) for group in groups for c in group]
        ours = [c for c in found if stack in (None, c.stack)]
        self._owners |= {c.id: c.stack for c in ours}
        return tuple(sorted(ours, key=lambda c: (c.stack, c.service, c.slot, c.name, c.id)))

    async def _inspected(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """One after the other; those that have gone meanwhile are left out."""

        def ask(api: Api) -> list[dict[str, Any]]:
            return [found for id in ids if (found := _unless_gone(partial(api.inspect_container, id))) is not None]

        return await self._client.call("inspect containers", ask) if ids else []

    async def container(self, id: ContainerId) -> Container:
        doing = f'inspect container "{_short(id)}"'
        inspected = await self._client.call(doing, lambda api: api.inspect_container(id))
        labels = inspected["Config"].get("Labels") or {}
        if not observe.stack_of(labels) or observe.is_one_off(labels):
            raise NotFound(f'container "{_short(id)}" is of no stack', where=self.node)
        return observe.container_of(inspected, self.node, clock_offset_s=await self._clock_offset_s())

    async def held_ports(self, *, besides: StackName) -> tuple[tuple[int, str, str], ...]:
        listed = await self._client.call("list containers", lambda api: api.containers())
        return observe.published_ports(listed, besides=besides)

    async def create_container(self, request: ContainerRequest) -> ContainerId:
        doing = f'create container "{request.name}"'

        def create(api: Api) -> dict[str, Any]:
            body = translate.container_body(request, self._client.version)
            return api.create(body, request.name, request.service.platform)

        answer = await self._client.call(doing, create, timeout_s=self._slow_s)
        for warning in answer.get("Warnings") or ():
            _log.warning("%s: %s: %s", self.node, request.name, warning)
        return ContainerId(answer["Id"])

    async def connect(self, container: ContainerId, join: NetworkJoin) -> None:
        def attach(api: Api) -> None:
            config = translate.endpoint_config(join, self._client.version)
            body = {"Container": container, "EndpointConfig": config}
            api.ask("POST", f"/networks/{join.name}/connect", body=body)

        doing = f'connect container "{_short(container)}" to network "{join.name}"'
        with _already("already exists in network", "already attached to network"):
            await self._work(doing, attach)

    async def put_files(self, container: ContainerId, files: Sequence[UploadedFile]) -> None:
        if not files:
            return
        doing = f'put {len(files)} file(s) into container "{_short(container)}"'
        await self._work(doing, lambda api: put_archives(api, container, files))

    async def start(self, container: ContainerId) -> None:
        doing = f'start container "{_short(container)}"'
        try:
            await self._work(doing, lambda api: api.start(container))
        except NotFound as error:
            if "such container" in error.why:
                raise
            raise Refused(error.what, where=error.where, why=error.why, fix=error.fix) from error

    async def stop(self, container: ContainerId, *, grace_s: float | None = None) -> None:
        doing = f'stop container "{_short(container)}"'
        whole = None if grace_s is None else math.ceil(grace_s)
        if whole is None:
            config = (await self._client.call(doing, lambda api: api.inspect_container(container)))["Config"]
            grace_s = float(config.get("StopTimeout") or DEFAULT_GRACE_S)
        assert grace_s is not None, "the grace is the caller's or the container's own"
        deadline_s = grace_s + min(STOP_MARGIN_S, self._slow_s)
        await self._client.call(doing, lambda api: api.stop(container, whole), timeout_s=deadline_s, alone=True)

    async def kill(self, container: ContainerId, *, signal: str = "SIGKILL") -> None:
        """Killing what does not run is no error; another signal finds nobody there: Conflict."""
        is_death = signal.upper().removeprefix("SIG") in ("KILL", "9")
        with _already("is not running") if is_death else contextlib.nullcontext():
            await self._work(
                f'send {signal} to container "{_short(container)}"', lambda api: api.kill(container, signal)
            )

    async def remove(self, container: ContainerId, *, force: bool = False, volumes: bool = False) -> None:
        doing = f'remove container "{_short(container)}"'
        with _already("no such container", "already in progress"):
            await self._work(doing, lambda api: api.remove_container(container, v=volumes, force=force))

    async def rename(self, container: ContainerId, name: str) -> None:
        with _already("same name as its current name"):
            await self._work(
                f'rename container "{_short(container)}" to "{name}"', lambda api: api.rename(container, name)
            )

    # -- networks, volumes, images ---------------------------------------------------------------------------------

    async def networks(self) -> tuple[Network, ...]:
        listed = await self._client.call("list networks", lambda api: api.ask("GET", "/networks"))
        found = sorted((observe.network_of(n, self.node) for n in listed), key=lambda network: network.name)
        self._owners |= {network.id: network.stack for network in found if network.stack}
        return tuple(found)

    async def volumes(self) -> tuple[Volume, ...]:
        answer = await self._client.call("list volumes", lambda api: api.ask("GET", "/volumes"))
        found = sorted(
            (observe.volume_of(v, self.node) for v in answer.get("Volumes") or ()), key=lambda volume: volume.name
        )
        self._owners |= {volume.name: volume.stack for volume in found if volume.stack}
        return tuple(found)

    async def create_network(self, network: NetworkSpec, labels: Mapping[str, str]) -> None:
        body = translate.network_body(network, labels)
        with _already(f"network with name {network.name} already exists"):
            await self._work(
                f'create network "{network.name}"', lambda api: api.ask("POST", "/networks/create", body=body)
            )

    async def remove_network(self, name: str) -> None:
        with _already("network .* not found", "no such network"):
            await self._work(f'remove network "{name}"', lambda api: api.remove_network(name))

    async def create_volume(self, volume: VolumeSpec, labels: Mapping[str, str]) -> None:
        body = translate.volume_body(volume, labels)
        await self._work(f'create volume "{volume.name}"', lambda api: api.ask("POST", "/volumes/create", body=body))

    async def remove_volume(self, name: str) -> None:
        with _already("no such volume"):
            await self._work(f'remove volume "{name}"', lambda api: api.remove_volume(name))

    async def image(self, ref: str) -> Image | None:
        def ask(api: Api) -> Image | None:
            found = _unless_gone(lambda: api.ask("GET", f"/images/{ref}/json"))
            return None if found is None else observe.image_of(found, ref, self.node)

        return await self._client.call(f'look for image "{ref}"', ask)

    async def remove_image(self, ref: str) -> None:
        with _already("no such image"):
            await self._work(f'remove image "{ref}"', lambda api: api.remove_image(ref))

    async def pull(self, ref: str, *, platform: str = "", progress: Progress | None = None) -> None:
        work = partial(images.pull, ref, platform)
        async for line in self._client.stream(f'pull image "{ref}"', work, idle_s=images.SILENCE_S):
            if progress is not None:
                progress(line)

    async def build(self, ref: str, build: Build, *, progress: Progress | None = None) -> None:
        from orchestrator.engine.build import build as build_image

        await build_image(self._client, ref, build, progress)

    def save(self, ref: str) -> AsyncGenerator[bytes]:
        work = partial(images.save, ref)
        return self._client.stream(f'save image "{ref}"', work, idle_s=images.SILENCE_S, held=images.PIECES_HELD)

    async def load(self, archive: AsyncIterator[bytes]) -> None:
        pieces = images.Pieces(archive)
        try:
            await self._client.call(
                "load an image",
                partial(images.load, iter(pieces)),
                timeout_s=math.inf,
                alone=True,
                idle_s=images.SILENCE_S,
            )
        finally:
            pieces.close()

    # -- what runs in them -----------------------------------------------------------------------------------------

    async def exec(
        self, container: ContainerId, command: Sequence[str], *, user: str = "", timeout_s: float = 30.0
    ) -> ExecResult:
        """At the deadline the command is left alone: the engine has no way to end it."""
        from orchestrator.engine.execio import run_command

        doing = f'run a command in container "{_short(container)}"'
        work = partial(run_command, container, command, user)
        return await self._client.call(doing, work, timeout_s=timeout_s, alone=True)

    async def open_exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        env: Sequence[str] = (),
        user: str = "",
        workdir: str = "",
        privileged: bool = False,
    ) -> ExecSession:
        from orchestrator.engine.execio import DockerExec

        body = {
            "Cmd": list(command),
            "Tty": tty,
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Env": list(env),
            "User": user,
            "WorkingDir": workdir,
            "Privileged": privileged,
        }
        doing = f'run a command in container "{_short(container)}"'
        made = await self._client.call(doing, lambda api: api.ask("POST", f"/containers/{container}/exec", body=body))
        return DockerExec(self._client, made["Id"], has_terminal=tty, has_stdin=stdin, doing=doing)

    async def logs(
        self,
        container: ContainerId,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timestamps: bool = False,
    ) -> AsyncGenerator[LogLine]:
        await self._client.agree()
        offset_s = await self._clock_offset_s()
        params = log_params(
            follow=follow, tail=tail, since=since, until=until, timestamps=timestamps, clock_offset_s=offset_s
        )
        work = partial(read_logs, container, params, Lines(has_times=timestamps, clock_offset_s=offset_s))
        idle_s = None if follow else self._slow_s
        async for line in self._client.stream(f'read the logs of "{_short(container)}"', work, idle_s=idle_s):
            yield line

    # -- events ----------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[EngineEvent]:
        asked_at = time.time()
        if self._offset_s is None:
            await self.facts()
        since = asked_at + (self._offset_s or 0.0) - EVENT_OVERLAP_S
        filters = {"type": ["container", "network", "volume"], "event": list(HEARD)}
        params = {"since": f"{since:.9f}", "filters": json.dumps(filters)}
        async for heard in self._client.stream("follow the engine's events", partial(_listen, params)):
            if event := observe.event_of(heard, self.node, self._owners):
                self._note(event, heard)
                yield event
        raise Unreachable("can't follow the engine's events", where=self.node, why="the connection broke")

    def _note(self, event: EngineEvent, heard: Mapping[str, Any]) -> None:
        """Whose it is: a network's events don't say."""
        self._owners[event.id] = event.stack
        if event.kind is EventKind.DESTROY:
            self._owners.pop(heard["Actor"]["ID"], None)

    async def close(self) -> None:
        await self._client.close()

    # -- helpers ---------------------------------------------------------------------------------------------------

    async def _work(self, doing: str, work: Callable[[Api], T]) -> T:
        return await self._client.call(doing, work, timeout_s=self._slow_s)

    async def _clock_offset_s(self) -> float:
        """0 while the clocks agree to a second."""
        if self._offset_s is None:
            rough_s = self._client.clock_offset_s
            self._offset_s = rough_s if abs(rough_s) < 2 * CLOCK_TOLERANCE_S else (await self.facts()).clock_offset_s
        return self._offset_s if abs(self._offset_s) > CLOCK_TOLERANCE_S else 0.0


def _listen(params: dict[str, str], api: Api, emit: Callable[[dict[str, Any]], None]) -> None:
    with api.open("GET", "/events", params=params, stream=True) as response:
        for line in response.iter_lines(chunk_size=None):
            if line:
                emit(json.loads(line))


def _offset(info: Mapping[str, Any], asked_at: float, answered_at: float) -> float:
    """The engine's clock minus ours, taken in the middle of the call."""
    at = observe.moment(info.get("SystemTime"))
    return 0.0 if at is None else round(at.timestamp() - (asked_at + answered_at) / 2, 3)


def _unless_gone(ask: Callable[[], T]) -> T | None:
    from docker.errors import NotFound as Gone

    try:
        return ask()
    except Gone:
        return None


@contextlib.contextmanager
def _already(*patterns: str) -> Iterator[None]:
    """What is already so is no error: refusals that match one of `patterns` are let pass."""
    try:
        yield
    except EngineError as error:
        if not any(re.search(pattern, error.why, re.IGNORECASE) for pattern in patterns):
            raise
