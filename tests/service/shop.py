"""The stack of these tests, and what is asked of its cluster."""

from __future__ import annotations

from typing import Any

from orchestrator.model.cluster import ContainerState
from orchestrator.model.names import (
    ServiceName,
)
from orchestrator.model.spec import StackSpec
from tests.reconciler.cluster import Cluster, changes, made

WEB, DB = ServiceName("web"), ServiceName("db")
RUNNING, EXITED = ContainerState.RUNNING, ContainerState.EXITED


def pair(version: str = "1", **web: Any) -> StackSpec:
    return made(
        {
            "web": {"depends_on": ["db"], "environment": {"V": version}, **web},
            "db": {"image": "db:1", "volumes": ["data:/data"]},
        },
        volumes={"data": {}},
    )


async def states(cluster: Cluster) -> dict[str, ContainerState]:
    return {c.name: c.state for c in await cluster.containers()}


async def counted(cluster: Cluster) -> int:
    return sum(len(changes(engine)) for engine in cluster.engines.values())
