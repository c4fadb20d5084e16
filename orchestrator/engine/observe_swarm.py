"""The Engine API's JSON on swarm mode as the model's words. Pure.

Sources: Docker Engine API 1.41 to 1.49, `Info.Swarm`, `Info.GenericResources`, `Node`, `NetworkSettings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.model.cluster import Member, Swarm
from orchestrator.model.names import ORCH

Json = Mapping[str, Any]

PIN = ORCH + "pin"
"""The label of a container that holds a network on its node: the network's name."""


def swarm_of(info: Json) -> Swarm:
    """Of `GET /info`. A manager without a quorum gives no cluster id, and an error that says so."""
    known = info.get("Swarm") or {}
    return Swarm(
        state=known.get("LocalNodeState") or "inactive",
        member=known.get("NodeID") or "",
        address=known.get("NodeAddr") or "",
        is_manager=bool(known.get("ControlAvailable")),
        cluster_id=(known.get("Cluster") or {}).get("ID") or "",
        error=known.get("Error") or "",
        managers=tuple(sorted(m["Addr"] for m in known.get("RemoteManagers") or () if m.get("Addr"))),
    )


def member_of(node: Json) -> Member:
    """A manager is one that ought to be; it is reachable once it takes part, and while the others hear it."""
    manages, status = node.get("ManagerStatus") or {}, node.get("Status") or {}
    is_manager = node["Spec"].get("Role") == "manager"
    return Member(
        id=node["ID"],
        hostname=(node.get("Description") or {}).get("Hostname") or "",
        address=_host(manages.get("Addr") or "") or status.get("Addr") or "",
        is_manager=is_manager,
        is_leader=bool(manages.get("Leader")),
        is_ready=status.get("State") == "ready",
        is_reachable=not is_manager or manages.get("Reachability") == "reachable",
    )


def _host(address: str) -> str:
    """Of `10.0.0.1:2377` or `[fd00::1]:2377`."""
    return address.rpartition(":")[0].strip("[]")


def generic_of(resources: Iterable[Json] | None) -> dict[str, tuple[str, ...]]:
    """`Info.GenericResources`: named ones by their ids, counted ones as "1", "2", "3"."""
    found: dict[str, tuple[str, ...]] = {}
    for resource in resources or ():
        named, counted = resource.get("NamedResourceSpec"), resource.get("DiscreteResourceSpec")
        spec = named or counted or {}
        ids = (str(named["Value"]),) if named else tuple(str(n + 1) for n in range(int(spec.get("Value") or 0)))
        found[str(spec.get("Kind") or "")] = found.get(str(spec.get("Kind") or ""), ()) + ids
    return {kind: ids for kind, ids in sorted(found.items()) if kind}


def device_ids_of(devices: Iterable[Json] | None) -> tuple[str, ...]:
    """`Info.DiscoveredDevices`, since API 1.50."""
    return tuple(sorted(device["ID"] for device in devices or () if device.get("ID")))


def spans_hosts(network: Json) -> bool:
    """An overlay that containers may join: not the one that swarm mode keeps for itself."""
    return network.get("Driver") == "overlay" and not network.get("Ingress")


def subnets_of(network: Json) -> tuple[str, ...]:
    pools = (network.get("IPAM") or {}).get("Config") or ()
    return tuple(sorted(pool["Subnet"] for pool in pools if pool.get("Subnet")))


def pin_addresses(containers: Iterable[Json]) -> dict[str, str]:
    """Network id -> the address of the container that holds it, of a list of running ones with the label PIN."""
    found = {}
    for container in containers:
        held = (container.get("Labels") or {}).get(PIN)
        joined = ((container.get("NetworkSettings") or {}).get("Networks") or {}).get(held) or {}
        if joined.get("NetworkID") and joined.get("IPAddress"):
            found[joined["NetworkID"]] = joined["IPAddress"]
    return found
