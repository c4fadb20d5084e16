"""What several imagined hosts share: the wires between them, and the swarms that they form.

    cluster = MemoryCluster()
    engines = [MemoryEngine(NodeName(name), clock, cluster=cluster) for name in ("n1", "n2", "n3")]
    cluster.cut("n1", "n2")

A host that is unplugged, or hangs in all calls, is away for the others, too. What a real swarm notices after some
seconds is so here at once.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

from orchestrator.model.cluster import Member, Network
from orchestrator.model.names import NodeName

PORT = 2377


class Host(Protocol):
    node: NodeName

    @property
    def is_up(self) -> bool: ...


class MemoryCluster:
    """The wires. Hosts that were given no cluster have one of their own, each."""

    def __init__(self) -> None:
        self.hosts: dict[NodeName, Host] = {}
        self._cut: set[frozenset[str]] = set()
        self._numbers = itertools.count(1)

    def cut(self, one: str, other: str) -> None:
        """No packet passes between the two hosts, until `mend`."""
        self._cut.add(frozenset((one, other)))

    def mend(self, one: str, other: str) -> None:
        self._cut.discard(frozenset((one, other)))

    def passes(self, one: NodeName, other: NodeName) -> bool:
        if one == other:
            return True
        return self.hosts[one].is_up and self.hosts[other].is_up and frozenset((one, other)) not in self._cut

    def address(self, node: NodeName) -> str:
        """What an engine takes when it is told none."""
        return f"10.255.0.{1 + list(self.hosts).index(node)}"

    def new_id(self) -> str:
        return hashlib.sha256(f"swarm {next(self._numbers)}".encode()).hexdigest()[:25]


class Seat:
    """A member of a swarm. A manager votes; a member that has left keeps its seat until it is forgotten."""

    def __init__(self, id: str, node: NodeName, address: str, *, is_manager: bool) -> None:
        self.id, self.node, self.address = id, node, address
        self.is_manager = self.votes = is_manager
        self.is_taken = True


class MemorySwarm:
    """One swarm: its seats and networks. `managers`: `address:port` of those that vote."""

    def __init__(self, wires: MemoryCluster, labels: Mapping[str, str]) -> None:
        self.id, self.labels = wires.new_id(), dict(labels)
        self.tokens = {is_manager: f"SWMTKN-imagined-{wires.new_id()}" for is_manager in (True, False)}
        self.seats: dict[str, Seat] = {}
        self.networks: dict[str, Network] = {}
        self._free: dict[str, Iterator[str]] = {}
        self._wires = wires

    @property
    def managers(self) -> tuple[str, ...]:
        return tuple(sorted(f"{seat.address}:{PORT}" for seat in self.seats.values() if seat.votes))

    def sit(self, node: NodeName, address: str, *, is_manager: bool) -> Seat:
        seat = Seat(self._wires.new_id(), node, address, is_manager=is_manager)
        self.seats[seat.id] = seat
        return seat

    def has_quorum(self, node: NodeName) -> bool:
        """As seen from that host."""
        voters = [seat for seat in self.seats.values() if seat.votes]
        return 2 * sum(self._hears(node, seat) for seat in voters) > len(voters)

    def governs(self, node: NodeName) -> bool:
        """A manager with a quorum hears that host: what runs there can attach to networks."""
        voters = (seat for seat in self.seats.values() if seat.votes and self._hears(node, seat))
        return any(self.has_quorum(seat.node) for seat in voters)

    def members(self, node: NodeName) -> tuple[Member, ...]:
        """As a manager on that host lists them."""
        present = {seat.id: self._hears(node, seat) for seat in self.seats.values()}
        leader = min((seat.id for seat in self.seats.values() if seat.votes and present[seat.id]), default="")
        return tuple(
            Member(
                id=id,
                hostname=seat.node,
                address=seat.address,
                is_manager=seat.is_manager,
                is_leader=id == leader,
                is_ready=present[id],
                is_reachable=not seat.is_manager or (seat.votes and present[id]),
            )
            for id, seat in sorted(self.seats.items())
        )

    def go_on_alone(self, seat: Seat) -> None:
        """The others' seats stay, but vote no more."""
        for other in self.seats.values():
            other.votes = other is seat

    def new_address(self, network: str) -> str:
        """The next of its subnet."""
        if network not in self._free:
            subnet = ipaddress.ip_network(self.networks[network].subnets[0])
            self._free[network] = (str(subnet[n]) for n in range(2, subnet.num_addresses - 1))
        return next(self._free[network])

    def _hears(self, node: NodeName, seat: Seat) -> bool:
        return seat.is_taken and self._wires.passes(node, seat.node)
