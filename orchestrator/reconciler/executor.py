"""Executor: one operation becomes calls to its node, a few at a time per node; a failure stays with its target.

It decides nothing: what to do is the planner's, what became of it is the observer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from orchestrator.engine.protocol import Engine, UploadedFile
from orchestrator.engine.volumes import SOCKET_CONFIG
from orchestrator.errors import (
    BadValue,
    Conflict,
    EngineError,
    HookFailed,
    NotFound,
    OrchError,
    Refused,
    StoreError,
    Unreachable,
)
from orchestrator.model.cluster import POST_START, Failure, Move
from orchestrator.model.names import ContainerId, Digest, NodeName
from orchestrator.model.operations import (
    AnyOperation,
    BuildImage,
    ConnectNetwork,
    CopyImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    InitFabric,
    JoinFabric,
    LeaveFabric,
    MoveVolume,
    PinNetwork,
    PromoteMember,
    PullImage,
    RemoveContainer,
    RemoveCopy,
    RemoveMember,
    RemoveNetwork,
    RemoveVolume,
    RenameContainer,
    StartContainer,
    StopContainer,
    UnpinNetwork,
)
from orchestrator.model.shared import FileSpec
from orchestrator.model.spec import FileGrant, Intent, ServiceSpec
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.events import (
    Emit,
    Event,
    Noticed,
    OperationDone,
    OperationFailed,
    OperationProgressed,
    OperationStarted,
)
from orchestrator.reconciler.fabric import Weaver
from orchestrator.reconciler.hooks import run_hooks
from orchestrator.reconciler.moving import Mover
from orchestrator.reconciler.observe import Observer
from orchestrator.reconciler.requests import across, container_request, network_join, network_labels, volume_labels
from orchestrator.reconciler.tasks import together

Contents = Callable[[Digest], Awaitable[bytes]]
"""Gives the content of a secret or config."""

Homes = Callable[[str, NodeName | None], Awaitable[None]]
"""Remembers where a volume's data is; None: the volume is gone."""

AnyFabricOperation = InitFabric | JoinFabric | PromoteMember | RemoveMember | LeaveFabric

AT_ONCE: Mapping[type, int] = {StopContainer: 64, PullImage: 3, BuildImage: 1, CopyImage: 2, MoveVolume: 1}
"""Operations of a kind under way at a time, per node; a stop mostly waits for the container."""
AT_ONCE_HOOKED = 16
"""Starts that end with hooks."""
AT_ONCE_QUICK = 4
"""All other kinds together: more of them gain nothing on one engine (measured)."""


