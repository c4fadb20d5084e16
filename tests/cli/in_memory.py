"""`orch` as a process of its own, on an engine in memory: for signals, pipes and terminals. Run as a script.

The engine lives as long as the process. Images: `web:1` runs; `slow:1` needs 60 s to become healthy; `bad:1` ends
with 3 at once, after two lines.
"""

from __future__ import annotations

from orchestrator.cli import main, session
from orchestrator.engine import Behaviour, MemoryEngine
from orchestrator.model.names import NodeName
from orchestrator.reconciler.clock import utc_now
from tests.cli.world import service

LOCAL = NodeName("local")


def engine() -> MemoryEngine:
    made = MemoryEngine(LOCAL, utc_now)
    made.has("web:1", "bad:1")
    made.has("slow:1", has_check=True)
    made.behaviours["slow:1"] = Behaviour(healthy_after_s=60)
    made.behaviours["bad:1"] = Behaviour(exits_after_s=0, exit_code=3, output=("reading", "no such thing"))
    return made


if __name__ == "__main__":
    engines = {LOCAL: engine()}
    session.opener = lambda env: service(engines, env)
    main()
