"""(Intent, ClusterState, now) -> Plan. Pure: equal worlds give equal plans, to the letter.

`plan` decides the next safe step, `preview` follows it to the end, `simulate` is the step between, `statuses` says how
far each service is.
"""

from orchestrator.planner.hashes import network_hash, service_hash, volume_hash
from orchestrator.planner.plan import plan, plan_slots
from orchestrator.planner.preview import preview
from orchestrator.planner.simulate import settle, simulate
from orchestrator.planner.slots import Slots
from orchestrator.planner.status import statuses
from orchestrator.planner.world import World

__all__ = [
    "Slots",
    "World",
    "network_hash",
    "plan",
    "plan_slots",
    "preview",
    "service_hash",
    "settle",
    "simulate",
    "statuses",
    "volume_hash",
]
