"""A referee for plans: runs the loop's own game in memory and checks each operation at the moment it happens.

As in the reconciler, the plan is made anew after each change, operations under way are not begun twice, each may take
as long as it likes, and in between checks pass and jobs end. What must never happen is in `rules`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from orchestrator.model.cluster import (
    ClusterState,
    Container,
    ContainerState,
    Failure,
    Network,
    NodeStatus,
)
from orchestrator.model.names import NodeName, ServiceName, SlotNumber
from orchestrator.model.operations import AnyOperation, CreateContainer, CreateNetwork, CreateVolume
from orchestrator.model.plan import Plan, Severity
from orchestrator.model.spec import Intent, Mode, ServiceSpec
from orchestrator.planner import network_hash, plan, service_hash, settle, simulate
from tests.planner.rules import RULES, service_goes_on
from tests.strategies import NOW

MOST_STEPS = 600
HAS_BEGUN = 0.7
"""How often an operation is past the point where the loop would give it up."""


class Game:
    """One stack, one world, and what is under way. `seed` decides what finishes when.

    failing: how often an operation gets no answer, from 0 to 1; it is tried again after its pause.
    """

    def __init__(self, intent: Intent, cluster: ClusterState, seed: int, *, failing: float = 0.0) -> None:
        self.intent, self.cluster, self.now = intent, cluster, NOW
        self._failing = failing
        self._chance = random.Random(seed)
        self.under_way: dict[str, AnyOperation] = {}
        self._due: dict[str, type[AnyOperation]] = {}
        self.log = list(_described(intent, cluster))

    def play(self) -> Plan:
        """To the end: nothing is under way, time brings nothing, and this last plan has no operation."""
        for _ in range(MOST_STEPS):
            decided = plan(self.intent, self._seen(), now=self.now)
            self._check_plan(decided)
            self._begin(decided)
            if self._one_thing_happens():
                continue
            if decided.wake_at is None:
                return decided
            assert decided.wake_at > self.now, "it would wake at once, for ever"
            self.now = decided.wake_at
        raise AssertionError("no end in sight:\n" + "\n".join(self.log[-60:]))

    def play_for(self, steps: int) -> None:
        """As `play`, for so many things that happen at most."""
        for _ in range(steps):
            self._begin(plan(self.intent, self._seen(), now=self.now))
            if not self._one_thing_happens():
                return

    def _begin(self, decided: Plan) -> None:
        self._due = {_thing(operation): type(operation) for operation in decided.operations}
        for operation in decided.operations:
            self.under_way.setdefault(_thing(operation), operation)

    def _seen(self) -> ClusterState:
        makes = CreateContainer | CreateVolume | CreateNetwork
        creating = {o.subject: o.node for o in self.under_way.values() if isinstance(o, makes)}
        return replace(self.cluster, creating=creating)

    def _one_thing_happens(self) -> bool:
        """An operation ends, or a container gets on by itself; False if there is neither."""
        later = settle(self.intent, self.cluster, self.now)
        moved = [(old, new) for old, new in _pairs(self.cluster, later) if old != new]
        ways = len(self.under_way) + len(moved)
        if not ways:
            return False
        pick = self._chance.randrange(ways)
        if pick < len(self.under_way):
            self._end(self.under_way.pop(sorted(self.under_way)[pick]))
        else:
            self._get_on(*moved[pick - len(self.under_way)])
        return True

    def _end(self, operation: AnyOperation) -> None:
        """It had begun already, or else had to wait for its turn and is asked for no more."""
        has_begun = self._chance.random() < HAS_BEGUN
        if has_begun or self._due.get(_thing(operation)) is type(operation):
            self._happen(operation)

    def _get_on(self, old: Container, new: Container | None) -> None:
        self.log.append(f"time: {old.id} {new.state if new else 'gone'} {new.health if new else ''}")
        rest = tuple(c for c in self.cluster.containers if c.id != old.id)
        self.cluster = replace(self.cluster, containers=(*rest, new) if new else rest)

    def _happen(self, operation: AnyOperation) -> None:
        if self._collides(operation):
            self._fail(operation, "its name is taken", temporary=False)
            return
        if self._chance.random() < self._failing:
            self._fail(operation, "the engine did not answer", temporary=True)
            return
        self.log.append(f"{operation.title} ({getattr(operation, 'container', getattr(operation, 'name', ''))})")
        faults = [fault for rule in RULES for fault in rule(self, operation)]
        assert not faults, f"{operation.title}: {faults}\n" + "\n".join(self.log)
        left = {target: failure for target, failure in self.cluster.failures.items() if target != operation.target}
        self.cluster = simulate(self.intent, replace(self.cluster, failures=left), [operation], self.now)

    def _collides(self, operation: AnyOperation) -> bool:
        """The engine refuses a name that another operation has given away in the meantime."""
        name = operation.name if isinstance(operation, CreateContainer) else getattr(operation, "to", "")
        return any((c.node, c.name) == (operation.node, name) for c in self.cluster.containers)

    def _fail(self, operation: AnyOperation, what: str, *, temporary: bool) -> None:
        self.log.append(f"{operation.title} fails: {what}")
        known = self.cluster.failures.get(operation.target)
        failure = Failure(
            target=operation.target,
            node=operation.node,
            what=what,
            temporary=temporary,
            at=self.now,
            count=known.count + 1 if known else 1,
        )
        self.cluster = replace(self.cluster, failures={**self.cluster.failures, operation.target: failure})

    def _check_plan(self, decided: Plan) -> None:
        for operation in decided.operations:
            assert operation.cause, operation.title
            node = next(n for n in self.cluster.nodes if n.name == operation.node)
            assert node.status is NodeStatus.READY, f"{operation.title}: it does not answer"
        assert all(entry.reason for entry in decided.blocked)
        targets = [operation.target for operation in decided.operations]
        assert len(set(targets)) == len(targets)
        self._check_parallelism(decided)
        faults = [fault for operation in decided.operations for fault in service_goes_on(self, operation)]
        assert not faults, "\n".join([*faults, *self.log])

    def _check_parallelism(self, decided: Plan) -> None:
        """Of the slots whose old container runs, no more than `parallelism` are in the hands of an update."""
        for name, service in self.intent.stack.services.items():
            limit = service.update.parallelism
            if not limit or service.mode is Mode.GLOBAL:
                continue
            new = [o for o in decided.operations if isinstance(o, CreateContainer) and _thing(o) not in self.under_way]
            begun = {o.slot for o in new if o.service == name}
            running = {slot for slot in begun if any(c.is_running for c in self.inside(name, slot))}
            under_way = {s for s in range(1, service.replicas + 1) if self._is_in_update(name, SlotNumber(s))}
            at_once = f"{name}: {running} and {under_way} at once, not {limit}"
            assert not running or len(running | under_way) <= limit, at_once + "\n" + "\n".join(self.log)

    def _is_in_update(self, service: ServiceName, slot: SlotNumber) -> bool:
        inside = [c for c in self.inside(service, slot) if c.state is not ContainerState.REMOVING]
        return any(self.is_current(c) for c in inside) and any(self.is_outdated(c) for c in inside)

    # -- what the rules ask ----------------------------------------------------------------------------------------

    def inside(self, service: ServiceName, slot: SlotNumber) -> list[Container]:
        """Containers of the slot on nodes that answer."""
        return [c for c in self.cluster.containers if (c.service, c.slot) == (service, slot) and self.answers(c.node)]

    def answers(self, node: NodeName) -> bool:
        return any(n.name == node and n.status is NodeStatus.READY for n in self.cluster.nodes)

    def is_current(self, c: Container) -> bool:
        return not self.is_outdated(c)

    def is_outdated(self, c: Container) -> bool:
        service = self.intent.stack.services[c.service]
        images = {i.id for i in self.cluster.images if (i.node, i.ref) == (c.node, service.image)}
        stale = bool(images) and c.image_id not in images
        networks = {n.name: n for n in self.cluster.networks if n.node == c.node}
        cut_off = any(
            name not in networks or networks[name].id != id or self.is_stale(networks[name])
            for name, id in c.network_ids.items()
            if not (c.has_succeeded and service.restart.condition in ("no", "on-failure"))
        )
        recreate = c.id in self.intent.recreate
        return c.config != service_hash(self.intent.stack, service) or recreate or stale or cut_off

    def is_stale(self, network: Network) -> bool:
        return network.config != network_hash(self.intent.stack.networks[network.key])

    def container(self, operation: AnyOperation) -> Container | None:
        id = getattr(operation, "container", "")
        return next((c for c in self.cluster.containers if c.id == id), None)

    def wanted(self, service: ServiceSpec) -> list[tuple[SlotNumber, NodeName | None]]:
        if service.mode is Mode.REPLICATED:
            return [(SlotNumber(n), None) for n in range(1, service.replicas + 1)]
        return []


def _described(intent: Intent, cluster: ClusterState) -> Iterator[str]:
    for s in intent.stack.services.values():
        needs = {name: how.condition.value for name, how in s.depends_on.items()}
        yield f"service {s.name} x{s.replicas} {s.mode} {s.update.order} {s.restart.condition} {s.network_mode} {needs}"
    for node in cluster.nodes:
        yield f"node {node.name} {node.status} {node.availability}"
    for c in cluster.containers:
        known = intent.stack.services.get(c.service)
        age = "today's" if known and c.config == service_hash(intent.stack, known) else "outdated"
        yield f"container {c.id} on {c.node}: {c.name} {c.state} {c.health} {age} code={c.exit_code}"
    wanted = {network.key: network_hash(network) for network in intent.stack.networks.values()}
    networks = [f"{n.node}/{n.name}" for n in cluster.networks if n.config != wanted[n.key]]
    yield f"removed={intent.removed} stopped={list(intent.stopped)} outdated networks={networks} homes={cluster.homes}"


def _thing(operation: AnyOperation) -> str:
    """Of two operations on one thing the loop has only one under way: on one container, for one slot."""
    is_making = isinstance(operation, CreateContainer | CreateVolume)
    return operation.subject if is_making else operation.target


def _pairs(before: ClusterState, after: ClusterState) -> Iterator[tuple[Container, Container | None]]:
    later = {c.id: c for c in after.containers}
    return ((c, later.get(c.id)) for c in before.containers)


def is_at_rest(decided: Plan) -> bool:
    """Converged, or what is left waits only for a person or for a silent node."""
    lost = {e.subject for e in decided.blocked if e.severity is Severity.FAILED or "does not answer" in e.reason}
    while more := {b.subject for b in decided.blocked if b.subject not in lost and lost.intersection(b.causes)}:
        lost |= more
    return all(entry.subject in lost for entry in decided.blocked)
