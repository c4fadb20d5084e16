"""What the rest of orch asks of one Docker host, in the model's words.

Two implementations keep these promises and answer one conformance suite: `DockerEngine` (a real engine) and
`MemoryEngine` (for tests and simulations). Every call ends: by its answer, by an `EngineError`, or by its deadline
(then `Unreachable`). Every mutating call is safe to repeat: what is already so is no error, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from orchestrator.model.cluster import (
    Container,
    EngineFacts,
    HeldVolume,
    Image,
    Member,
    Network,
    Swarm,
    Volume,
    VolumeDetails,
)
from orchestrator.model.names import ContainerId, NodeName, StackName
from orchestrator.model.shared import NetworkSpec, VolumeSpec
from orchestrator.model.spec import Attachment, Build, ServiceSpec


class NetworkJoin(msgspec.Struct, frozen=True, kw_only=True):
    """One network of a new container: the engine's name for it, and all names the container answers to there.

    links: `name:alias`, names that this container alone knows others by.
    """

    name: str
    attachment: Attachment
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class ContainerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A container to be made, with every name of the stack already turned into the engine's.

    service:  the template; its `mounts`, `networks`, `network_mode` and namespace keys are taken from here instead:
    volumes:  key of the stack -> the engine's volume name, for the mounts of type volume that have a source.
    inherits: anonymous volumes of the container that it replaces, mounted at their targets again.
    networks: in the order of joining, highest priority first; engines before API 1.44 are given only the first.
    network_mode, ipc, pid: `service:x` already turned into `container:<id>`.
    links:    `container:alias`, where there are no networks to carry them.
    volumes_from: `<id or name>[:ro]` of the containers whose mounts it gets.
    slot:     decides which port of a published range is taken (the slot-th).
    """

    name: str
    service: ServiceSpec
    labels: Mapping[str, str]
    slot: int = 1
    volumes: Mapping[str, str] = {}
    inherits: tuple[HeldVolume, ...] = ()
    networks: tuple[NetworkJoin, ...] = ()
    network_mode: str = ""
    ipc: str = ""
    pid: str = ""
    links: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()


class UploadedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be put into a container. `path` is absolute; ids are numeric."""

    path: str
    content: bytes
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class EventKind(StrEnum):
    """What an engine tells about a container of a stack. Source: Docker Engine API, `GET /events`."""

    CREATE = "create"
    START = "start"
    DIE = "die"
    STOP = "stop"
    KILL = "kill"
    OOM = "oom"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RENAME = "rename"
    DESTROY = "destroy"
    HEALTH = "health_status"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    OTHER = "other"


class EngineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a container (or network, volume) that carries a stack's label."""

    kind: EventKind
    node: NodeName
    stack: StackName
    id: str
    detail: str = ""
    """`healthy` or `unhealthy` for HEALTH, the exit code for DIE, the network's name for CONNECT."""


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    exit_code: int
    output: str


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that a container wrote. `at` is set when timestamps were asked for."""

    text: str
    stream: str = "stdout"
    at: datetime | None = None


Progress = Callable[[str], None]
"""Takes one short line about a long call: `pulling 3f4a: 12.3 of 40.1 MB`."""


class ExecSession(Protocol):
    """A command that runs in a container with its terminal here (`orch exec`)."""

    async def resize(self, rows: int, columns: int) -> None: ...
    async def run(self, stdin_fd: int, stdout_fd: int, stderr_fd: int) -> int:
        """Copies both ways until the command ends; its exit code."""


class Swarming(Protocol):
    """Networks across hosts: the engine's swarm mode, of which orch uses nothing but the networks.

    A manager without a quorum answers none of the calls that need one: Unreachable.
    """

    async def swarm(self) -> Swarm:
        """Its own view, from its memory: answers also without a quorum."""

    async def init_swarm(self, *, address: str, pool: str, labels: Mapping[str, str]) -> None:
        """Begins one, with these labels; `address` empty: its own choice. In one already: Conflict."""

    async def rebuild_swarm(self, *, address: str) -> None:
        """Goes on as the only manager, members and networks kept, after the quorum was lost (`ForceNewCluster`)."""

    async def join_token(self, *, as_manager: bool) -> str:
        """Of a manager. A secret: kept in memory only."""

    async def join_swarm(self, *, managers: Sequence[str], token: str, address: str) -> None:
        """In that swarm already: no error; in another: Conflict; no manager answers: Unreachable, and not pending."""

    async def leave_swarm(self, *, force: bool = False) -> None:
        """In none: no error. A manager leaves only by `force`."""

    async def swarm_labels(self) -> Mapping[str, str]:
        """Of the swarm that it manages."""

    async def members(self) -> tuple[Member, ...]:
        """Of a manager, by id."""

    async def set_manager(self, member: str, *, is_manager: bool) -> None:
        """Promotes or demotes the member of that id."""

    async def remove_member(self, member: str) -> None:
        """Gone already: no error. It needn't have left before."""

    async def routes(self) -> tuple[str, ...]:
        """Networks that the host has routes to, as CIDR, sorted, without the default route."""

    async def pin(self, network: str, *, deadline_s: float = 10.0) -> str:
        """Holds a network on this node by a small container that runs; its address there. Held already: no error.

        raises Unreachable (temporary): the managers can't be reached, so the node can't attach to the network
        """

    async def unpin(self, network: str) -> None:
        """Not held: no error."""

    async def reach(self, network: str, addresses: Sequence[str], *, timeout_s: float = 2.0) -> Mapping[str, str]:
        """address of another node's pin -> why 16 KB do not come from there to here; empty: they do."""


