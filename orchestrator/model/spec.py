"""What people want: a stack as decoded from its files. Frozen, plain, complete; no rule of behaviour lives here.

Every default that orch acts on is filled in by `spec.load`; None means "the engine's or the
image's own". Spans are seconds, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

from orchestrator.model.names import ServiceName, StackName
from orchestrator.model.options import Data as _Data
from orchestrator.model.options import HostOptions
from orchestrator.model.shared import FileSpec, NetworkSpec, VolumeSpec

Place = NewType("Place", str)
"""Where something stands in a file: `stack.yml:14:9`."""


class Condition(StrEnum):
    """What must hold of a dependency before a dependent starts. Source: Compose Specification, `depends_on`."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


class Dependency(_Data, frozen=True, kw_only=True):
    """One edge of `depends_on`."""

    condition: Condition = Condition.STARTED
    restart: bool = False
    required: bool = True


class PortMode(StrEnum):
    INGRESS = "ingress"
    HOST = "host"


class Port(_Data, frozen=True, kw_only=True):
    """One published port. `published` is "" (the engine chooses), "8080" or a range "8000-8010"."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"
    mode: PortMode = PortMode.INGRESS
    app_protocol: str = ""
    name: str = ""


class MountType(StrEnum):
    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"
    IMAGE = "image"


class Mount(_Data, frozen=True, kw_only=True):
    """One entry of `volumes` or `tmpfs`. A volume's `source` is its key in the stack, or "" for an anonymous one.

    recursive: what becomes of mounts below a bind: `disabled`, `writable`, `readonly`, or "" as the engine does it.
    options:   of a `tmpfs`, as written, where they are more than a size, a mode and `ro`.
    labels:    of an anonymous volume.
    """

    type: MountType
    target: str
    source: str = ""
    read_only: bool = False
    nocopy: bool = False
    subpath: str = ""
    propagation: str = ""
    selinux: str = ""
    create_host_path: bool = True
    size_bytes: int = 0
    mode: int | None = None
    recursive: str = ""
    options: str = ""
    labels: Mapping[str, str] = {}


class Attachment(_Data, frozen=True, kw_only=True):
    """A service on one network. `network` is the key in the stack. Names beside the service's own are `aliases`."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    gw_priority: int = 0
    interface_name: str = ""
    driver_opts: Mapping[str, str] = {}


class Healthcheck(_Data, frozen=True, kw_only=True):
    """A check. `test` is `("NONE",)`, `("CMD", ...)`, `("CMD-SHELL", line)`, or empty: the image's own."""

    test: tuple[str, ...] = ()
    interval_s: float | None = None
    timeout_s: float | None = None
    retries: int | None = None
    start_period_s: float | None = None
    start_interval_s: float | None = None


class RestartCondition(StrEnum):
    """The engine's own policies. Source: Docker Engine API, `HostConfig.RestartPolicy`."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


class RestartPolicy(_Data, frozen=True, kw_only=True):
    condition: RestartCondition = RestartCondition.NO
    max_attempts: int = 0


class Mode(StrEnum):
    """How many slots a service has: `replicas` of them, or one on each node."""

    REPLICATED = "replicated"
    GLOBAL = "global"


class Order(StrEnum):
    """Which incarnation goes first in an update. AUTO: start-first where both may live side by side."""

    AUTO = "auto"
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class Update(_Data, frozen=True, kw_only=True):
    """`deploy.update_config`. `parallelism` 0 is all slots at once."""

    parallelism: int = 1
    order: Order = Order.AUTO


class Constraint(_Data, frozen=True, kw_only=True):
    """`node.labels.disk == ssd`: a node may only be taken if its `key` is (not) `value`. Source: Docker Swarm."""

    key: str
    value: str
    is_equal: bool = True

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.is_equal else '!='}{self.value}"


class Strategy(StrEnum):
    """Which of the nodes that can take a slot gets it: the emptiest, or the fullest that still can."""

    SPREAD = "spread"
    BINPACK = "binpack"


class PlacementRules(_Data, frozen=True, kw_only=True):
    """`deploy.placement`, and `x-orch.placement.strategy`.

    spread: keys (`node.labels.zone`) over whose values the slots are spread evenly, the most important first.
    max_replicas_per_node: 0 is any number.
    """

    constraints: tuple[Constraint, ...] = ()
    spread: tuple[str, ...] = ()
    max_replicas_per_node: int = 0
    strategy: Strategy = Strategy.SPREAD


class Resources(_Data, frozen=True, kw_only=True):
    """Limits and reservations. Limits go to the engine, reservations to the planner (memory also to the engine)."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0
    reserved_nano_cpus: int = 0
    reserved_memory_bytes: int = 0


class FileGrant(_Data, frozen=True, kw_only=True):
    """A secret or config as a file in the container. `source` is its key in the stack; ids are as written."""

    source: str
    target: str
    uid: str = "0"
    gid: str = "0"
    mode: int = 0o444


