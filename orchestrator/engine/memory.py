"""`MemoryEngine`: the Engine protocol without an engine, for tests and simulations.

It answers the same conformance suite as the real one and gains a behaviour when that suite asks both for it. What its
containers do is scripted (`Behaviour`); its faults, its registry and its clock are the test's (`memory_host.py`).
"""

# ruff: noqa: ARG002 (the protocol's arguments, also where an imagined host has no use for them)
from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import msgspec

from orchestrator.engine import translate
from orchestrator.engine.boxes import Behaviour, Happening
from orchestrator.engine.failures import managers_away
from orchestrator.engine.memory_cluster import MemoryCluster
from orchestrator.engine.memory_host import Clock, default_facts
from orchestrator.engine.memory_networks import MemoryNetworks
from orchestrator.engine.memory_shelves import MemoryShelves
from orchestrator.engine.observe import is_one_off, stack_of
from orchestrator.engine.protocol import (
    ContainerRequest,
    EngineEvent,
    EventKind,
    ExecResult,
    ExecSession,
    LogLine,
    NetworkJoin,
    UploadedFile,
)
from orchestrator.errors import EngineError, NotFound, Refused, Unreachable
from orchestrator.model.cluster import Container, ContainerState, EngineFacts
from orchestrator.model.names import ContainerId, StackName

__all__ = ["Behaviour", "Clock", "MemoryCluster", "MemoryEngine", "default_facts"]

LOOK_S = 0.01
"""How often a stream looks at the clock."""
ALIVE = (ContainerState.RUNNING, ContainerState.RESTARTING)


