"""A world for the command line: the real service on engines in memory, in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from orchestrator.cli import entry
from orchestrator.engine import MemoryCluster, MemoryEngine
from orchestrator.model.cluster import Node
from orchestrator.model.names import NodeName
from orchestrator.reconciler.clock import utc_now
from orchestrator.service.control import Control
from orchestrator.service.hosts import Hosts
from orchestrator.store import Nodes, SqliteStore, Vault

LOCAL = NodeName("local")
SHOP = """
services:
  web:
    image: web:1
    depends_on: [db]
    ports: ["8080:80"]
  db:
    image: db:1
    volumes: [data:/data]
volumes:
  data:
"""


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return msgspec.json.decode(self.out)


class World:
    """`orch(...)` runs a command; `engines` are the hosts that it finds."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.engines: dict[NodeName, MemoryEngine] = {}
        self.wires = MemoryCluster()
        self.add_host(LOCAL)

    def add_host(self, name: str) -> MemoryEngine:
        engine = self.engines[NodeName(name)] = MemoryEngine(NodeName(name), utc_now, cluster=self.wires)
        engine.has("web:1", "web:2", "db:1", "job:1")
        return engine

    @property
    def local(self) -> MemoryEngine:
        return self.engines[LOCAL]

    def stack(self, text: str, name: str = "compose.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def orch(self, *args: str) -> Said:
        self._capsys.readouterr()
        code = entry.run(args)
        return Said(code, *self._capsys.readouterr())

    def opener(self, env: Mapping[str, str]) -> AbstractAsyncContextManager[Control]:
        return service(self.engines, env)


@asynccontextmanager
async def service(engines: Mapping[NodeName, MemoryEngine], env: Mapping[str, str]) -> AsyncIterator[Control]:
    """The real service, its store in $ORCH_HOME; its nodes are those that were added, else `local`."""
    home = env["ORCH_HOME"]
    os.makedirs(home, exist_ok=True)
    store = SqliteStore(Path(home, "orch.db"))
    registry = Nodes(store)
    nodes = await registry.list() or (Node(name=LOCAL, endpoint="memory://local"),)
    hosts = Hosts(nodes, lambda name, _: engines[name], registry)
    control = Control(store, Vault(store, Path(home, "key")), hosts, utc_now)
    try:
        yield control
    finally:
        await control.close()