class Shelves(Protocol):
    """What lies on a host: contents of volumes, images with their sizes, room."""

    def read_volume(self, name: str) -> AsyncGenerator[bytes, None]:
        """Its content as an archive (tar), in pieces; raises NotFound

        Its paths begin with one folder, which is the volume itself: `write_volume` takes what this gives.
        """

    async def write_volume(self, name: str, archive: AsyncIterator[bytes]) -> None:
        """Unpacks the archive into it, owners and modes kept; raises NotFound"""

    async def images(self) -> tuple[Image, ...]:
        """All that have a name, once for each, sorted by name."""

    async def digest(self, ref: str, *, platform: str = "") -> str:
        """`name@sha256:...` that its registry gives for `ref` now; raises NotFound, Refused, Unreachable"""

    async def tag(self, ref: str, name: str) -> None:
        """Gives the image another name."""


class Engine(Swarming, Shelves, Protocol):
    """One Docker host."""

    node: NodeName

    async def ping(self, *, timeout_s: float = 3.0) -> None:
        """Returns when the engine answers; raises Unreachable within the deadline."""

    async def facts(self) -> EngineFacts: ...

    async def containers(self, stack: StackName | None = None) -> tuple[Container, ...]:
        """All containers of the stack (of any stack), stopped ones included, one-off ones left out, with details.

        Those that Docker Compose made count, too: their service and slot come from Compose's labels.
        """

    async def container(self, id: ContainerId) -> Container:
        """raises NotFound, also for a container of no stack"""

    async def held_ports(self, *, besides: StackName) -> tuple[tuple[int, str, str], ...]:
        """(port, protocol, host address) that running containers outside of the stack publish."""

    async def networks(self) -> tuple[Network, ...]: ...
    async def volumes(self) -> tuple[Volume, ...]: ...

    async def volume(self, name: str, *, is_sized: bool = False) -> VolumeDetails:
        """All that the engine says of it; raises NotFound. `is_sized`: its size and holders, too: it may take long"""

    async def image(self, ref: str) -> Image | None:
        """None: not on this host."""

    async def pull(self, ref: str, *, platform: str = "", digest: str = "", progress: Progress | None = None) -> None:
        """raises NotFound (no such image, or no right to it), Refused

        digest: `name@sha256:...`: these very bytes, which are then called `ref`.
        """

    async def build(self, ref: str, build: Build, *, progress: Progress | None = None) -> None:
        """Makes the image from a folder of this machine; raises Refused with the builder's last lines."""

    def save(self, ref: str) -> AsyncIterator[bytes]:
        """The image as a `docker save` archive, in pieces."""

    async def load(self, archive: AsyncIterator[bytes]) -> None: ...

    async def create_network(self, network: NetworkSpec, labels: Mapping[str, str]) -> None:
        """One of that name is there already: no error, nothing changed."""

    async def remove_network(self, name: str) -> None:
        """Gone already: no error. In use: Conflict."""

    async def create_volume(self, volume: VolumeSpec, labels: Mapping[str, str]) -> None: ...
    async def remove_volume(self, name: str) -> None: ...
    async def remove_image(self, ref: str) -> None: ...

    async def create_container(self, request: ContainerRequest) -> ContainerId:
        """Stopped. A container of that name is there already: Conflict. The image is missing: NotFound."""

    async def connect(self, container: ContainerId, join: NetworkJoin) -> None: ...
    async def put_files(self, container: ContainerId, files: Sequence[UploadedFile]) -> None: ...

    async def start(self, container: ContainerId) -> None:
        """Running already: no error. A port is taken, a file is missing: Refused with the engine's reason."""

    async def stop(self, container: ContainerId, *, grace_s: float | None = None) -> None:
        """Returns when it has stopped; its deadline is the grace and some more."""

    async def kill(self, container: ContainerId, *, signal: str = "SIGKILL") -> None: ...

    async def remove(self, container: ContainerId, *, force: bool = False, volumes: bool = False) -> None:
        """Gone already: no error. Running and not `force`: Conflict."""

    async def rename(self, container: ContainerId, name: str) -> None: ...

    async def exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        user: str = "",
        env: Sequence[str] = (),
        workdir: str = "",
        privileged: bool = False,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        """raises NotFound, Conflict (not running), Unreachable (deadline)"""

    async def open_exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        env: Sequence[str] = (),
        user: str = "",
        workdir: str = "",
        privileged: bool = False,
    ) -> ExecSession: ...

    def logs(
        self,
        container: ContainerId,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[LogLine]: ...

    def events(self) -> AsyncGenerator[EngineEvent, None]:
        """From now on, until the connection breaks (Unreachable) or the iterator is closed.

        The first item comes only when something happens; the subscription holds once `__anext__` is first awaited, so
        list after subscribing. A frozen host says nothing for ever: `ping` tells.
        """

    async def close(self) -> None:
        """Ends all calls and streams under way."""
