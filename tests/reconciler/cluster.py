"""Clusters of engines in memory, with the real service on a store in memory: what tests of the loop stand on."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from msgspec.structs import replace

from orchestrator.engine import Behaviour, MemoryCluster, MemoryEngine
from orchestrator.engine.protocol import Engine
from orchestrator.model.cluster import Container, Node
from orchestrator.model.names import NodeName, ServiceName, StackName
from orchestrator.model.operations import AnyOperation
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.reconciler.clock import utc_now
from orchestrator.reconciler.events import Event, OperationDone, OperationStarted
from orchestrator.reconciler.executor import Executor
from orchestrator.reconciler.loop import Loop, Verdict
from orchestrator.reconciler.observe import Observer
from orchestrator.service.control import Control
from orchestrator.service.converge import Outcome
from orchestrator.service.hosts import Hosts
from orchestrator.service.request import UpRequest
from orchestrator.spec import Request, load
from orchestrator.store import FabricRecord, MemoryStore, Nodes, Stacks, Store, Vault

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")
SHOP = StackName("shop")
IMAGES = ("web:1", "web:2", "db:1", "job:1")
CALLS_THAT_LOOK = frozenset(
    ("ping", "facts", "containers", "container", "held_ports", "networks", "volumes", "image", "events", "logs")
) | {"exec", "save", "swarm", "swarm_labels", "members", "routes", "join_token", "reach"}


class Shared:
    """What several processes use: a `close` of one of them is not the others' business."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    async def close(self) -> None:
        return


class Slow:
    """An engine whose calls take the time that the test says, and that counts how many are under way.

    after_s: (before it is carried out, after it) in seconds, by call. held: these calls wait until it is set.
    """

    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.after_s: dict[str, tuple[float, float]] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.asked, self.under_way, self.most = Counter[str](), Counter[str](), Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.engine, name)
        return partial(self._call, name, found) if name in self.after_s or name in self.held else found

    async def _call(self, name: str, work: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        before_s, after_s = self.after_s.get(name, (0.0, 0.0))
        self.asked[name] += 1
        self.under_way[name] += 1
        self.most |= self.under_way
        try:
            if name in self.held:
                await self.held[name].wait()
            await asyncio.sleep(before_s)
            result = await work(*args, **options)
            await asyncio.sleep(after_s)
            return result
        finally:
            self.under_way[name] -= 1


class Cluster:
    """Some engines, one store. `control()` is a process of orch; several may work on the same world."""

    def __init__(self, *names: NodeName, store: Store | None = None) -> None:
        wires = MemoryCluster()
        self.engines = {name: MemoryEngine(name, utc_now, deadline_s=0.2, cluster=wires) for name in names or (N1,)}
        for engine in self.engines.values():
            engine.has(*IMAGES)
        self.store = store or MemoryStore()
        self.folder = tempfile.TemporaryDirectory()
        self.events: list[Event] = []

    @property
    def n1(self) -> MemoryEngine:
        return self.engines[N1]

    @property
    def n2(self) -> MemoryEngine:
        return self.engines[N2]

    @asynccontextmanager
    async def control(
        self, engines: Mapping[NodeName, Any] | None = None, store: Any = None, command: str = "orch up"
    ) -> AsyncIterator[Control]:
        """A process of orch: the service on this store and these engines, which both outlive it."""
        shared = {name: Shared(engine) for name, engine in (engines or self.engines).items()}
        nodes = tuple(Node(name=name, endpoint=f"memory://{name}") for name in shared)
        kept: Any = Shared(store or self.store)
        hosts = Hosts(nodes, lambda name, _: cast("Engine", shared[name]), Nodes(kept))
        control = Control(kept, Vault(kept, Path(self.folder.name, "key")), hosts, utc_now, command)
        try:
            yield control
        finally:
            await control.close()

    async def up(self, stack: StackSpec, *services: str, wait_s: float | None = 5.0, **request: Any) -> Outcome:
        """`orch up`, to the end."""
        wanted = UpRequest(stack=stack, services=tuple(map(ServiceName, services)), **request)
        return await self.run(lambda control: control.up(wanted), stack.name, wait_s=wait_s)

    async def run(
        self,
        verb: Callable[[Control], Awaitable[object]],
        name: StackName = SHOP,
        *,
        wait_s: float | None = 5.0,
        detach: bool = False,
    ) -> Outcome:
        """A verb, and the loop after it, in a process of its own."""
        async with self.control() as control:
            await verb(control)
            return await control.converge(name, self.events.append, wait_timeout_s=wait_s, detach=detach)

    async def converge(self, name: StackName = SHOP, **options: Any) -> Outcome:
        return await self.run(lambda control: asyncio.sleep(0), name, **options)

    def behaves(self, name: str, **behaviour: Any) -> None:
        for engine in self.engines.values():
            engine.behaviours[name] = Behaviour(**behaviour)

    async def containers(self) -> tuple[Container, ...]:
        """Of all engines, plugged or not, by name."""
        found = [box.view(node) for node, engine in self.engines.items() for box in engine._boxes.values()]
        return tuple(sorted(found, key=lambda c: (c.name, c.node)))

    async def names(self, node: NodeName | None = None) -> list[str]:
        return [c.name for c in await self.containers() if node in (None, c.node)]

    async def container(self, name: str) -> Container:
        return next(c for c in await self.containers() if c.name == name)

    async def homes(self) -> dict[str, NodeName]:
        return await Stacks(self.store).homes()

    def done(self) -> list[str]:
        """Titles of the operations that went well, in the order in which they ended."""
        return [event.operation.title for event in self.events if isinstance(event, OperationDone)]

    def began(self) -> list[AnyOperation]:
        return [event.operation for event in self.events if isinstance(event, OperationStarted)]


def changes(engine: MemoryEngine) -> list[tuple[str, str]]:
    """The mutating calls that were made to it, in order."""
    return [call for call in engine.calls if call[0] not in CALLS_THAT_LOOK]


def made(services: Mapping[str, Any], **top: Any) -> StackSpec:
    """The stack "shop"; a service without an image is `web:1`."""
    whole = {name: {"image": "web:1", **(service or {})} for name, service in services.items()}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "stack.yml").write_text(yaml.safe_dump({"services": whole, **top}))
        stack = load(Request(files=("stack.yml",), project_name=SHOP, cwd=folder)).stack
    return replace(stack, working_dir="/shop", files=())


