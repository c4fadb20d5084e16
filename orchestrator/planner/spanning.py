"""Which networks of a stack span hosts. Decided by the files and the intent alone, so that no network changes its kind
because a node falls silent or a service is scaled.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.model.cluster import OVERLAY
from orchestrator.model.names import ServiceName
from orchestrator.model.shared import NetworkSpec
from orchestrator.model.spec import Intent, Mode, StackSpec
from orchestrator.planner.groups import groups, is_confined


def spanning(intent: Intent) -> frozenset[str]:
    """Keys of those that span hosts: by the file (`driver: overlay`), or because their services may be anywhere."""
    stack = intent.stack
    tied = groups(stack, {key for key, network in stack.networks.items() if _is_of_one_host(network)})
    free = (key for key, network in stack.networks.items() if intent.spanning and _is_free(network))
    named = (key for key, network in stack.networks.items() if network.driver == OVERLAY and not network.external)
    return frozenset((*named, *(key for key in free if not _is_confined(stack, key, tied))))


def _is_of_one_host(network: NetworkSpec) -> bool:
    return not network.external and network.driver != OVERLAY and not _is_free(network)


def _is_free(network: NetworkSpec) -> bool:
    """The file leaves its kind to orch: neither a driver nor options that only a bridge has."""
    is_bridge = any(key.startswith("com.docker.network.bridge.") for key in network.driver_opts)
    return not network.external and not network.driver and not is_bridge


def _is_confined(stack: StackSpec, key: str, tied: dict[ServiceName, frozenset[ServiceName]]) -> bool:
    """All that is on it is on one node anyway, or nothing is."""
    users = list(_users(stack, key))
    if any(stack.services[name].mode is Mode.GLOBAL for name in users):
        return False
    found = {tied[name] for name in users}
    return not found or (len(found) == 1 and is_confined(stack, next(iter(found))))


def _users(stack: StackSpec, key: str) -> Iterator[ServiceName]:
    return (name for name, s in stack.services.items() if any(join.network == key for join in s.networks))
