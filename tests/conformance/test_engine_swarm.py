"""What every engine promises of networks across hosts: three imagined hosts, and three real ones of each version."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import permutations
from typing import TypeVar

import pytest

from orchestrator.engine import MemoryCluster, MemoryEngine, connect
from orchestrator.engine.protocol import ContainerRequest, Engine, NetworkJoin
from orchestrator.errors import Conflict, EngineError, NotFound, Refused, Unreachable
from orchestrator.lab import Lab
from orchestrator.model.cluster import Member, Network
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber, StackName, container_labels
from orchestrator.model.shared import IpamPool, NetworkSpec
from orchestrator.model.spec import Attachment, ServiceSpec
from tests.labs import BUSYBOX, clean

T = TypeVar("T")
NODES = ("n1", "n2", "n3")
SUBNET = "10.99.64.0/22"
LABELS = {"dev.orch.cluster": "conformance"}
AWAY = "the managers of the networks across hosts are out of reach"


class Trio:
    """Three hosts, and the words in which both kinds are cut off, switched off and on."""

    def __init__(self, engines: dict[str, Engine], addresses: dict[str, str], hosts: MemoryCluster | Lab) -> None:
        self.engines, self.addresses, self._hosts = engines, addresses, hosts
        self.n1, self.n2, self.n3 = engines.values()

    async def form(self, managers: int = 1) -> None:
        """A swarm of all three, the first `managers` of them managers who hear each other."""
        await self.n1.init_swarm(address=self.addresses["n1"], pool="10.99.0.0/16", labels=LABELS)
        for number, node in enumerate(NODES[1:], 2):
            await self.join(node, as_manager=number <= managers)
        if managers > 1:
            await self.until(lambda members: sum(m.is_manager and m.is_reachable for m in members) == managers)

    async def join(self, node: str, *, as_manager: bool = False) -> None:
        token, known = await self.n1.join_token(as_manager=as_manager), (await self.n1.swarm()).managers
        await self.engines[node].join_swarm(managers=known, token=token, address=self.addresses[node])

    async def network(self, name: str = "across") -> None:
        spec = NetworkSpec(key=name, name=name, driver="overlay", attachable=True, ipam=(IpamPool(subnet=SUBNET),))
        await self.n1.create_network(spec, {})

    async def until(self, holds: Callable[[tuple[Member, ...]], bool], within_s: float = 20.0) -> None:
        """The first manager's list of members, once `holds` says yes of it."""

        async def ask() -> bool:
            return holds(await self.n1.members())

        await eventually(ask, within_s)

    async def seen(self, node: str, name: str = "across") -> Network | None:
        return next((n for n in await self.engines[node].networks() if n.name == name), None)

    def off(self, node: str) -> None:
        if isinstance(self._hosts, Lab):
            self._hosts.kill(node)
        else:
            self._imagined(node).unplug()

    def reboot(self, node: str) -> None:
        if isinstance(self._hosts, Lab):
            self._hosts.kill(node)
            self._hosts.restart(node)
        else:
            self._imagined(node).reboot()

    def cut_off(self, node: str) -> None:
        """From the other hosts, not from us."""
        for other in NODES:
            if isinstance(self._hosts, MemoryCluster) and other != node:
                self._hosts.cut(node, other)
        if isinstance(self._hosts, Lab):
            self._hosts.partition(node)

    def _imagined(self, node: str) -> MemoryEngine:
        engine = self.engines[node]
        assert isinstance(engine, MemoryEngine)
        return engine


@pytest.fixture(
    params=[
        pytest.param("memory"),
    ]
)
async def trio(request: pytest.FixtureRequest) -> AsyncIterator[Trio]:
    version: str = request.param
    if version == "memory":
        yield _imagined()
        return
    lab: Lab = request.getfixturevalue("labs")(f"three{version.replace('.', '')}", nodes=3, engine=version)
    engines: dict[str, Engine] = {
        node: connect(NodeName(node), f"unix://{lab.socket(node)}", deadline_s=20) for node in NODES
    }
    hosts = {node: lab.env(node, tcp=True)["DOCKER_HOST"] for node in NODES}
    yield Trio(engines, {node: re.findall(r"//(.+):", host)[0] for node, host in hosts.items()}, lab)
    for engine in engines.values():
        await engine.close()
    await asyncio.to_thread(clean, lab, 3, version, images=False)


