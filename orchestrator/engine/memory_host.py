"""The host behind a `MemoryEngine`: what is on it, its faults, its clock, and the events it tells.

Everything here is a test's own: knobs to turn, and the rules by which the imagined engine refuses what a real one does.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import tarfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec

from orchestrator.engine.boxes import Behaviour, Box, Happening
from orchestrator.engine.failures import refusal
from orchestrator.engine.images import split_name
from orchestrator.engine.memory_cluster import MemoryCluster, MemorySwarm, Seat
from orchestrator.engine.observe import is_one_off, stack_of
from orchestrator.engine.protocol import ContainerRequest, EngineEvent, EventKind, UploadedFile
from orchestrator.engine.translate import SEVERAL_NETWORKS, host_port
from orchestrator.errors import EngineError, Unreachable
from orchestrator.model.cluster import EngineFacts, Health, HeldPort, HeldVolume, Image, Network, Volume, VolumeDetails
from orchestrator.model.names import ContainerId, NodeName, StackName
from orchestrator.model.spec import MountType

Clock = Callable[[], datetime]
"""Gives the moment, an aware UTC datetime."""

Content = dict[str, tuple[tarfile.TarInfo, bytes]]
"""What is in a volume, by its path in an archive."""
FIRST_FREE_PORT = 49153
IMAGE_BYTES = 4_000_000
ALL = "*"


def default_facts(node: NodeName) -> EngineFacts:
    """A host of 8 cores and 16 GB on Docker Engine 26.1."""
    return EngineFacts(
        engine_id=f"engine-of-{node}",
        hostname=node,
        version="26.1.5",
        api_version=(1, 45),
        os="linux",
        arch="amd64",
        cpus=8,
        memory_bytes=16 * 2**30,
        runtimes=("runc",),
    )


class MemoryHost:
    """The state and the knobs of one imagined Docker host.

    behaviours: by name of the container, of the service, or by image; the first that is there counts.
    registry:   what `pull` finds, by reference. `calls` is the log: (call, what it was about).
    deadline_s: how long a call to a hung engine takes, in real seconds.
    cluster:    the wires to other imagined hosts; None: it is alone.
    """

    def __init__(
        self,
        node: NodeName,
        clock: Clock,
        *,
        facts: EngineFacts | None = None,
        deadline_s: float = 30.0,
        cluster: MemoryCluster | None = None,
    ) -> None:
        self.node, self.clock, self.deadline_s = node, clock, deadline_s
        self.known_facts = facts or default_facts(node)
        self.behaviours: dict[str, Behaviour] = {}
        self.registry: dict[str, Image] = {}
        self.pushed: dict[str, Image] = {}
        """All that the registry ever had, by `name@sha256:...`."""
        self.calls: list[tuple[str, str]] = []
        self.held_images: dict[str, Image] = {}
        self.known_routes: tuple[str, ...] = ()
        """Beside those of its own networks."""
        self._wires = MemoryCluster() if cluster is None else cluster
        self._wires.hosts[node] = self
        self._swarm: MemorySwarm | None = None
        self._seat: Seat | None = None
        self._pins: dict[str, str] = {}
        """Network that spans hosts -> the address of what holds it here."""
        self._boxes: dict[str, Box] = {}
        self._networks: dict[str, Network] = {}
        self._volumes: dict[str, Volume] = {}
        self._contents: dict[str, Content] = {}
        self._described: dict[str, VolumeDetails] = {}
        self._faults: dict[str, list[EngineError]] = {}
        self._hung: set[str] = set()
        self._is_plugged = True
        self._listeners: set[asyncio.Queue[EngineEvent | None]] = set()
        self._ids = itertools.count(1)
        for name in ("bridge", "host", "none"):
            driver, subnets = name.replace("none", "null"), ("172.17.0.0/16",) if name == "bridge" else ()
            self._networks[name] = Network(id=self._id(name), name=name, node=node, driver=driver, subnets=subnets)

    # -- knobs -----------------------------------------------------------------------------------------------------

    def has(self, *refs: str, has_check: bool = False, volumes: tuple[str, ...] = ()) -> None:
        """The images are on this host."""
        for ref in refs:
            self.held_images[ref] = self._image(ref, has_check, volumes)

    def offers(self, *refs: str, has_check: bool = False, volumes: tuple[str, ...] = (), version: str = "") -> None:
        """The registry that this host reaches has the images; another `version` takes the name, the old one stays."""
        for ref in refs:
            image = self._image(ref, has_check, volumes, version)
            digest = hashlib.sha256(image.id.encode()).hexdigest()
            image = msgspec.structs.replace(image, repo_digest=f"{split_name(ref)[0]}@sha256:{digest}")
            self.registry[ref] = self.pushed[image.repo_digest] = image

    def fail(self, call: str, error: EngineError, times: int = 1) -> None:
        """The next `times` calls of that name, or of any name ("*"), raise `error` and do nothing."""
        self._faults.setdefault(call, []).extend([error] * times)

    def hang(self, *calls: str) -> None:
        """Those calls, or all, don't answer any more; event streams stay silent. Ends with `unhang`."""
        self._hung |= set(calls or (ALL,))

    def unhang(self) -> None:
        self._hung.clear()

    def unplug(self) -> None:
        """Cut off: each call fails at once, event streams break. Containers go on."""
        self._is_plugged = False
        for listener in self._listeners:
            listener.put_nowait(None)

    def plug(self) -> None:
        self._is_plugged = True

    @property
    def is_up(self) -> bool:
        """To the other hosts."""
        return self._is_plugged and ALL not in self._hung

    def reboot(self) -> None:
        """All containers die, pins too; those with a restart policy come back."""
        self._pins.clear()
        for box in self._boxes.values():
            if box.is_running:
                self._tell(box, box.die(self.clock(), 255))
        self.tick()

    def die(self, name: str, *, code: int = 1) -> None:
        """The process of the container of that name ends by itself."""
        box = next(box for box in self._boxes.values() if box.name == name)
        self._tell(box, box.die(self.clock(), code))

    def turn(self, name: str, health: Health) -> None:
        """The check of the container of that name gives another result from now on."""
        box = next(box for box in self._boxes.values() if box.name == name)
        box.health = health
        self._tell(box, [(EventKind.HEALTH, health.value)])

    def files(self, name: str) -> Mapping[str, UploadedFile]:
        """What was put into the container of that name, by path."""
        return next(box.files for box in self._boxes.values() if box.name == name)

    def tick(self) -> None:
        """All that is due by the clock happens, and is told. Each call does so by itself."""
        now = self.clock()
        for box in list(self._boxes.values()):
            for happening in box.pass_time(now):
                self._tell(box, [happening])

    # -- rules -----------------------------------------------------------------------------------------------------

    async def _enter(self, call: str, subject: str = "", *, timeout_s: float | None = None) -> None:
        """The beginning of each call: it is noted, and fails, hangs or lets time pass as the test has said."""
        self.calls.append((call, subject))
        await asyncio.sleep(0)
        doing = f"{call} {subject}".strip()
        if not self._is_plugged:
            raise Unreachable(f"can't {doing}", where=self.node, why="no route to host")
        if self._hung & {call, ALL}:
            await self._hang(doing, self.deadline_s if timeout_s is None else timeout_s)
        for name in (call, ALL):
            if self._faults.get(name):
                raise self._faults[name].pop(0)
        self.tick()

    async def _hang(self, doing: str, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)
        raise Unreachable(f"can't {doing}", where=self.node, why=f"no answer within {timeout_s:g} s")

    def _refusal(self, message: str, status: int, doing: str) -> EngineError:
        return refusal(message, status, node=self.node, doing=doing)

    def _box(self, id: ContainerId, verb: str) -> Box:
        if id not in self._boxes:
            raise self._refusal(f"No such container: {id}", 404, f'{verb} container "{id[:12]}"')
        return self._boxes[id]

    def _named(self, name: str) -> Box | None:
        return next((box for box in self._boxes.values() if box.name == name), None)

    def _network(self, name: str) -> Network | None:
        """One of this host alone hides one of the swarm."""
        return self._networks.get(name) or (self._swarm.networks.get(name) if self._swarm else None)

    def _name(self, id: ContainerId) -> str:
        return self._boxes[id].name if id in self._boxes else id

    def _id(self, seed: str) -> str:
        return hashlib.sha256(f"{self.node}/{next(self._ids)}/{seed}".encode()).hexdigest()

    def _image(self, ref: str, has_check: bool = False, volumes: tuple[str, ...] = (), version: str = "") -> Image:
        id = "sha256:" + hashlib.sha256(f"{ref}/{version}".encode()).hexdigest()
        return Image(ref=ref, id=id, node=self.node, size_bytes=IMAGE_BYTES, has_check=has_check, volumes=volumes)

    def _made(self, request: ContainerRequest, image: Image) -> ContainerId:
        names = (request.name, request.service.name, request.service.image)
        behaviour = next((self.behaviours[name] for name in names if name in self.behaviours), Behaviour())
        box = Box(self._id(request.name), request, image, behaviour, self.clock())
        joins = request.networks if self.known_facts.api_version >= SEVERAL_NETWORKS else request.networks[:1]
        box.networks = {join.name for join in joins} or {request.network_mode.partition(":")[0] or "bridge"}
        box.networks.discard("container")
        box.volumes = tuple(sorted(self._held_volumes(request, image), key=lambda held: held.target))
        for held in box.volumes:
            self._volumes.setdefault(held.name, Volume(name=held.name, node=self.node))
        self._boxes[box.id] = box
        self._tell(box, [(EventKind.CREATE, "")])
        return ContainerId(box.id)

    def _held_volumes(self, request: ContainerRequest, image: Image) -> Iterator[HeldVolume]:
        inherited = {held.target: held.name for held in request.inherits}
        mounts = {m.target: m for m in request.service.mounts}
        for mount in mounts.values():
            if mount.type is MountType.VOLUME:
                name = request.volumes[mount.source] if mount.source else inherited.get(mount.target, "")
                yield HeldVolume(name=name or self._id(mount.target), target=mount.target)
        for target in sorted({*inherited, *image.volumes} - set(mounts)):
            yield HeldVolume(name=inherited.get(target) or self._id(target), target=target)

    def _anonymous(self, box: Box) -> set[str]:
        """Those of its volumes that no key of the stack names."""
        return {held.name for held in box.volumes} - set(box.request.volumes.values())

    def _obstacle(self, box: Box) -> str:
        """The engine's words on why it can't start: a network is gone, a port is taken."""
        for name in sorted(box.networks):
            known = self._network(name)
            wanted = box.network_ids.get(name, known.id if known else name)
            if known is None or known.id != wanted:
                return f"network {wanted} not found"
            if self._swarm and name not in self._networks and not self._swarm.governs(self.node):
                return f"Could not attach to network {name}: context deadline exceeded"
        taken = self._taken_ports(besides=box)
        for port in self._wanted_ports(box):
            if any(port.port == p.port and port.protocol == p.protocol and _overlap(port, p) for p in taken):
                address = f"{port.host_ip or '0.0.0.0'}:{port.port}"
                return (
                    f"driver failed programming external connectivity on endpoint {box.name} ({self._id(box.name)}): "
                    f"Bind for {address} failed: port is already allocated"
                )
        return ""

    def _taken_ports(self, *, besides: Box) -> list[HeldPort]:
        others = (box for box in self._boxes.values() if box is not besides and box.is_running)
        return [port for box in others for port in box.ports]

    def _wanted_ports(self, box: Box) -> list[HeldPort]:
        """Those that it names; the others are chosen when it starts."""
        ports = ((host_port(port, box.request), port) for port in box.request.service.ports)
        return [HeldPort(port=int(n), protocol=p.protocol, host_ip=p.host_ip) for n, p in ports if n and int(n)]

    def _opened_ports(self, box: Box) -> Iterator[HeldPort]:
        taken = {port.port for port in self._taken_ports(besides=box)}
        free = (number for number in itertools.count(FIRST_FREE_PORT) if number not in taken)
        for port in box.request.service.ports:
            number = int(host_port(port, box.request) or 0) or next(free)
            yield HeldPort(port=number, protocol=port.protocol, host_ip=port.host_ip, target=port.target)

    def _tell(self, box: Box, happenings: list[Happening]) -> None:
        labels = box.request.labels
        if stack_of(labels) and not is_one_off(labels):
            self._announce([(kind, detail, box.id) for kind, detail in happenings], stack_of(labels))

    def _announce(self, happenings: list[tuple[EventKind, str, str]], stack: StackName) -> None:
        for kind, detail, id in happenings:
            event = EngineEvent(kind=kind, node=self.node, stack=stack, id=id, detail=detail)
            for listener in self._listeners:
                listener.put_nowait(event)


def _overlap(one: HeldPort, other: HeldPort) -> bool:
    return one.host_ip == other.host_ip or not one.host_ip or not other.host_ip
