"""What is: nodes, containers, networks, volumes and images as the engines report them. Frozen, rebuilt at each start.

Moments are the engine's own clock, corrected by its measured offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from orchestrator.model.names import ContainerId, Digest, NodeName, ServiceName, SlotNumber, StackName


class _Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value; a change is `msgspec.structs.replace`."""


class Availability(StrEnum):
    """What a person allows of a node. Source: Docker Swarm."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class NodeStatus(StrEnum):
    """What the node itself shows: it answers, it has just stopped answering, it is taken for gone."""

    READY = "ready"
    SUSPECT = "suspect"
    DOWN = "down"


class Swarm(_Data, frozen=True, kw_only=True):
    """What an engine says of its own swarm mode. Source: Docker Engine API, `Info.Swarm`.

    state:      inactive, pending, active, error or locked
    member:     its id among the members, empty when it is in no swarm
    address:    where the other members reach it
    cluster_id: only a manager that has a quorum tells it
    managers:   `address:port` of all managers that it knows
    """

    state: str = "inactive"
    member: str = ""
    address: str = ""
    is_manager: bool = False
    cluster_id: str = ""
    error: str = ""
    managers: tuple[str, ...] = ()


class Member(_Data, frozen=True, kw_only=True):
    """A node of the swarm, as a manager lists it. Source: Docker Engine API, `GET /nodes`."""

    id: str
    hostname: str = ""
    address: str = ""
    is_manager: bool = False
    is_leader: bool = False
    is_ready: bool = True
    is_reachable: bool = True
    """Of a manager: the other managers hear it."""


class EngineFacts(_Data, frozen=True, kw_only=True):
    """What an engine says of itself and its host."""

    engine_id: str
    hostname: str
    version: str
    api_version: tuple[int, int]
    os: str
    arch: str
    cpus: int
    memory_bytes: int
    labels: Mapping[str, str] = {}
    runtimes: tuple[str, ...] = ()
    generic: Mapping[str, tuple[str, ...]] = {}
    """What is counted (`gpu`): kind -> ids, or as many running numbers. Source: dockerd, `node-generic-resources`."""
    device_ids: tuple[str, ...] = ()
    """Devices by CDI name, where the engine lists them (API 1.50)."""
    live_restore: bool = False
    swarm: Swarm = Swarm()
    routes: tuple[str, ...] = ()
    """Networks that its host reaches, as CIDR; known once something was asked that needs them."""
    clock_offset_s: float = 0.0
    """The engine's clock minus ours."""


class Node(_Data, frozen=True, kw_only=True):
    """One Docker host. `facts` is None until it has answered once."""

    name: NodeName
    endpoint: str
    address: str = ""
    """Where the other nodes reach it, if its endpoint does not tell."""
    availability: Availability = Availability.ACTIVE
    status: NodeStatus = NodeStatus.READY
    labels: Mapping[str, str] = {}
    facts: EngineFacts | None = None
    silent_since: datetime | None = None
    trouble: str = ""
    """Why it does not answer, in the engine client's words."""


class ContainerState(StrEnum):
    """Source: Docker Engine API, `State.Status`."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    """Source: Docker Engine API, `State.Health.Status`; NONE where there is no check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HeldVolume(_Data, frozen=True, kw_only=True):
    """A volume that a container holds, named or anonymous."""

    name: str
    target: str


class HeldPort(_Data, frozen=True, kw_only=True):
    """A port of the host that a running container holds."""

    port: int
    protocol: str = "tcp"
    host_ip: str = ""
    target: int = 0
    """The port in the container; 0 where it does not matter."""


class Container(_Data, frozen=True, kw_only=True):
    """One incarnation on one node. `service` and `slot` are from its labels: ours, or else Compose's."""

    id: ContainerId
    name: str
    node: NodeName
    stack: StackName
    service: ServiceName
    slot: SlotNumber
    state: ContainerState
    revision: int = 0
    config: Digest = Digest("")
    """The hash label; empty for a container that Docker Compose made."""
    image: str = ""
    image_id: str = ""
    health: Health = Health.NONE
    check: tuple[str, ...] = ()
    """The command of its health check, the file's or the image's, in the engine's form: `("CMD-SHELL", line)`."""
    health_log: str = ""
    """The last check's output, shortened."""
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    restart_count: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    started_mark: str = ""
    """`State.StartedAt` to the letter: what makes an incarnation."""
    networks: frozenset[str] = frozenset()
    """Names of the networks it is attached to."""
    network_ids: Mapping[str, str] = {}
    """Name -> id of each network that it has been on: the engine starts it on these very ones, or not at all."""
    volumes: tuple[HeldVolume, ...] = ()
    ports: tuple[HeldPort, ...] = ()
    replaces: str = ""
    borrows: frozenset[str] = frozenset()
    """Ids of containers whose network, IPC or PID namespace or whose mounts it uses."""
    address: str = ""

    @property
    def is_running(self) -> bool:
        return self.state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)

    @property
    def is_ready(self) -> bool:
        """It runs, and its check, if it has one, has passed."""
        return self.state is ContainerState.RUNNING and self.health in (Health.NONE, Health.HEALTHY)

    @property
    def has_ended(self) -> bool:
        return self.state in (ContainerState.EXITED, ContainerState.DEAD)

    @property
    def has_succeeded(self) -> bool:
        return self.state is ContainerState.EXITED and self.exit_code == 0 and not self.error