def _imagined() -> Trio:
    cluster = MemoryCluster()
    engines: dict[str, Engine] = {}
    for node in NODES:
        engine = MemoryEngine(NodeName(node), lambda: datetime.now(UTC), cluster=cluster)
        engine.has(BUSYBOX)
        engines[node] = engine
    return Trio(engines, {node: f"10.1.0.{number}" for number, node in enumerate(NODES, 1)}, cluster)


def _container(network: str) -> ContainerRequest:
    service = ServiceSpec(name=ServiceName("web"), image=BUSYBOX, command=("sleep", "60"))
    joins = (NetworkJoin(name=network, attachment=Attachment(network=network), aliases=("web",)),)
    labels = container_labels(StackName("conf"), service.name, SlotNumber(1), 1, Digest("h"))
    return ContainerRequest(name="conf-web-1", service=service, labels=labels, networks=joins)


async def eventually(ask: Callable[[], Awaitable[T]], within_s: float = 20.0) -> T:
    """Its first answer that is true."""
    give_up_at = time.monotonic() + within_s
    while not (answer := await ask()):
        assert time.monotonic() < give_up_at, f"not within {within_s:g} s"
        await asyncio.sleep(0.1)
    return answer


async def _refused(call: Awaitable[object], kind: type[EngineError]) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await call
    assert type(caught.value) is kind, caught.value
    assert caught.value.where
    assert caught.value.why
    assert caught.value.fix
    return caught.value


async def test_an_engine_in_no_swarm_says_so(trio: Trio) -> None:
    seen = await trio.n1.swarm()

    assert (seen.state, seen.member, seen.is_manager, seen.cluster_id) == ("inactive", "", False, "")
    assert (await trio.n1.facts()).swarm == seen
    assert (await trio.n1.facts()).live_restore is False
    await trio.n1.leave_swarm()
    await trio.n1.leave_swarm(force=True)
    for call in (trio.n1.members(), trio.n1.swarm_labels(), trio.n1.join_token(as_manager=False)):
        await _refused(call, Refused)


async def test_hosts_join_and_know_each_other(trio: Trio) -> None:
    await trio.form()
    await trio.join("n2")
    first, second = await trio.n1.swarm(), await trio.n2.swarm()

    assert (first.state, first.is_manager, first.address) == ("active", True, trio.addresses["n1"])
    assert (second.state, second.is_manager, second.address) == ("active", False, trio.addresses["n2"])
    assert first.cluster_id
    assert (second.cluster_id, second.error) == ("", "")
    assert first.managers == second.managers == (f"{trio.addresses['n1']}:2377",)
    assert (await trio.n1.facts()).swarm == first
    assert await trio.n1.swarm_labels() == LABELS
    members = await trio.n1.members()
    assert [m.id for m in members] == sorted([first.member, second.member, (await trio.n3.swarm()).member])
    found = next(m for m in members if m.id == first.member)
    assert (found.hostname, found.address, found.is_manager, found.is_leader) == ("n1", first.address, True, True)
    assert all(m.is_ready and m.is_reachable for m in members)
    await _refused(trio.n2.members(), Refused)


async def test_nobody_is_taken_out_of_another_swarm(trio: Trio) -> None:
    await trio.n1.init_swarm(address=trio.addresses["n1"], pool="10.99.0.0/16", labels={})
    await trio.n2.init_swarm(address=trio.addresses["n2"], pool="10.98.0.0/16", labels={})
    before = await trio.n2.swarm()

    error = await _refused(trio.n1.init_swarm(address="", pool="10.97.0.0/16", labels={}), Conflict)
    assert "already part of a swarm" in error.why
    error = await _refused(trio.join("n2"), Conflict)
    assert "another swarm" in error.why
    assert await trio.n2.swarm() == before