class Run:
    """One loop on engines, with all its parts in the test's hands."""

    def __init__(self, cluster: Cluster, intent: Intent, engines: Mapping[NodeName, Any], **options: Any) -> None:
        nodes = {name: Node(name=name, endpoint=f"memory://{name}") for name in engines}
        self.observer = Observer(intent.stack, nodes, engines, {}, utc_now, FabricRecord(MemoryStore()))
        self.homes: list[tuple[str, NodeName | None]] = []
        self.contents: dict[str, bytes] = {}
        self.executor = Executor(self.observer, self._content, self._home, cluster.events.append)
        self.loop = Loop(intent, self.observer, self.executor, cluster.events.append, **options)

    async def _content(self, digest: str) -> bytes:
        return self.contents[digest]

    async def _home(self, volume: str, node: NodeName | None) -> None:
        self.homes.append((volume, node))

    async def until_end(self, within_s: float = 5.0) -> Verdict:
        async with asyncio.timeout(within_s):
            return await self.loop.run()


@asynccontextmanager
async def running(
    cluster: Cluster, stack: StackSpec | Intent, *, slow: Mapping[NodeName, Slow] | None = None, **options: Any
) -> AsyncIterator[Run]:
    """A loop whose observer has started; nothing of it is left afterwards. `slow`: in place of these engines."""
    intent = stack if isinstance(stack, Intent) else Intent(stack=stack, revision=1)
    run = Run(cluster, intent, {**cluster.engines, **(slow or {})}, **options)
    try:
        await run.observer.start()
        yield run
    finally:
        await run.observer.close()


async def eventually(check: Callable[[], object], within_s: float = 3.0) -> None:
    """Returns as soon as `check` gives something true."""
    async with asyncio.timeout(within_s):
        for _ in itertools.count():
            if check():
                return
            await asyncio.sleep(0.005)


def only(items: Iterable[Any], kind: type) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]
