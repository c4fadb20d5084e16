"""`DockerEngine`: the Engine protocol on a real Docker Engine.

What is asked is made by `translate.py`, what is answered is read by `observe.py`. Here are containers, networks,
volumes and events; the other modules called `docker_*.py` have the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.engine import observe, translate
from orchestrator.engine.connected import already, short, unless_gone
from orchestrator.engine.docker_images import DockerImages
from orchestrator.engine.docker_pins import DockerPins
from orchestrator.engine.docker_volumes import DockerVolumes
from orchestrator.engine.files import put_archives
from orchestrator.engine.observe_swarm import spans_hosts
from orchestrator.engine.protocol import (
    ContainerRequest,
    EngineEvent,
    EventKind,
    NetworkJoin,
    UploadedFile,
)
from orchestrator.errors import Conflict, NotFound, Refused, Unreachable
from orchestrator.model.cluster import Container, Network, Volume
from orchestrator.model.names import COMPOSE_PROJECT, INHERITS, ContainerId, NodeName, StackName
from orchestrator.model.shared import NetworkSpec, VolumeSpec

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

_log = logging.getLogger(__name__)

AT_ONCE = 4
"""Inspections under way at a time."""
DEFAULT_GRACE_S = 10.0
STOP_MARGIN_S = 30.0
EVENT_OVERLAP_S = 0.05

HEARD = tuple(kind.value for kind in EventKind if kind is not EventKind.OTHER)
"""The engine is asked for these alone: each check of a container would else make three events."""


class DockerEngine(DockerImages, DockerPins, DockerVolumes):
    """One Docker host. Made by `connect`; nothing is contacted before the first call."""

    def __init__(self, node: NodeName, endpoint: str, *, deadline_s: float = 30.0) -> None:
        super().__init__(node, endpoint, deadline_s=deadline_s)
        self._owners: dict[str, StackName] = {}

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
            return [found for id in ids if (found := unless_gone(partial(api.inspect_container, id))) is not None]

        return await self._client.call("inspect containers", ask) if ids else []

    async def container(self, id: ContainerId) -> Container:
        doing = f'inspect container "{short(id)}"'
        inspected = await self._client.call(doing, lambda api: api.inspect_container(id))
        labels = inspected["Config"].get("Labels") or {}
        if not observe.stack_of(labels) or observe.is_one_off(labels):
            raise NotFound(f'container "{short(id)}" is of no stack', where=self.node)
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

        doing = f'connect container "{short(container)}" to network "{join.name}"'
        with already("already exists in network", "already attached to network"):
            await self._work(doing, attach)

    async def put_files(self, container: ContainerId, files: Sequence[UploadedFile]) -> None:
        if not files:
            return
        doing = f'put {len(files)} file(s) into container "{short(container)}"'
        await self._work(doing, lambda api: put_archives(api, container, files))

    async def start(self, container: ContainerId) -> None:
        doing = f'start container "{short(container)}"'
        try:
            async with self._attaching(container):
                await self._work(doing, lambda api: api.start(container))
        except NotFound as error:
            if "such container" in error.why:
                raise
            raise Refused(error.what, where=error.where, why=error.why, fix=error.fix) from error

    async def stop(self, container: ContainerId, *, grace_s: float | None = None) -> None:
        doing = f'stop container "{short(container)}"'
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
        with already("is not running") if is_death else contextlib.nullcontext():
            await self._work(
                f'send {signal} to container "{short(container)}"', lambda api: api.kill(container, signal)
            )

    async def remove(self, container: ContainerId, *, force: bool = False, volumes: bool = False) -> None:
        doing = f'remove container "{short(container)}"'
        inherited = await self._inherited(container) if volumes else []
        with already("no such container", "already in progress"):
            await self._work(doing, lambda api: api.remove_container(container, v=volumes, force=force))
        for name in inherited:
            with contextlib.suppress(Conflict):  # its successor has it
                await self.remove_volume(name)

    async def _inherited(self, container: ContainerId) -> list[str]:
        """Anonymous volumes that came from its predecessor: the engine takes these for named ones, and keeps them."""
        labels = [found["Config"].get("Labels") or {} for found in await self._inspected([container])]
        return [name for given in labels for name in given.get(INHERITS, "").split(",") if name]

    async def rename(self, container: ContainerId, name: str) -> None:
        with already("same name as its current name"):
            await self._work(
                f'rename container "{short(container)}" to "{name}"', lambda api: api.rename(container, name)
            )

    # -- networks, volumes, images ---------------------------------------------------------------------------------

    async def networks(self) -> tuple[Network, ...]:
        listed = await self._client.call("list networks", lambda api: api.ask("GET", "/networks"))
        pins = await self._pins() if any(map(spans_hosts, listed)) else {}
        found = sorted((observe.network_of(n, self.node, pins) for n in listed), key=lambda network: network.name)
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
        def create(api: Api) -> None:
            body = translate.network_body(network, labels, self._client.version)
            api.ask("POST", "/networks/create", body=body)

        with already(f"network with name {network.name} already exists"):
            await self._work(f'create network "{network.name}"', create)

    async def remove_network(self, name: str) -> None:
        with already("network .* not found", "no such network"):
            await self._work(f'remove network "{name}"', lambda api: api.remove_network(name))

    async def create_volume(self, volume: VolumeSpec, labels: Mapping[str, str]) -> None:
        body = translate.volume_body(volume, labels)
        await self._work(f'create volume "{volume.name}"', lambda api: api.ask("POST", "/volumes/create", body=body))

    async def remove_volume(self, name: str) -> None:
        with already("no such volume"):
            await self._work(f'remove volume "{name}"', lambda api: api.remove_volume(name))

    # -- events ----------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[EngineEvent]:
        asked_at = time.time()
        since = asked_at + (await self.facts()).clock_offset_s - EVENT_OVERLAP_S
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


def _listen(params: dict[str, str], api: Api, emit: Callable[[dict[str, Any]], None]) -> None:
    with api.open("GET", "/events", params=params, stream=True) as response:
        for line in response.iter_lines(chunk_size=None):
            if line:
                emit(json.loads(line))