async def test_a_token_is_secret_also_when_it_is_wrong(trio: Trio) -> None:
    await trio.n1.init_swarm(address=trio.addresses["n1"], pool="10.99.0.0/16", labels={})
    token = await trio.n1.join_token(as_manager=True)
    other = await trio.n1.join_token(as_manager=False)
    managers = (await trio.n1.swarm()).managers
    wrong = token[:-6] + "000000"

    error = await _refused(trio.n2.join_swarm(managers=managers, token=wrong, address=trio.addresses["n2"]), Refused)
    assert token != other
    assert wrong not in f"{error} {error!r} {error.__cause__!r}"
    assert (await trio.n2.swarm()).state == "inactive"


async def test_a_join_that_finds_no_manager_leaves_nothing_pending(trio: Trio) -> None:
    await trio.n1.init_swarm(address=trio.addresses["n1"], pool="10.99.0.0/16", labels={})
    token = await trio.n1.join_token(as_manager=False)
    nobody = trio.addresses["n1"].rpartition(".")[0] + ".77:2377"

    error = await _refused(
        trio.n2.join_swarm(managers=[nobody], token=token, address=trio.addresses["n2"]), Unreachable
    )
    assert nobody in error.why
    assert (await trio.n2.swarm()).state == "inactive"
    await trio.join("n2")
    assert (await trio.n2.swarm()).state == "active"


