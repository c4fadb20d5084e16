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
from orchestrator.store import Nodes, SqliteStore, Vault

LOCAL = NodeName("local")


@asynccontextmanager
async def open_control(env: Mapping[str, str], command: str = "orch") -> AsyncIterator[Control]:
    """The service in this process, on the store of `$ORCH_HOME` (default `~/.local/state/orch`).

    Nodes are those of the registry; when it is empty, the one engine that `docker` itself would use, as node "local".
    Each such engine has a store of its own: what was declared on one is not looked for on another.
    """
    folder = home(env)
    store = SqliteStore(folder / "orch.db")
    registry = Nodes(store)
    await registry.adopt(folder / "nodes.json")
    nodes = await registry.list()
    if not nodes:
        endpoint = default_endpoint(env)
        nodes = (Node(name=LOCAL, endpoint=endpoint),)
        await store.close()
        folder = folder / "engines" / content_digest(endpoint.encode())[:12]
        store = SqliteStore(folder / "orch.db")
    hosts = Hosts(nodes, connect, registry)
    control = Control(store, Vault(store, folder / "key"), hosts, utc_now, command)
    try:
        yield control
    finally:
        await control.close()


def home(env: Mapping[str, str]) -> Path:
    """Where orch keeps its state. Source: XDG Base Directory Specification, `XDG_STATE_HOME`."""
    if chosen := env.get("ORCH_HOME"):
        return Path(chosen)
    base = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/root") / ".local" / "state")
    return Path(base) / "orch"