class MemoryEngine(MemoryNetworks, MemoryShelves):
    """One imagined Docker host, as an `Engine`."""

    # -- the host --------------------------------------------------------------------------------------------------

    async def ping(self, *, timeout_s: float = 3.0) -> None:
        await self._enter("ping", timeout_s=timeout_s)

    async def facts(self) -> EngineFacts:
        await self._enter("facts")
        return msgspec.structs.replace(self.known_facts, swarm=self._seen_swarm())

    async def close(self) -> None:
        for listener in self._listeners:
            listener.put_nowait(None)

    # -- containers ------------------------------------------------------------------------------------------------

    async def containers(self, stack: StackName | None = None) -> tuple[Container, ...]:
        await self._enter("containers", stack or "")
        found = [box.view(self.node) for box in self._boxes.values() if not is_one_off(box.request.labels)]
        ours = [c for c in found if c.stack and stack in (None, c.stack)]
        return tuple(sorted(ours, key=lambda c: (c.stack, c.service, c.slot, c.name)))

    async def container(self, id: ContainerId) -> Container:
        await self._enter("container", id)
        found = self._box(id, "inspect").view(self.node)
        if not found.stack:
            raise NotFound(f'container "{id[:12]}" is of no stack', where=self.node)
        return found

    async def held_ports(self, *, besides: StackName) -> tuple[tuple[int, str, str], ...]:
        await self._enter("held_ports", besides)
        others = [box.view(self.node) for box in self._boxes.values() if stack_of(box.request.labels) != besides]
        return tuple(sorted({(p.port, p.protocol, p.host_ip) for c in others if c.is_running for p in c.ports}))

    async def create_container(self, request: ContainerRequest) -> ContainerId:
        doing = f'create container "{request.name}"'
        await self._enter("create_container", request.name)
        try:
            translate.container_body(request, self.known_facts.api_version)
        except EngineError as error:
            raise type(error)(error.what, where=self.node, why=error.why, fix=error.fix) from error
        if (other := self._named(request.name)) is not None:
            taken = f'Conflict. The container name "/{request.name}" is already in use by container "{other.id}".'
            raise self._refusal(taken, 409, doing)
        image = self.held_images.get(request.service.image)
        if image is None:
            raise self._refusal(f"No such image: {request.service.image}", 404, doing)
        return self._made(request, image)

    async def connect(self, container: ContainerId, join: NetworkJoin) -> None:
        await self._enter("connect", self._name(container))
        box = self._box(container, "connect")
        known = self._network(join.name)
        if box.is_running and known is None:  # before the start nobody looks
            raise self._refusal(f"network {join.name} not found", 404, f'connect to network "{join.name}"')
        if join.name not in box.networks:
            box.networks.add(join.name)
            if box.is_running and known is not None:
                box.network_ids[join.name] = known.id
                self._tell(box, [(EventKind.CONNECT, join.name)])

    async def put_files(self, container: ContainerId, files: Sequence[UploadedFile]) -> None:
        await self._enter("put_files", self._name(container))
        self._box(container, "put files into").files |= {file.path: file for file in files}

    async def start(self, container: ContainerId) -> None:
        await self._enter("start", self._name(container))
        box = self._box(container, "start")
        if box.state in ALIVE:
            return
        if reason := box.behaviour.refuses_start or self._obstacle(box):
            box.error, box.exit_code = reason, 128
            told = self._refusal(reason, 500, f'start container "{container[:12]}"')
            if told.temporary:
                raise managers_away(told, self._swarm.managers if self._swarm else ())
            raise Refused(told.what, where=told.where, why=told.why, fix=told.fix)
        box.ports = tuple(self._opened_ports(box))
        box.network_ids = {name: known.id for name in box.networks if (known := self._network(name))}
        joined: list[Happening] = [(EventKind.CONNECT, name) for name in sorted(box.networks)]
        self._tell(box, [*joined, *box.start(self.clock())])
        self.tick()

    async def stop(self, container: ContainerId, *, grace_s: float | None = None) -> None:
        await self._enter("stop", self._name(container))
        box = self._box(container, "stop")
        if box.state in ALIVE:
            self._tell(box, box.stop(self.clock(), box.grace_s if grace_s is None else grace_s))

    async def kill(self, container: ContainerId, *, signal: str = "SIGKILL") -> None:
        await self._enter("kill", self._name(container))
        box = self._box(container, "kill")
        if box.is_running:
            self._tell(box, box.kill(self.clock(), signal))
        elif signal.upper().removeprefix("SIG") not in ("KILL", "9"):
            raise self._refusal(f"container {container} is not running", 409, f"send {signal}")

    async def remove(self, container: ContainerId, *, force: bool = False, volumes: bool = False) -> None:
        await self._enter("remove", self._name(container))
        box = self._boxes.get(container)
        if box is None:
            return
        if box.state in ALIVE:
            if not force:
                running = f'cannot remove container "/{box.name}": container is running'
                raise self._refusal(running, 409, f'remove container "{container[:12]}"')
            self._tell(box, box.kill(self.clock(), "SIGKILL"))
        del self._boxes[container]
        self._tell(box, [(EventKind.DESTROY, "")])
        for held in box.volumes if volumes else ():
            if held.name in self._anonymous(box):
                self._volumes.pop(held.name, None)

    async def rename(self, container: ContainerId, name: str) -> None:
        await self._enter("rename", self._name(container))
        box, other = self._box(container, "rename"), self._named(name)
        if other is not None and other is not box:
            taken = f'Conflict. The container name "/{name}" is already in use by container "{other.id}".'
            raise self._refusal(taken, 409, f'rename container "{container[:12]}" to "{name}"')
        if box.name != name:
            box.name = name
            self._tell(box, [(EventKind.RENAME, "")])

    # -- what runs in them -----------------------------------------------------------------------------------------

    async def exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        user: str = "",
        env: Sequence[str] = (),
        workdir: str = "",
        privileged: bool = False,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        await self._enter("exec", self._name(container), timeout_s=timeout_s)
        box = self._box(container, "run a command in")
        if not box.is_running:
            raise self._refusal(f"container {container} is not running", 409, "run a command")
        return box.answer(tuple(command), self.clock())

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
        return MemoryExec(await self.exec(container, command, user=user))

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
        await self._enter("logs", self._name(container))
        box = self._box(container, "read the logs of")

        def is_asked_for(line: LogLine) -> bool:
            return line.at is None or ((since is None or line.at >= since) and (until is None or line.at <= until))

        told = len(box.lines)
        lines = [line for line in box.lines if is_asked_for(line)]
        for line in lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]:
            yield line if timestamps else msgspec.structs.replace(line, at=None)
        while follow and box.state in ALIVE:
            await asyncio.sleep(LOOK_S)
            self.tick()
            for line in box.lines[told:]:
                yield line if timestamps else msgspec.structs.replace(line, at=None)
            told = len(box.lines)

    # -- events ----------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[EngineEvent]:
        """Looks at the clock now and then: with nobody calling, what is due happens all the same."""
        heard: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners.add(heard)
        try:
            await self._enter("events")
            while (event := await self._next_event(heard)) is not None:
                yield event
        finally:
            self._listeners.discard(heard)
        raise Unreachable("can't follow the engine's events", where=self.node, why="the connection broke")

    async def _next_event(self, heard: asyncio.Queue[EngineEvent | None]) -> EngineEvent | None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    return await heard.get()
            if not self._hung:
                self.tick()


class MemoryExec:
    """A command that has ended already; its output is written when it is run."""

    def __init__(self, result: ExecResult) -> None:
        self._result = result
        self.sizes: list[tuple[int, int]] = []

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    async def run(self, stdin_fd: int, stdout_fd: int, stderr_fd: int) -> int:
        os.write(stdout_fd, self._result.output.encode())
        return self._result.exit_code