OVERLAY = "overlay"
"""The driver of networks that span hosts."""


class Network(_Data, frozen=True, kw_only=True):
    """A network on one node. `stack` is empty for one that no stack made."""

    id: str
    name: str
    node: NodeName
    stack: StackName = StackName("")
    key: str = ""
    config: Digest = Digest("")
    driver: str = ""
    subnets: tuple[str, ...] = ()
    """As CIDR."""
    pin: str = ""
    """The address of the container that holds it on this node; empty where there is none that runs."""

    @property
    def spans(self) -> bool:
        """It is the same network on several hosts."""
        return self.driver == OVERLAY


class Volume(_Data, frozen=True, kw_only=True):
    """A volume on one node. `stack` is empty for one that no stack made."""

    name: str
    node: NodeName
    stack: StackName = StackName("")
    key: str = ""
    config: Digest = Digest("")
    driver: str = "local"


class Move(_Data, frozen=True, kw_only=True):
    """The data of a local volume is to go from one node to another.

    While its home is `source`, nothing of it counts at `target`; once that is its home, what is at `source` is a copy
    that may go.
    """

    source: NodeName
    target: NodeName


class VolumeDetails(_Data, frozen=True, kw_only=True):
    """All that an engine says of one volume. None: it does not tell."""

    name: str
    driver: str = "local"
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    mountpoint: str = ""
    created_at: datetime | None = None
    size_bytes: int | None = None
    references: int | None = None
    """Containers that hold it, those of no stack included."""


class Image(_Data, frozen=True, kw_only=True):
    """An image on one node, by the reference that a service uses."""

    ref: str
    id: str
    node: NodeName
    repo_digest: str = ""
    """`name@sha256:...` as its registry knows it; empty where it never came from one."""
    size_bytes: int = 0
    has_check: bool = False
    """It brings a HEALTHCHECK of its own."""
    volumes: tuple[str, ...] = ()
    """Targets that it declares as volumes."""
    fetched_at: datetime | None = None
    """When it last got a name on its node. None: the engine doesn't know, as of an image that was loaded."""


POST_START = "/post_start"
"""Ends the target of a failed hook: the container itself may be worked on."""


class Failure(_Data, frozen=True, kw_only=True):
    """An operation that did not work, so that it is neither forgotten nor tried without a pause.

    target: `Operation.target` of what failed; with POST_START where the container runs and only its hook failed.
    """

    target: str
    node: NodeName
    what: str
    why: str = ""
    fix: str = ""
    temporary: bool = False
    at: datetime
    count: int = 1


class Fabric(_Data, frozen=True, kw_only=True):
    """The swarm that carries the networks across hosts, as far as it is known.

    cluster_id: of the swarm that orch made; empty while there is none
    expected:   node -> its id in that swarm, as remembered
    members:    as its managers list them; None: no manager answers, or there is no quorum
    proved:     `node/network id` whose packets have been seen to pass to all other nodes on it
    pool:       where subnets are taken from, as CIDR
    """

    cluster_id: str = ""
    expected: Mapping[NodeName, str] = {}
    members: tuple[Member, ...] | None = None
    proved: frozenset[str] = frozenset()
    pool: str = "10.99.0.0/16"


class ClusterState(_Data, frozen=True, kw_only=True):
    """The snapshot that one pass plans from.

    homes:    engine name of a local volume -> the node that has its data, also while that node can't be asked.
    moves:    engine name of a local volume -> where its data is to go, or has just gone.
    failures: by `Operation.target`.
    builds:   image references built in this run, so that `build` is not asked for twice.
    others:   ports that containers outside this stack hold, per node.
    creating: `Operation.subject` (`web.2`, `volume shop_data`, `network shop_front`) of what is being made right now
              -> its node, so that no second one is made elsewhere in the meantime.
    """

    nodes: tuple[Node, ...] = ()
    containers: tuple[Container, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    images: tuple[Image, ...] = ()
    homes: Mapping[str, NodeName] = {}
    moves: Mapping[str, Move] = {}
    failures: Mapping[str, Failure] = {}
    fresh_images: frozenset[str] = frozenset()
    """`node/ref` of images that were pulled or built since the intent was put (for `always` and `build`)."""
    creating: Mapping[str, NodeName] = {}
    held_ports: Mapping[NodeName, tuple[HeldPort, ...]] = {}
    """Ports that running containers outside of the stack hold, per node."""
    fabric: Fabric = Fabric()
    restarts: Mapping[str, int] = {}
    """Container id -> how often the loop started it again in a row, in the engine's place."""