class Executor:
    """Runs operations of one stack."""

    def __init__(
        self, observer: Observer, contents: Contents, homes: Homes, emit: Emit, mover: Mover | None = None
    ) -> None:
        self._observer, self._contents, self._homes, self._emit = observer, contents, homes, emit
        self._mover = mover
        self._turns: dict[tuple[NodeName, type | None], asyncio.Semaphore] = {}

    async def run(self, intent: Intent, operation: AnyOperation, is_due: Callable[[], bool] = lambda: True) -> None:
        """Carries it out when its turn comes, and has the observer know what came of it: failures are data.

        is_due: asked at that moment; what it raises, comes out.
        """
        async with self._turn(intent, operation):
            if is_due():
                await self._carry_out(intent, operation)

    async def _carry_out(self, intent: Intent, operation: AnyOperation) -> None:
        started_s = monotonic_s()
        self._tell(OperationStarted, operation)
        try:
            await HANDLERS[type(operation)](self, intent, operation)
        except OrchError as error:
            self._failed(operation, error)
        else:
            self._observer.failures.pop(operation.target, None)
            self._observer.failures.pop(operation.target + POST_START, None)
            self._tell(OperationDone, operation, took_s=monotonic_s() - started_s)

    def _turn(self, intent: Intent, operation: AnyOperation) -> asyncio.Semaphore:
        """A start with hooks may take long: it holds up no other kind."""
        is_hooked = isinstance(operation, StartContainer) and intent.stack.services[operation.service].post_start
        kind = type(operation) if is_hooked or type(operation) in AT_ONCE else None
        limit = AT_ONCE.get(kind, AT_ONCE_HOOKED) if kind else AT_ONCE_QUICK
        return self._turns.setdefault((operation.node, kind), asyncio.Semaphore(limit))

    def _failed(self, operation: AnyOperation, error: OrchError) -> None:
        target = operation.target + (POST_START if isinstance(error, HookFailed) else "")
        known = self._observer.failures.get(target)
        self._observer.failures[target] = Failure(
            target=target,
            node=operation.node,
            what=error.what,
            why=error.why,
            fix=error.fix,
            temporary=error.temporary,
            at=self._observer.moment(),
            count=known.count + 1 if known else 1,
        )
        self._tell(OperationFailed, operation, what=error.what, why=error.why, fix=error.fix, temporary=error.temporary)
        if isinstance(error, Unreachable | Conflict | NotFound):
            self._observer.miss(operation.node)  # it may be done all the same, or the world is not as we thought

    def _tell(self, kind: type[Event], operation: AnyOperation, **fields: Any) -> None:
        observer = self._observer
        self._emit(kind(stack=observer.stack_name, at=observer.moment(), operation=operation, **fields))  # type: ignore[call-arg]  # each kind's own fields

    def _engine(self, node: NodeName) -> Engine:
        return self._observer.engines[node]

    def _progress(self, operation: AnyOperation) -> Callable[[str], None]:
        return lambda text: self._tell(OperationProgressed, operation, text=text)

    async def _pull(self, _: Intent, op: PullImage) -> None:
        await self._engine(op.node).pull(op.ref, platform=op.platform, progress=self._progress(op))
        await self._image_came(op)

    async def _build(self, intent: Intent, op: BuildImage) -> None:
        build = intent.stack.services[op.service].build
        assert build is not None, "only a service with `build` is built"
        await self._engine(op.node).build(op.ref, build, progress=self._progress(op))
        await self._image_came(op)

    async def _copy(self, _: Intent, op: CopyImage) -> None:
        await self._engine(op.node).load(self._engine(op.source).save(op.ref))
        await self._image_came(op)

    async def _image_came(self, op: PullImage | BuildImage | CopyImage) -> None:
        await self._observer.refresh_image(op.node, op.ref)
        self._observer.fresh_images.add(f"{op.node}/{op.ref}")

    async def _create_network(self, intent: Intent, op: CreateNetwork) -> None:
        network = intent.stack.networks[op.key]
        labels = network_labels(intent.stack, network)
        if not op.spans:
            await self._engine(op.node).create_network(network, labels)
        else:
            if op.subnet:
                await self._observer.weaver.refuse_overlap(op)
            await self._engine(op.node).create_network(across(network, op.subnet), labels)
        await self._observer.refresh_networks(op.node)

    async def _weave(self, _: Intent, op: AnyFabricOperation) -> None:
        await WEAVING[type(op)](self._observer.weaver, op)

    async def _pin(self, _: Intent, op: PinNetwork) -> None:
        await self._observer.weaver.pin(op, self._observer.refresh_networks)

    async def _unpin(self, _: Intent, op: UnpinNetwork) -> None:
        await self._observer.weaver.unpin(op, self._observer.refresh_networks)

    async def _remove_network(self, _: Intent, op: RemoveNetwork) -> None:
        await self._engine(op.node).remove_network(op.name)
        await together(*(self._observer.refresh_networks(node) for node in self._observer.with_network(op.name)))

    async def _create_volume(self, intent: Intent, op: CreateVolume) -> None:
        volume = intent.stack.volumes[op.key]
        labels = volume_labels(intent.stack, volume)
        await self._engine(op.node).create_volume(replace(volume, name=op.name), labels)
        if volume.is_local:
            await self._settle_home(op)
        await self._observer.refresh_volumes(op.node)

    async def _settle_home(self, op: CreateVolume) -> None:
        home = self._observer.homes.get(op.name, op.node)  # a global service has one of that name on each node
        await self._homes(op.name, home)
        self._observer.homes.setdefault(op.name, home)

    async def _remove_volume(self, _: Intent, op: RemoveVolume) -> None:
        """Its home goes first: after a crash in between the volume is still seen, and goes by the same intent."""
        is_home = self._observer.homes.get(op.name) == op.node
        if is_home:
            await self._homes(op.name, None)
        await self._engine(op.node).remove_volume(op.name)
        if is_home:
            del self._observer.homes[op.name]
        await self._observer.refresh_volumes(op.node)

    async def _move_volume(self, _: Intent, op: MoveVolume) -> None:
        assert self._mover, "who asks for moves brings a mover"
        try:
            await self._mover.move(op.name, Move(source=op.source, target=op.node), self._progress(op))
        finally:
            await self._look_at_moves(op.node)

    async def _remove_copy(self, _: Intent, op: RemoveCopy) -> None:
        """One that something outside of orch holds stays until the next run; it holds up nobody."""
        assert self._mover, "who asks for moves brings a mover"
        move = self._observer.moves[op.name]
        try:
            await self._mover.remove_copy(op.name, move)
        except Conflict as error:
            observer = self._observer
            text = f"the copy of volume {op.name} on {op.node} stays there: {error.why or error.what}"
            self._emit(Noticed(stack=observer.stack_name, at=observer.moment(), text=text))
            observer.moves = {name: other for name, other in observer.moves.items() if name != op.name}
        else:
            await self._look_at_moves(op.node)

    async def _look_at_moves(self, node: NodeName) -> None:
        """Where volumes are, and are to be, as it is written down now."""
        assert self._mover, "who asks for moves brings a mover"
        self._observer.homes |= await self._mover.homes()
        self._observer.moves = await self._mover.moves()
        with suppress(EngineError):
            await self._observer.refresh_volumes(node)

    async def _create_container(self, intent: Intent, op: CreateContainer) -> None:
        request = container_request(intent, op)
        created = await self._engine(op.node).create_container(request)
        await self._refreshed(op.node, created)

    async def _connect(self, intent: Intent, op: ConnectNetwork) -> None:
        service = intent.stack.services[op.service]
        join = network_join(intent.stack, service, op.network, op.slot)
        await self._on(op, self._engine(op.node).connect(op.container, join))

    async def _start(self, intent: Intent, op: StartContainer) -> None:
        engine = self._engine(op.node)
        if files := await self._files(intent, op):
            await engine.put_files(op.container, files)
        await self._on(op, self._started(engine, intent.stack.services[op.service], op))

    async def _started(self, engine: Engine, service: ServiceSpec, op: StartContainer) -> None:
        """Those who wait for it see it running when its hooks are done."""
        self._observer.starts_again(op.container)
        await engine.start(op.container)
        await run_hooks(engine, op.container, op.subject, "post_start", service.post_start)

    async def _stop(self, intent: Intent, op: StopContainer) -> None:
        await self._on(op, self._stopped(intent.stack.services.get(op.service), op))

    async def _stopped(self, service: ServiceSpec | None, op: StopContainer) -> None:
        """It stops, whatever comes of its hooks."""
        engine = self._engine(op.node)
        try:
            await run_hooks(engine, op.container, op.subject, "pre_stop", service.pre_stop if service else ())
        except HookFailed as error:
            observer = self._observer
            if not isinstance(error.__cause__, Conflict | NotFound):  # it has stopped by itself
                self._emit(Noticed(stack=observer.stack_name, at=observer.moment(), text=str(error)))
        await engine.stop(op.container, grace_s=op.grace_s)

    async def _rename(self, _: Intent, op: RenameContainer) -> None:
        await self._on(op, self._engine(op.node).rename(op.container, op.to))

    async def _remove_container(self, _: Intent, op: RemoveContainer) -> None:
        await self._engine(op.node).remove(op.container, force=op.force, volumes=op.volumes)
        self._observer.forget(op.container)

    async def _on(
        self,
        op: ConnectNetwork | StartContainer | StopContainer | RenameContainer,
        call: Awaitable[None],
    ) -> None:
        """The call; whatever came of it, the container is looked at again."""
        self._observer.busy.add(op.container)
        try:
            await call
        except EngineError:
            await self._look_after_failure(op)
            raise
        except asyncio.CancelledError:
            self._observer.miss(op.node)  # nobody listened to its events
            raise
        finally:
            self._observer.busy.discard(op.container)
        await self._refreshed(op.node, op.container)

    async def _look_after_failure(self, op: ConnectNetwork | StartContainer | StopContainer | RenameContainer) -> None:
        try:
            await self._refreshed(op.node, op.container)
        except EngineError:
            return  # the first failure tells more

    async def _refreshed(self, node: NodeName, container: ContainerId) -> None:
        await self._observer.refresh_container(node, container)

    async def _files(self, intent: Intent, op: StartContainer) -> tuple[UploadedFile, ...]:
        stack = intent.stack
        service = stack.services[op.service]
        wanted = [(g, stack.secrets[g.source]) for g in service.secrets]
        wanted += [(g, stack.configs[g.source]) for g in service.configs]
        files = [await self._file(grant, file) for grant, file in wanted]
        return (*files, await _credentials()) if service.use_api_socket else tuple(files)

    async def _file(self, grant: FileGrant, file: FileSpec) -> UploadedFile:
        try:
            content = await self._contents(file.digest)
        except StoreError as error:
            raise BadValue(
                f'the content of "{file.key}" can\'t be had', why=str(error), fix="run orch up again"
            ) from error
        uid, gid = _id(grant, "uid", grant.uid), _id(grant, "gid", grant.gid)
        return UploadedFile(path=grant.target, content=content, uid=uid, gid=gid, mode=grant.mode)


