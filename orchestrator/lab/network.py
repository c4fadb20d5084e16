"""The lab's network: a bridge in the hub's namespace, and one cable from there to each node."""

from __future__ import annotations

import json
from enum import StrEnum

from orchestrator.lab import host, processes
from orchestrator.lab.settings import Settings, node_number
from orchestrator.model.names import NodeName

_BRIDGE = "br0"
_FORWARDING, _DISABLED = "3", "0"
"""Port states of the kernel's bridge. Source: bridge(8)."""


class Link(StrEnum):
    """What the cable of a node does: carry, be unplugged, swallow silently, not be there."""

    UP = "up"
    DOWN = "down"
    DROP = "drop"
    GONE = "gone"


def _batch(pid: int, *lines: str) -> None:
    processes.run(host.network_only(pid, "ip", "-batch", "-"), text="\n".join(lines) + "\n")


def ensure_bridge(hub: int, settings: Settings) -> None:
    if _BRIDGE in processes.run(host.network_only(hub, "ip", "-brief", "link")):
        return
    _batch(
        hub,
        "link set lo up",
        f"link add {_BRIDGE} type bridge forward_delay 0",
        f"addr add {settings.hub_address}/{settings.network.prefixlen} dev {_BRIDGE}",
        f"link set {_BRIDGE} up",
    )


def ensure_cable(hub: int, node: NodeName, pid: int, settings: Settings) -> None:
    """Lay the cable between hub and node if it is missing, and plug it in if it is not.

    The hardware address is fixed, as a real host's is: with a random one the others reach a rebooted node only when
    their ARP entries have expired, 13 s later. The default route leads to the hub, which forwards nothing; engines
    and containers want one.
    """
    if link(hub, node) is not Link.GONE:
        return plug(hub, node)
    number = node_number(node)
    mac = f"02:0c:00:00:{number >> 8:02x}:{number & 0xFF:02x}"
    _batch(
        hub,
        f"link add {node} type veth peer name eth0 address {mac} netns {pid}",
        f"link set {node} master {_BRIDGE} up",
    )
    address = f"{settings.address(node)}/{settings.network.prefixlen}"
    return _batch(
        pid,
        "link set lo up",
        f"addr add {address} dev eth0",
        "link set eth0 up",
        f"route add default via {settings.hub_address}",
    )


def link(hub: int | None, node: NodeName) -> Link:
    """What the node's cable does now; GONE when there is no hub."""
    if hub is None:
        return Link.GONE
    return _links(hub).get(node, Link.GONE)


def _links(hub: int) -> dict[str, Link]:
    interfaces = json.loads(processes.run(host.network_only(hub, "ip", "-json", "link")) or "[]")
    ports = json.loads(processes.run(host.network_only(hub, "bridge", "-json", "link")) or "[]")
    silent = {port["ifname"] for port in ports if port.get("state") == "disabled"}
    found = {}
    for interface in interfaces:
        name = interface["ifname"]
        plugged = "UP" in interface["flags"]
        found[name] = Link.DROP if plugged and name in silent else Link.UP if plugged else Link.DOWN
    return found


def plug(hub: int, node: NodeName) -> None:
    """Undo `unplug` and `swallow`."""
    if link(hub, node) is Link.UP:
        return
    processes.run(host.network_only(hub, "ip", "link", "set", node, "up"))
    processes.run(host.network_only(hub, "bridge", "link", "set", "dev", node, "state", _FORWARDING))


def unplug(hub: int, node: NodeName) -> None:
    """The link goes down: the others notice when their packets find no way."""
    processes.run(host.network_only(hub, "ip", "link", "set", node, "down"))


def swallow(hub: int, node: NodeName) -> None:
    """The link stays up, the bridge forwards nothing: silence."""
    processes.run(host.network_only(hub, "bridge", "link", "set", "dev", node, "state", _DISABLED))


def cut_off(hub: int | None, node: NodeName) -> None:
    """Take the cable away for good; a dying node can then send no FIN and no RST."""
    if hub is not None and link(hub, node) is not Link.GONE:
        processes.run(host.network_only(hub, "ip", "link", "del", node))
