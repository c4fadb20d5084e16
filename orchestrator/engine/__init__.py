"""One Docker host: the Engine protocol, a real engine by `connect`, and `MemoryEngine` for tests and simulations.

Importing this room imports neither the docker SDK nor asyncio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.model.names import NodeName

if TYPE_CHECKING:
    from orchestrator.engine.docker import DockerEngine
    from orchestrator.engine.memory import Behaviour, MemoryCluster, MemoryEngine

__all__ = ["Behaviour", "MemoryCluster", "MemoryEngine", "connect", "default_endpoint"]


def connect(node: NodeName, endpoint: str, *, deadline_s: float = 30.0) -> DockerEngine:
    """The engine at `endpoint` (`endpoint.py` has the forms), not contacted before its first call.

    deadline_s: for questions; what has the engine work is given four times as long.
    raises UsageError: `endpoint` is none.
    """
    from orchestrator.engine.docker import DockerEngine

    return DockerEngine(node, endpoint, deadline_s=deadline_s)


def default_endpoint(env: Mapping[str, str]) -> str:
    """The engine that `docker` itself would talk to, by its environment variables and contexts."""
    from orchestrator.engine.endpoint import default_endpoint as resolve

    return resolve(env)


def __getattr__(name: str) -> object:
    """`MemoryEngine`, `MemoryCluster` and `Behaviour` on demand: they bring asyncio."""
    if name in ("MemoryEngine", "MemoryCluster", "Behaviour"):
        from orchestrator.engine import memory

        return getattr(memory, name)
    raise AttributeError(name)
