"""Engines for the conformance suite: the imagined one, and real ones of two versions (`tests/labs.py`)."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orchestrator.engine import Behaviour, MemoryEngine, connect
from orchestrator.engine.memory import default_facts
from orchestrator.engine.protocol import ContainerRequest, Engine, EventKind, NetworkJoin
from orchestrator.model.cluster import Container
from orchestrator.model.names import (
    COMPOSE_NETWORK,
    COMPOSE_VOLUME,
    ContainerId,
    Digest,
    NodeName,
    ServiceName,
    SlotNumber,
    StackName,
    container_labels,
    resource_labels,
)
from orchestrator.model.shared import NetworkSpec, VolumeSpec
from orchestrator.model.spec import Attachment, ServiceSpec
from tests.labs import BUSYBOX, labs

API = {"20.10": (1, 41), "26.1": (1, 45)}
IDLE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
"""Runs until it is told to stop, and then stops at once."""

_numbers = itertools.count(1)


class Case:
    """One engine, one stack of its own on it, and the words in which both kinds of engine can be told what to do."""

    def __init__(self, engine: Engine, other: Engine) -> None:
        self.engine, self.other = engine, other
        self.stack = StackName(f"conf{os.getpid()}x{next(_numbers)}")

    @property
    def is_real(self) -> bool:
        return not isinstance(self.engine, MemoryEngine)

    def request(
        self,
        name: str = "web",
        *,
        slot: int = 1,
        command: tuple[str, ...] = IDLE,
        behaves: Behaviour | None = None,
        networks: tuple[str, ...] = (),
        volumes: dict[str, str] | None = None,
        **service: Any,
    ) -> ContainerRequest:
        """`command` says to a real engine what `behaves` says to the imagined one."""
        if isinstance(self.engine, MemoryEngine) and behaves is not None:
            self.engine.behaviours[name] = behaves
        spec = ServiceSpec(name=ServiceName(name), **{"image": BUSYBOX, "command": command, **service})
        return ContainerRequest(
            name=f"{self.stack}-{name}-{slot}",
            service=spec,
            labels=container_labels(self.stack, spec.name, SlotNumber(slot), 7, Digest("cafe")),
            slot=slot,
            volumes=volumes or {},
            networks=tuple(self.join(network, name) for network in networks),
            network_mode="" if networks or "ports" in service else "none",
        )

    def join(self, network: str, *aliases: str) -> NetworkJoin:
        return NetworkJoin(name=network, attachment=Attachment(network=network), aliases=aliases)

    async def run(self, *args: Any, **options: Any) -> ContainerId:
        id = await self.engine.create_container(self.request(*args, **options))
        await self.engine.start(id)
        return id

    async def network(self, key: str) -> str:
        name = f"{self.stack}_{key}"
        labels = resource_labels(self.stack, COMPOSE_NETWORK, key, Digest("beef"))
        await self.engine.create_network(NetworkSpec(key=key, name=name), labels)
        return name

    async def volume(self, key: str) -> str:
        name = f"{self.stack}_{key}"
        labels = resource_labels(self.stack, COMPOSE_VOLUME, key, Digest("beef"))
        await self.engine.create_volume(VolumeSpec(key=key, name=name), labels)
        return name

    async def until(self, id: ContainerId, holds: Callable[[Container], bool], within_s: float = 10.0) -> Container:
        """The container, once `holds` says yes of it."""
        give_up_at = time.monotonic() + within_s
        while not holds(found := await self.engine.container(id)):
            assert time.monotonic() < give_up_at, f"still {found}"
            await asyncio.sleep(0.02)
        return found

    async def hear(self, wanted: list[tuple[EventKind, str]], id: str, act: Callable[[], Awaitable[Any]]) -> list[Any]:
        """(kind, detail) of the events of one id, from before `act` until all that are `wanted` have been heard."""
        heard: list[tuple[EventKind, str]] = []
        events = self.engine.events()
        first = asyncio.ensure_future(anext(events))
        await act()
        async with asyncio.timeout(10):
            event = await first
            while True:
                if event.id == id or (not id and event.stack == self.stack):
                    heard.append((event.kind, event.detail))
                if not set(wanted) - set(heard):
                    break
                event = await anext(events)
        await events.aclose()
        return heard

    async def clean(self) -> None:
        for container in await self.engine.containers(self.stack):
            await self.engine.remove(container.id, force=True, volumes=True)
        for network in await self.engine.networks():
            if network.name.startswith(f"{self.stack}_"):
                await self.engine.remove_network(network.name)
        for volume in await self.engine.volumes():
            if volume.name.startswith(f"{self.stack}_"):
                await self.engine.remove_volume(volume.name)


def _imagined(node: str, version: str) -> MemoryEngine:
    facts = default_facts(NodeName(node))
    facts = msgspec.structs.replace(facts, version=version, api_version=API[version])
    engine = MemoryEngine(NodeName(node), lambda: datetime.now(UTC), facts=facts)
    engine.has(BUSYBOX)
    return engine


@pytest.fixture(
    params=[
        pytest.param(("memory", "20.10"), id="memory-1.41"),
        pytest.param(("memory", "26.1"), id="memory-1.45"),
        pytest.param(("real", "20.10"), id="real-1.41", marks=pytest.mark.real),
        pytest.param(("real", "26.1"), id="real-1.45", marks=pytest.mark.real),
    ]
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """One engine after the other, each asked the same."""
    kind, version = request.param
    engine: Engine
    other: Engine
    if kind == "memory":
        engine, other = _imagined("n1", version), _imagined("n2", version)
    else:
        lab = request.getfixturevalue("labs")(f"e{version.replace('.', '')}", engine=version)
        endpoint = f"unix://{lab.socket('n1')}"
        engine, other = (connect(NodeName(node), endpoint, deadline_s=20) for node in ("n1", "n2"))
    made = Case(engine, other)
    yield made
    await made.clean()
    await engine.close()
    await other.close()


__all__ = ["Case", "case", "labs"]