async def test_a_network_across_hosts_is_made_once_by_a_manager(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    await trio.network()

    found = await trio.seen("n1")
    assert found is not None
    assert (found.driver, found.subnets, found.pin) == ("overlay", (SUBNET,), "")
    assert await trio.seen("n2") is None  # as long as nothing there uses it
    own = await eventually(lambda: trio.seen("n2", "ingress"))  # a moment after joining
    assert own.subnets == ("10.99.0.0/24",)  # the engine's own part of the pool
    assert await eventually(lambda: trio.seen("n2", "docker_gwbridge"))
    spec = NetworkSpec(key="x", name="x", driver="overlay", attachable=True)
    await _refused(trio.n2.create_network(spec, {}), Refused)


async def test_pins_hold_a_network_and_packets_pass_between_them(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    pins = {node: await trio.engines[node].pin("across") for node in NODES}

    assert len(set(pins.values())) == 3
    assert all(ipaddress.ip_address(pin) in ipaddress.ip_network(SUBNET) for pin in pins.values())
    assert await trio.n2.pin("across") == pins["n2"]
    for node in NODES:
        found = await trio.seen(node)
        assert found is not None
        assert (found.pin, found.node, found.subnets) == (pins[node], node, (SUBNET,))
    for one, other in permutations(NODES, 2):
        await eventually(lambda one=one, other=other: _reaches(trio.engines[one], pins[other]))
    nobody = "10.99.66.200"
    assert await trio.n1.reach("across", [pins["n2"], nobody]) == {pins["n2"]: "", nobody: "nothing came back"}


async def test_pins_are_no_containers_of_a_stack(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    await trio.n2.pin("across")

    assert await trio.n2.containers() == ()
    assert await trio.n2.held_ports(besides=StackName("conf")) == ()


async def test_a_network_is_let_go_and_then_removed(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    await trio.n2.pin("across")

    await _refused(trio.n1.remove_network("across"), Conflict)
    for _ in range(2):
        await trio.n2.unpin("across")
    await _refused(trio.n2.reach("across", ["10.99.64.2"]), NotFound)
    await trio.n1.remove_network("across")
    await trio.n1.remove_network("across")
    assert await trio.seen("n1") is None


async def test_a_network_that_nobody_made_can_not_be_pinned(trio: Trio) -> None:
    await trio.form()

    error = await _refused(trio.n2.pin("nowhere"), NotFound)
    assert "nowhere not found" in error.why


async def test_after_a_reboot_a_network_is_pinned_again(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    first = await trio.n1.pin("across")
    await trio.n3.pin("across")
    await asyncio.to_thread(trio.reboot, "n3")

    found = await trio.seen("n3")
    assert found is None or found.pin == ""
    again = await eventually(lambda: _pinned(trio.n3))
    await eventually(lambda: _reaches(trio.n3, first), within_s=60)
    await eventually(lambda: _reaches(trio.n1, again), within_s=60)


async def _pinned(engine: Engine) -> str:
    try:
        return await engine.pin("across")
    except (Unreachable, NotFound):  # its swarm is not complete yet
        return ""


async def _reaches(engine: Engine, address: str) -> bool:
    return await engine.reach("across", [address]) == {address: ""}


async def test_packets_do_not_pass_to_a_host_that_is_cut_off(trio: Trio) -> None:
    await trio.form()
    await trio.network()
    pins = {node: await trio.engines[node].pin("across") for node in NODES}
    for other in ("n2", "n3"):
        await eventually(lambda other=other: _reaches(trio.n1, pins[other]))
    await asyncio.to_thread(trio.cut_off, "n3")

    told = await trio.n1.reach("across", [pins["n2"], pins["n3"]])
    assert told[pins["n2"]] == ""
    assert told[pins["n3"]] != ""


async def test_roles_change_and_members_are_forgotten(trio: Trio) -> None:
    await trio.form()
    second, third = (await trio.n2.swarm()).member, (await trio.n3.swarm()).member
    for member in (second, third):
        await trio.n1.set_manager(member, is_manager=True)
        await trio.n1.set_manager(member, is_manager=True)
    await trio.until(lambda members: all(m.is_manager and m.is_reachable for m in members))
    await trio.n1.set_manager(second, is_manager=False)
    await trio.until(lambda members: [m.id for m in members if not m.is_manager] == [second])

    await _refused(trio.n3.leave_swarm(), Refused)
    await trio.n2.leave_swarm()
    for member in (second, second, third):  # the third never left
        await trio.n1.remove_member(member)
    assert [m.hostname for m in await trio.n1.members()] == ["n1"]
    await _refused(trio.n1.set_manager(second, is_manager=True), NotFound)
    assert (await trio.n2.swarm()).state == "inactive"


async def test_the_last_manager_can_not_be_made_a_plain_member(trio: Trio) -> None:
    await trio.form()

    error = await _refused(trio.n1.set_manager((await trio.n1.swarm()).member, is_manager=False), Refused)
    assert "last manager" in error.why


async def test_one_that_left_by_force_and_joins_again_is_there_twice(trio: Trio) -> None:
    await trio.form()
    before = (await trio.n3.swarm()).member
    await trio.n3.leave_swarm(force=True)
    await trio.join("n3")

    assert [m.hostname for m in await trio.n1.members()].count("n3") == 2
    await trio.n1.remove_member(before)
    assert [m.hostname for m in await trio.n1.members()].count("n3") == 1


async def test_a_network_comes_with_routes_of_each_host(trio: Trio) -> None:
    routes = await trio.n1.routes()

    assert "172.17.0.0/16" in routes
    assert all(ipaddress.ip_network(route).prefixlen > 0 for route in routes)
    assert list(routes) == sorted(routes)


async def test_a_lost_quorum_is_told_and_rebuilt(trio: Trio) -> None:
    """What runs goes on; nothing that spans hosts can be started, and that is not the container's fault."""
    await trio.form(managers=3)
    await trio.network()
    await trio.n1.pin("across")
    id = await trio.n1.create_container(_container("across"))
    gone = [(await trio.engines[node].swarm()).member for node in ("n2", "n3")]
    await asyncio.gather(*(asyncio.to_thread(trio.off, node) for node in ("n2", "n3")))

    await _no_quorum(trio)
    assert (await trio.n1.swarm()).cluster_id == ""
    await trio.n1.unpin("across")
    pinning = await _refused(trio.n1.pin("across"), Unreachable)
    starting = await _refused(trio.n1.start(id), Unreachable)
    for error in (pinning, starting):
        assert AWAY in error.why
        assert f"{trio.addresses['n2']}:2377" in error.why
        assert "orch cluster repair" in error.fix

    await trio.n1.rebuild_swarm(address=trio.addresses["n1"])
    assert (await trio.n1.swarm()).cluster_id
    assert await trio.n1.swarm_labels() == LABELS
    assert {m.id for m in await trio.n1.members()} >= set(gone)
    for member in gone:
        await trio.n1.remove_member(member)
    assert [m.hostname for m in await trio.n1.members()] == ["n1"]
    await trio.n1.start(id)
    assert await trio.n1.pin("across")


async def _no_quorum(trio: Trio) -> None:
    """The loss takes the engine some seconds to notice."""
    give_up_at = time.monotonic() + 40
    while True:
        try:
            await trio.n1.members()
        except Unreachable:
            return
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.5)
