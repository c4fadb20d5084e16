"""What people can ask of orch: declare, look, steer. The command line and (later) the HTTP API both call this.

Each asking verb reads the stack's stored intent, changes it, and puts it back naming what it replaces; `converge` then
runs the loop until the world agrees. In one process this is all there is; a server would run the same object.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from orchestrator.engine.protocol import Engine, LogLine
from orchestrator.model.cluster import Container, Node
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber, StackName
from orchestrator.model.plan import Blocked, Preview
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.reconciler.events import Emit


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a `converge` ended. `timed_out` and `superseded_by` (somebody put another revision) exclude `converged`."""

    converged: bool
    revision: int
    took_s: float
    blocked: tuple[Blocked, ...] = ()
    timed_out: bool = False
    superseded_by: int = 0


class UpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`orch up`. services: empty is all; else those and, unless `no_deps`, what they depend on."""

    stack: StackSpec
    contents: Mapping[Digest, bytes] = {}
    services: tuple[ServiceName, ...] = ()
    scale: Mapping[ServiceName, int] = {}
    force_recreate: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    build: bool = False
    pull: str = ""
    """Overrides every service's pull_policy: always | missing | never."""


class StackSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `orch ls`."""

    name: StackName
    revision: int
    services: int
    running: int
    wanted: int
    nodes: tuple[NodeName, ...] = ()
    files: tuple[str, ...] = ()
    state: str = ""
    """`running(3)`, `running(2), exited(1)` ..., as `docker compose ls` says it; also for stacks Compose made."""


class TaggedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A log line and the container that wrote it."""

    container: Container
    line: LogLine


class Control:
    """The verbs. Open it with `open_control`."""

    async def stack_names(self) -> tuple[StackName, ...]:
        """Stacks that are declared in the store, sorted."""
        raise NotImplementedError

    async def intent(self, stack: StackName) -> Intent:
        """raises NoSuchThing, naming the stacks that exist"""
        raise NotImplementedError

    async def preview_up(self, request: UpRequest) -> Preview:
        """What `up` would do, without a single mutating call."""
        raise NotImplementedError

    async def up(self, request: UpRequest) -> Intent:
        """Declares; raises RevisionConflict when somebody else declared the same stack meanwhile."""
        raise NotImplementedError

    async def down(
        self, stack: StackName, *, volumes: bool = False, timeout_s: float | None = None, remove_orphans: bool = False
    ) -> Intent:
        """Works for a stack that only runs (one that Docker Compose started), too."""
        raise NotImplementedError

    async def doomed_volumes(self, stack: StackName) -> tuple[tuple[NodeName, str], ...]:
        """(node, engine name) of the volumes that `down --volumes` would destroy, external ones left out."""
        raise NotImplementedError

    async def scale(self, stack: StackName, replicas: Mapping[ServiceName, int], *, no_deps: bool = False) -> Intent:
        raise NotImplementedError

    async def start(self, stack: StackName, services: Sequence[ServiceName] = ()) -> Intent:
        raise NotImplementedError

    async def stop(
        self, stack: StackName, services: Sequence[ServiceName] = (), *, timeout_s: float | None = None
    ) -> Intent:
        raise NotImplementedError

    async def restart(
        self,
        stack: StackName,
        services: Sequence[ServiceName] = (),
        *,
        timeout_s: float | None = None,
        no_deps: bool = False,
    ) -> Intent:
        raise NotImplementedError

    async def remove_stopped(
        self, stack: StackName, services: Sequence[ServiceName] = (), *, stop: bool = False, volumes: bool = False
    ) -> tuple[Container, ...]:
        """`orch rm`: removes stopped containers of services at rest (`stop` first puts them to rest); what was removed.

        Their slots stay at rest until the next `up`, `start` or `scale`.
        """
        raise NotImplementedError

    async def removable(self, stack: StackName, services: Sequence[ServiceName] = ()) -> tuple[Container, ...]:
        """The stopped containers that `remove_stopped` would take, for the confirmation."""
        raise NotImplementedError

    async def remove_images(self, stack: StackSpec, *, local_only: bool, emit: Emit) -> None:
        """`down --rmi local|all`: images of the stack's services; `local_only` those without a tag of their own."""
        raise NotImplementedError

    async def converge(
        self, stack: StackName, emit: Emit, *, wait_timeout_s: float | None = None, detach: bool = False
    ) -> Outcome:
        """Runs the loop until the stack is what was asked for, or can't become it without a person.

        detach: do not wait for health checks of services that nothing depends on.
        Cancelling leaves a consistent world: operations under way end or are given up, the next `converge` goes on.
        """
        raise NotImplementedError

    async def containers(self, stack: StackName | None = None) -> tuple[Container, ...]:
        """Of all nodes that answer, sorted by stack, service and slot."""
        raise NotImplementedError

    async def stacks(self) -> tuple[StackSummary, ...]:
        raise NotImplementedError

    async def locate(self, stack: StackName, service: ServiceName, slot: SlotNumber | None) -> tuple[Engine, Container]:
        """The running container of the slot (None: the lowest); raises NoSuchThing with the slots that run."""
        raise NotImplementedError

    def logs(
        self,
        stack: StackName,
        services: Sequence[ServiceName] = (),
        *,
        follow: bool = False,
        tail: int | None = None,
        since: str = "",
        until: str = "",
        timestamps: bool = False,
    ) -> AsyncIterator[TaggedLine]:
        """Merged by time; with `follow`, containers that come later are joined, those that end are left.

        since, until: as `docker logs` takes them: RFC 3339, Unix seconds, or a span such as `10m`.
        """
        raise NotImplementedError

    async def build(self, stack: StackSpec, services: Sequence[ServiceName], emit: Emit, *, no_cache: bool) -> None:
        """Builds the images of the services that have a `build`, on the node that would run them first."""
        raise NotImplementedError

    async def pull(self, stack: StackSpec, services: Sequence[ServiceName], emit: Emit) -> None:
        """Pulls on all active nodes; services that are built are left out."""
        raise NotImplementedError

    async def nodes(self) -> tuple[Node, ...]:
        """As registered, with facts and status; those that don't answer within 3 s are `down` with `trouble`."""
        raise NotImplementedError

    async def add_node(self, name: NodeName, endpoint: str, labels: Mapping[str, str]) -> Node:
        """Asks the engine first: unreachable, the same engine under another name, an API that is too old: refused."""
        raise NotImplementedError

    async def remove_node(self, name: NodeName, *, force: bool = False) -> None:
        """Refused while containers or homes of volumes are on it, unless `force`."""
        raise NotImplementedError


@asynccontextmanager
async def open_control(env: Mapping[str, str]) -> AsyncIterator[Control]:
    """The service in this process, on the store of `$ORCH_HOME` (default `~/.local/state/orch`).

    Nodes are those of the registry; when it is empty, the one engine that `docker` itself would use, as node "local".
    """
    raise NotImplementedError
    yield Control()