class PullPolicy(StrEnum):
    """Source: Compose Specification, `pull_policy`; `if_not_present` is another name of `missing`."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"
    BUILD = "build"
    REFRESH = "refresh"
    """Again when the image here is older than `refresh_after_s`: `daily`, `weekly`, `every_12h`."""


class Build(_Data, frozen=True, kw_only=True):
    """How an image is made from a folder. `context` is an absolute path."""

    context: str
    dockerfile: str = ""
    dockerfile_inline: str = ""
    args: Mapping[str, str | None] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    network: str = ""
    cache_from: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    shm_size_bytes: int = 0
    platform: str = ""


class Link(_Data, frozen=True, kw_only=True):
    """Another name, `alias`, for a service, or for a container outside of the stack, that this service alone knows."""

    target: str
    alias: str
    is_external: bool = False


class VolumesFrom(_Data, frozen=True, kw_only=True):
    """All mounts of another container: of service `service`, or of the one that is called `container`."""

    service: str = ""
    container: str = ""
    read_only: bool = False


class Hook(_Data, frozen=True, kw_only=True):
    """A command that is run in the container."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Mapping[str, str | None] = {}


class ServiceSpec(_Data, frozen=True, kw_only=True):
    """One template of containers."""

    name: ServiceName
    image: str
    """Always set: the reference as written, or `<stack>-<service>` for one that is only built."""
    build: Build | None = None
    pull_policy: PullPolicy = PullPolicy.MISSING
    refresh_after_s: float | None = None
    """With REFRESH: the age at which the image is pulled again."""
    platform: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = {}
    """env_file already in it. None: named without a value and unset, so the engine removes it."""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    container_name: str = ""
    tty: bool = False
    stdin_open: bool = False
    stop_signal: str = ""
    stop_grace_period_s: float | None = None
    """None: the engine's 10 s."""
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[Attachment, ...] = ()
    """Empty when `network_mode` is set."""
    network_mode: str = ""
    mac_address: str = ""
    """Where there is no attachment to carry it (`network_mode: bridge`)."""
    links: tuple[Link, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    depends_on: Mapping[ServiceName, Dependency] = {}
    healthcheck: Healthcheck | None = None
    restart: RestartPolicy = RestartPolicy()
    secrets: tuple[FileGrant, ...] = ()
    configs: tuple[FileGrant, ...] = ()
    mode: Mode = Mode.REPLICATED
    replicas: int = 1
    update: Update = Update()
    resources: Resources = Resources()
    placement: PlacementRules = PlacementRules()
    many_writers: bool = False
    """`x-orch.many_writers`: two of its containers may have a volume of it open at once."""
    host: HostOptions = HostOptions()
    attach: bool = True
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    use_api_socket: bool = False
    """The host's engine and our registry credentials are put within its reach."""

    @property
    def images(self) -> tuple[str, ...]:
        """Every image that its containers need: its own, then those that they mount."""
        return (self.image, *(mount.source for mount in self.mounts if mount.type is MountType.IMAGE))


class StackSpec(_Data, frozen=True, kw_only=True):
    """One project. `places`: where a path of it stands: `services/web/ports/0` -> `stack.yml:9:9`."""

    name: StackName
    services: Mapping[ServiceName, ServiceSpec] = {}
    networks: Mapping[str, NetworkSpec] = {}
    volumes: Mapping[str, VolumeSpec] = {}
    secrets: Mapping[str, FileSpec] = {}
    configs: Mapping[str, FileSpec] = {}
    working_dir: str = ""
    files: tuple[str, ...] = ()
    places: Mapping[str, Place] = {}

    def place(self, *path: str | int) -> str:
        """Where `path` stands in the files, or its nearest parent, or the stack's name."""
        parts = [str(part) for part in path]
        while parts:
            if found := self.places.get("/".join(parts)):
                return found
            parts.pop()
        return self.name


class Incarnation(_Data, frozen=True, kw_only=True, order=True):
    """One run of one container: the same container started again is another incarnation."""

    container: str
    started_at: str
    """As the engine wrote it; never compared with a clock of ours."""


class Intent(_Data, frozen=True, kw_only=True):
    """What a person asked of one stack: its spec, and what no file can say. Each revision is an entry of the store.

    stopped:   services that `orch stop` put to rest; their containers stay, stopped.
    again:     runs that shall not stand: `orch restart`, or `orch up` after a failure, named by incarnation so that
               a crash between two of them neither forgets nor doubles one.
    recreate:  containers to replace whatever their configuration (`--force-recreate`), by id.
    removed:   `orch down`: everything goes, in reverse order; volumes only if `remove_volumes`.
    """

    stack: StackSpec
    revision: int = 0
    stopped: frozenset[ServiceName] = frozenset()
    again: frozenset[Incarnation] = frozenset()
    recreate: frozenset[str] = frozenset()
    remove_orphans: bool = False
    removed: bool = False
    remove_volumes: bool = False
    spanning: bool = False
    """Networks without a driver of their own span hosts, where their services may be on more than one."""
    stop_timeout_s: float | None = None
    """Overrides every service's grace (`-t`)."""