def _id(grant: FileGrant, key: str, text: str) -> int:
    if text.isdecimal():
        return int(text)
    why = "only the container itself knows its users by name"
    raise BadValue(f'{key} "{text}" of "{grant.source}" is no number', why=why, fix="write the number")


async def _credentials() -> UploadedFile:
    """The registry credentials of the machine that orch runs on; helpers of docker's may take their time."""
    from orchestrator.engine.credentials import docker_config

    try:
        content = await asyncio.to_thread(docker_config)
    except Exception as error:  # the SDK lets errors of helpers through as they are
        raise Refused("docker's registry credentials can't be read", why=str(error), fix="try docker login") from error
    return UploadedFile(path=f"{SOCKET_CONFIG}/config.json", content=content)


WEAVING: Mapping[type, Callable[[Weaver, Any], Awaitable[None]]] = {
    InitFabric: Weaver.init,
    JoinFabric: Weaver.join,
    PromoteMember: Weaver.promote,
    RemoveMember: Weaver.remove_member,
    LeaveFabric: Weaver.leave,
}

HANDLERS: Mapping[type, Callable[[Executor, Intent, Any], Awaitable[None]]] = {
    PullImage: Executor._pull,
    BuildImage: Executor._build,
    CopyImage: Executor._copy,
    CreateNetwork: Executor._create_network,
    RemoveNetwork: Executor._remove_network,
    PinNetwork: Executor._pin,
    UnpinNetwork: Executor._unpin,
    InitFabric: Executor._weave,
    JoinFabric: Executor._weave,
    PromoteMember: Executor._weave,
    RemoveMember: Executor._weave,
    LeaveFabric: Executor._weave,
    CreateVolume: Executor._create_volume,
    RemoveVolume: Executor._remove_volume,
    MoveVolume: Executor._move_volume,
    RemoveCopy: Executor._remove_copy,
    CreateContainer: Executor._create_container,
    ConnectNetwork: Executor._connect,
    StartContainer: Executor._start,
    StopContainer: Executor._stop,
    RemoveContainer: Executor._remove_container,
    RenameContainer: Executor._rename,
}
