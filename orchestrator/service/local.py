"""The service in this process: the store in a folder, the nodes of its registry, or the one engine of `docker`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.engine import connect, default_endpoint
from orchestrator.model.cluster import Node
from orchestrator.model.names import NodeName, content_digest
from orchestrator.reconciler.clock import utc_now
from orchestrator.service.control import Control
from orchestrator.service.hosts import Hosts
from orchestrator.store import Nodes, SqliteStore, Store, Vault

LOCAL = NodeName("local")


@asynccontextmanager
async def open_control(env: Mapping[str, str], command: str = "orch") -> AsyncIterator[Control]:
    """The service in this process, on the store of `$ORCH_HOME` (default `~/.local/state/orch`).

    Nodes are those of the registry; when it is empty, the one engine that `docker` itself would use, as node "local".
    Each such engine has a store of its own: what was declared on one is not looked for on another.
    """
    folder = home(env)
    async with _opened(folder) as registered:
        registry = Nodes(registered)
        await registry.adopt(folder / "nodes.json")
        nodes = await registry.list()
        if not nodes:
            nodes = (Node(name=LOCAL, endpoint=default_endpoint(env)),)
            folder = folder / "engines" / content_digest(nodes[0].endpoint.encode())[:12]
        async with _opened(folder) as store:
            control = Control(store, Vault(store, folder / "key"), Hosts(nodes, connect, registry), utc_now, command)
            try:
                yield control
            finally:
                await control.close()


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[Store]:
    store = SqliteStore(folder / "orch.db")
    try:
        yield store
    finally:
        await store.close()


def home(env: Mapping[str, str]) -> Path:
    """Where orch keeps its state. Source: XDG Base Directory Specification, `XDG_STATE_HOME`."""
    if chosen := env.get("ORCH_HOME"):
        return Path(chosen)
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/root") / ".local" / "state")
    return Path(base) / "orch"
