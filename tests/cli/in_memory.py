"""`orch` as a process of its own, on an engine in memory: for signals, pipes and terminals. Run as a script.

The engine lives as long as the process. Images: `web:1` runs; `slow:1` needs 60 s to become healthy; `bad:1` ends
with 3 at once, after two lines. Stack `shop` has a volume from the start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from orchestrator.cli import main, session
from orchestrator.engine import Behaviour, MemoryEngine
from orchestrator.model.names import COMPOSE_VOLUME, Digest, StackName, resource_labels
from orchestrator.model.shared import VolumeSpec
from orchestrator.reconciler.clock import utc_now
from orchestrator.service.control import Control
from tests.cli.world import LOCAL, service


def engine() -> MemoryEngine:
    made = MemoryEngine(LOCAL, utc_now)
    made.has("web:1", "bad:1")
    made.has("slow:1", has_check=True)
    made.behaviours["slow:1"] = Behaviour(healthy_after_s=60)
    made.behaviours["bad:1"] = Behaviour(exits_after_s=0, exit_code=3, output=("reading", "no such thing"))
    return made


@asynccontextmanager
async def opener(env: Mapping[str, str]) -> AsyncIterator[Control]:
    host = engine()
    labels = resource_labels(StackName("shop"), COMPOSE_VOLUME, "data", Digest(""))
    await host.create_volume(VolumeSpec(key="data", name="shop_data"), labels)
    async with service({LOCAL: host}, env) as control:
        yield control


if __name__ == "__main__":
    session.opener = opener
    main()
