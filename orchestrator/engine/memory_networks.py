"""`MemoryEngine`, the part on networks: those of one host, and those of a swarm, which reach across hosts."""

# ruff: noqa: ARG002 (the protocol's arguments, also where an imagined host has no use for them)
from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import NoReturn

import msgspec

from orchestrator.engine import translate
from orchestrator.engine.failures import another_swarm, managers_away, not_held
from orchestrator.engine.memory_cluster import MemorySwarm, Seat
from orchestrator.engine.memory_host import MemoryHost
from orchestrator.engine.observe import stack_of
from orchestrator.errors import EngineError, Unreachable
from orchestrator.model.cluster import Member, Network, Swarm
from orchestrator.model.names import COMPOSE_NETWORK, HASH, Digest
from orchestrator.model.shared import NetworkSpec

NO_LEADER = "rpc error: code = Unknown desc = The swarm does not have a leader."
NOT_A_MANAGER = "This node is not a swarm manager."
INGRESS, WAY_OUT = "ingress", "docker_gwbridge"
"""Networks that swarm mode makes for itself."""
NO_REACH = "nothing came back"


class MemoryNetworks(MemoryHost):
    async def networks(self) -> tuple[Network, ...]:
        await self._enter("networks")
        found = [*self._networks.values(), *self._spanning()]
        return tuple(sorted(found, key=lambda network: network.name))

    def _spanning(self) -> list[Network]:
        """A manager lists all of them, another node those that something here uses."""
        if self._swarm is None:
            return []
        used = {name for box in self._boxes.values() if box.is_running for name in box.networks}
        used |= {*self._pins, INGRESS}
        seen = [n for n in self._swarm.networks.values() if n.name in used or (self._seat and self._seat.votes)]
        return [msgspec.structs.replace(n, node=self.node, pin=self._pins.get(n.name, "")) for n in seen]

    async def create_network(self, network: NetworkSpec, labels: Mapping[str, str]) -> None:
        await self._enter("create_network", network.name)
        doing = f'create network "{network.name}"'
        there = self._networks if network.driver != "overlay" else self._governed(doing, 403).networks
        if network.name in there:
            return
        translate.network_body(network, labels, self.known_facts.api_version)
        named = tuple(pool.subnet for pool in network.ipam if pool.subnet)
        there[network.name] = Network(
            id=self._id(network.name),
            name=network.name,
            node=self.node,
            stack=stack_of(labels),
            key=labels.get(COMPOSE_NETWORK, ""),
            config=Digest(labels.get(HASH, "")),
            driver=network.driver or "bridge",
            subnets=named or (f"192.168.{next(self._ids) % 256}.0/24",),
        )

    async def remove_network(self, name: str) -> None:
        await self._enter("remove_network", name)
        doing = f'remove network "{name}"'
        if name in self._networks:
            if self._uses(name):
                used = f"error while removing network: network {name} has active endpoints"
                raise self._refusal(used, 403, doing)
            del self._networks[name]
        elif self._swarm and name in {network.name for network in self._spanning()}:
            swarm = self._governed(doing, 503)
            if any(isinstance(host, MemoryNetworks) and host._uses(name) for host in self._wires.hosts.values()):
                raise self._refusal(f"network {name} is in use by task", 400, doing)
            del swarm.networks[name]

    def _uses(self, network: str) -> bool:
        return network in self._pins or any(network in b.networks and b.is_running for b in self._boxes.values())

    # -- swarm mode ------------------------------------------------------------------------------------------------

    async def swarm(self) -> Swarm:
        await self._enter("swarm")
        return self._seen_swarm()

    def _seen_swarm(self) -> Swarm:
        if self._swarm is None or self._seat is None:
            return Swarm()
        has_quorum = self._seat.votes and self._swarm.has_quorum(self.node)
        return Swarm(
            state="active",
            member=self._seat.id,
            address=self._seat.address,
            is_manager=self._seat.votes,
            cluster_id=self._swarm.id if has_quorum else "",
            error="" if has_quorum or not self._seat.votes else NO_LEADER,
            managers=self._swarm.managers,
        )

    async def init_swarm(self, *, address: str, pool: str, labels: Mapping[str, str]) -> None:
        await self._enter("init_swarm", address)
        if self._swarm is not None:
            self._refuse_swarm("This node is already part of a swarm.", "begin networks across hosts")
        if self.known_facts.live_restore:
            words = "--live-restore daemon configuration is incompatible with swarm mode"
            self._refuse_swarm(words, "begin networks across hosts")
        self._swarm = MemorySwarm(self._wires, labels)
        subnet = str(next(ipaddress.ip_network(pool).subnets(new_prefix=24)))
        ingress = Network(id=self._id(INGRESS), name=INGRESS, node=self.node, driver="overlay", subnets=(subnet,))
        self._swarm.networks[INGRESS] = ingress
        self._sit(self._swarm, address, is_manager=True)

    def _sit(self, swarm: MemorySwarm, address: str, *, is_manager: bool) -> None:
        """The way out of networks across hosts is a bridge, which stays when the swarm is left."""
        self._swarm = swarm
        self._seat = swarm.sit(self.node, address or self._wires.address(self.node), is_manager=is_manager)
        way_out = Network(
            id=self._id(WAY_OUT), name=WAY_OUT, node=self.node, driver="bridge", subnets=("172.18.0.0/16",)
        )
        self._networks.setdefault(WAY_OUT, way_out)

    async def rebuild_swarm(self, *, address: str) -> None:
        await self._enter("rebuild_swarm", address)
        if self._swarm is None or self._seat is None or not self._seat.votes:
            self._refuse_swarm(NOT_A_MANAGER, "go on as the only manager")
        self._swarm.go_on_alone(self._seat)
        self._seat.address = address or self._seat.address

    async def join_token(self, *, as_manager: bool) -> str:
        await self._enter("join_token")
        return self._governed("ask for the token to join by").tokens[as_manager]

    async def join_swarm(self, *, managers: Sequence[str], token: str, address: str) -> None:
        await self._enter("join_swarm", address)
        doing = "join the networks across hosts"
        if self._swarm is not None:
            if not set(self._swarm.managers) & set(managers):
                raise another_swarm(self.node, "active")
            return
        if self.known_facts.live_restore:
            self._refuse_swarm("--live-restore daemon configuration is incompatible with swarm mode", doing)
        found = next((swarm for swarm in self._swarms_near() if set(swarm.managers) & set(managers)), None)
        if found is None:
            why = f"no manager answers at {', '.join(managers)}"
            raise Unreachable(f"can't {doing}", where=self.node, why=why, fix="bring the manager's host back")
        if token not in found.tokens.values():
            self._refuse_swarm("A valid join token is necessary to join this cluster", doing)
        self._sit(found, address, is_manager=token == found.tokens[True])

    def _swarms_near(self) -> list[MemorySwarm]:
        hosts = (host for host in self._wires.hosts.values() if isinstance(host, MemoryNetworks))
        near = (host._swarm for host in hosts if self._wires.passes(self.node, host.node))
        return [swarm for swarm in near if swarm is not None and swarm.governs(self.node)]

    async def leave_swarm(self, *, force: bool = False) -> None:
        await self._enter("leave_swarm")
        if self._seat is None:
            return
        if self._seat.votes and not force:
            words = "You are attempting to leave the swarm on a node that is participating as a manager."
            self._refuse_swarm(words, "leave the networks across hosts")
        self._seat.is_taken = False
        self._swarm = self._seat = None
        self._pins.clear()

    async def swarm_labels(self) -> Mapping[str, str]:
        await self._enter("swarm_labels")
        return self._governed("ask for the swarm's labels").labels

    async def members(self) -> tuple[Member, ...]:
        await self._enter("members")
        return self._governed("list the swarm's members").members(self.node)

    async def set_manager(self, member: str, *, is_manager: bool) -> None:
        await self._enter("set_manager", member)
        doing = f'make member "{member}" a {"manager" if is_manager else "worker"}'
        swarm = self._governed(doing)
        seat = self._member(swarm, member, doing)
        if not is_manager and seat.votes and len(swarm.managers) == 1:
            self._refuse_swarm("attempting to demote the last manager of the swarm", doing)
        seat.is_manager = seat.votes = is_manager

    async def remove_member(self, member: str) -> None:
        await self._enter("remove_member", member)
        swarm = self._governed(f'forget member "{member}"')
        swarm.seats.pop(member, None)

    def _member(self, swarm: MemorySwarm, id: str, doing: str) -> Seat:
        if id not in swarm.seats:
            raise self._refusal(f"node {id} not found", 404, doing)
        return swarm.seats[id]

    def _governed(self, doing: str, status: int = 503) -> MemorySwarm:
        """The swarm that this node manages, with a quorum; raises Refused, Unreachable."""
        if self._swarm is None or self._seat is None or not self._seat.votes:
            raise self._refusal(NOT_A_MANAGER, status, doing)
        if not self._swarm.has_quorum(self.node):
            raise self._refusal(NO_LEADER, 500, doing)
        return self._swarm

    def _refuse_swarm(self, words: str, doing: str) -> NoReturn:
        raise self._refusal(words, 503, doing)

    # -- what holds networks ---------------------------------------------------------------------------------------

    async def routes(self) -> tuple[str, ...]:
        await self._enter("routes")
        local = {subnet for network in self._networks.values() for subnet in network.subnets}
        return tuple(sorted(local | set(self.known_routes)))

    async def pin(self, network: str, *, deadline_s: float = 10.0) -> str:
        await self._enter("pin", network, timeout_s=deadline_s)
        if network in self._pins:
            return self._pins[network]
        doing = f'start container "orch-pin-{network}"'
        if self._swarm is None or network not in self._swarm.networks:
            raise self._refusal(f"network {network} not found", 404, doing)
        if not self._swarm.governs(self.node):
            raise self._managers_away(doing, network)
        self._pins[network] = self._swarm.new_address(network)
        return self._pins[network]

    def _managers_away(self, doing: str, network: str) -> EngineError:
        words = f"Could not attach to network {network}: context deadline exceeded"
        managers = self._swarm.managers if self._swarm else ()
        return managers_away(self._refusal(words, 500, doing), managers)

    async def unpin(self, network: str) -> None:
        await self._enter("unpin", network)
        self._pins.pop(network, None)

    async def reach(self, network: str, addresses: Sequence[str], *, timeout_s: float = 2.0) -> Mapping[str, str]:
        await self._enter("reach", network)
        if network not in self._pins:
            raise not_held(network, node=self.node, why=f"No such container: orch-pin-{network}")
        heard = {
            host._pins.get(network)
            for host in self._wires.hosts.values()
            if isinstance(host, MemoryNetworks) and self._wires.passes(self.node, host.node)
        }
        return {address: "" if address in heard else NO_REACH for address in addresses}
