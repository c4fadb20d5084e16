"""Secrets and configs of the cluster: made, changed and removed by name, and found by the stacks that name them.

A record, its content and the intents that follow from them are written at once, so that a crash leaves either all of
it or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from orchestrator.errors import (
    BadValue,
    NoSuchThing,
    RevisionConflict,
    SeveralErrors,
    SpecError,
    StoreError,
    UsageError,
)
from orchestrator.model.names import Digest, ServiceName, StackName
from orchestrator.model.shared import FileKind, FileSpec
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.reconciler.clock import Clock
from orchestrator.service.intents import quiet
from orchestrator.service.request import UpRequest
from orchestrator.store import NamedFile, NamedFiles, Put, Stacks, Store, Stored, StoredFile, Vault, sweep

MAX_BYTES: Final[Mapping[FileKind, int]] = {FileKind.SECRET: 500 * 1024, FileKind.CONFIG: 1000 * 1024}
"""Source: Docker's own limits of `docker secret` and `docker config`."""

NOUN: Final[Mapping[FileKind, str]] = {FileKind.SECRET: "secret", FileKind.CONFIG: "configs"}
"""The command about them: `orch config` is the verb of Docker Compose."""

_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9])?")
"""Source: Docker's own rule for names of secrets and configs."""

_ATTEMPTS: Final = 50
T = TypeVar("T")


class Use(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A stack that takes a secret or config from the store, and its services that get it."""

    stack: StackName
    services: tuple[ServiceName, ...]


class Found(NamedFile, frozen=True, kw_only=True):
    """A secret or config of the store, and who uses it."""

    used_by: tuple[Use, ...] = ()


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What a new content came to. `intents`: of the stacks that use it, as they stand now."""

    file: NamedFile
    used_by: tuple[Use, ...] = ()
    intents: tuple[Intent, ...] = ()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose every secret and config has the digest of its content. `found`: the records of external ones."""

    request: UpRequest
    found: tuple[StoredFile, ...] = ()


class Files:
    """The secrets and configs in `store`."""

    def __init__(self, store: Store, vault: Vault, clock: Clock) -> None:
        self._store, self._vault, self._clock = store, vault, clock
        self._named, self._stacks = NamedFiles(store), Stacks(store)

    async def list(self, kind: FileKind) -> tuple[Found, ...]:
        """By name."""
        users = await self._users()
        return tuple(_found(users, file) for file in await self._named.list(kind))

    async def get(self, kind: FileKind, name: str) -> Found:
        """raises NoSuchThing"""
        file = (await self._stored(kind, name)).file
        return _found(await self._users(), file)

    async def content(self, kind: FileKind, name: str) -> bytes:
        """raises NoSuchThing; StoreError: it can't be decrypted"""
        return await self._vault.get((await self._stored(kind, name)).file.digest)

    async def create(self, kind: FileKind, name: str, content: bytes, labels: Mapping[str, str]) -> NamedFile:
        """raises UsageError: a name or content that can't be; StoreError: there is one of that name"""
        _check_name(kind, name)
        _check_content(kind, name, content)
        now, digest = self._clock(), self._vault.digest(kind, content)
        file = NamedFile(kind=kind, name=name, digest=digest, created_at=now, changed_at=now, labels=labels)
        try:
            await self._store.write(self._named.put(file, replaces=None), *await self._vault.changes({digest: content}))
        except RevisionConflict as conflict:
            fix = f'"orch {NOUN[kind]} rotate {name}" gives it another content'
            raise StoreError(f'there is a {kind} "{name}" already', fix=fix) from conflict
        return file

    async def remove(self, kind: FileKind, name: str) -> None:
        """raises NoSuchThing; StoreError: a stack uses it"""

        async def removed() -> None:
            stored = await self._stored(kind, name)
            if used_by := _uses(await self._users(), stored.file):
                raise _in_use(stored.file, used_by)
            await self._store.write(self._named.delete(stored))

        await _retried(removed)
        await sweep(self._store)

    async def rotate(self, kind: FileKind, name: str, content: bytes) -> Rotation:
        """Gives it another content, and each stack that uses it a revision with that one; all of it or nothing.

        The same content again: no new version, but stacks that had missed the present one get it.

        raises NoSuchThing, UsageError
        """
        _check_content(kind, name, content)
        digest = self._vault.digest(kind, content)

        async def rotated() -> Rotation:
            stored = await self._stored(kind, name)
            file = self._changed(stored.file, digest)
            users = [user for user in await self._users() if _uses([user], file)]
            changes = [self._stacks.changes(_rotated(user.intent, file), replaces=user) for user in users]
            await self._store.write(
                self._named.put(file, replaces=stored),
                *await self._vault.changes({digest: content}),
                *(each for _, written in changes for each in written),
            )
            return Rotation(file=file, used_by=_uses(users, file), intents=tuple(i for i, _ in changes))

        rotation = await _retried(rotated)
        await sweep(self._store)
        return rotation

    def _changed(self, file: NamedFile, digest: Digest) -> NamedFile:
        if file.digest == digest:
            return file
        return msgspec.structs.replace(file, digest=digest, version=file.version + 1, changed_at=self._clock())

    async def resolved(self, request: UpRequest) -> Resolved:
        """With the digests under which the store keeps, or will keep, the contents.

        raises SpecError: an external secret or config is not in the store; all of them at once, with their places
        """
        stack, contents, found = request.stack, dict[Digest, bytes](), list[StoredFile]()
        problems: list[SpecError] = []
        for kind in FileKind:
            specs = dict[str, FileSpec]()
            for key, spec in of_kind(stack, kind).items():
                if not spec.external:
                    specs[key] = self._kept(kind, spec, request.contents, contents)
                elif stored := await self._named.get(kind, spec.name):
                    specs[key] = msgspec.structs.replace(spec, digest=stored.file.digest)
                    found.append(stored)
                else:
                    problems.append(await self._not_there(kind, spec, request.stack))
            stack = _with_files(stack, kind, specs)
        if problems:
            raise problems[0] if len(problems) == 1 else SeveralErrors(problems)
        return Resolved(request=msgspec.structs.replace(request, stack=stack, contents=contents), found=tuple(found))

    def _kept(
        self, kind: FileKind, spec: FileSpec, given: Mapping[Digest, bytes], contents: dict[Digest, bytes]
    ) -> FileSpec:
        """`spec` with the digest of its content, which `contents` gets; as it is when nothing was `given` for it."""
        if spec.digest not in given:
            return spec
        content = given[spec.digest]
        digest = self._vault.digest(kind, content)
        contents[digest] = content
        return msgspec.structs.replace(spec, digest=digest)

    async def changes(self, resolved: Resolved, before: Intent | None) -> tuple[Put, ...]:
        """What has to be written with the intent that the request becomes: contents, and that the records stand."""
        stands = [spec for kind in FileKind for spec in of_kind(before.stack, kind).values()] if before else []
        safe = {spec.digest for spec in stands}
        is_known = {(spec.name, spec.digest) for spec in stands if spec.external and before and not before.removed}
        records = {(each.file.kind, each.file.name): each for each in resolved.found}
        return (
            *await self._vault.changes(resolved.request.contents, safe=safe),
            *(
                self._named.put(each.file, replaces=each)
                for each in records.values()
                if (each.file.name, each.file.digest) not in is_known
            ),
        )

    async def _stored(self, kind: FileKind, name: str) -> StoredFile:
        if stored := await self._named.get(kind, name):
            return stored
        raise NoSuchThing(
            f'the store has no {kind} "{name}"', why=await self._there(kind),
            fix=f"orch {NOUN[kind]} create {_shown(name)} FILE",
        )  # fmt: skip

    async def _not_there(self, kind: FileKind, spec: FileSpec, stack: StackSpec) -> BadValue:
        return BadValue(
            f'{kind} "{spec.key}" is external, and the store has no {kind} "{spec.name}"',
            where=stack.place(kind.plural, spec.key, "external"),
            why=await self._there(kind),
            fix=f"orch {NOUN[kind]} create {_shown(spec.name)} FILE",
        )

    async def _there(self, kind: FileKind) -> str:
        names = ", ".join(f'"{file.name}"' for file in await self._named.list(kind))
        return f"{kind.plural} that are there: {names or 'none'}"

    async def _users(self) -> Sequence[Stored]:
        """The stacks as they are wanted now; those that are being taken down use nothing any more."""
        stored = [await self._stacks.get(name) for name in await self._stacks.names()]
        return [each for each in stored if each and not each.intent.removed]


def of_kind(stack: StackSpec, kind: FileKind) -> Mapping[str, FileSpec]:
    return stack.secrets if kind is FileKind.SECRET else stack.configs


def _with_files(stack: StackSpec, kind: FileKind, files: Mapping[str, FileSpec]) -> StackSpec:
    if kind is FileKind.SECRET:
        return msgspec.structs.replace(stack, secrets=files)
    return msgspec.structs.replace(stack, configs=files)


def _rotated(before: Intent, file: NamedFile) -> Intent:
    """With the present content of `file`, wherever the stack takes it from the store."""
    specs = {
        key: msgspec.structs.replace(spec, digest=file.digest) if _is_of(spec, file) else spec
        for key, spec in of_kind(before.stack, file.kind).items()
    }
    return msgspec.structs.replace(quiet(before), stack=_with_files(before.stack, file.kind, specs))


def _is_of(spec: FileSpec, file: NamedFile) -> bool:
    return spec.external and spec.name == file.name


def _found(users: Sequence[Stored], file: NamedFile) -> Found:
    return Found(**msgspec.structs.asdict(file), used_by=_uses(users, file))


def _uses(users: Iterable[Stored], file: NamedFile) -> tuple[Use, ...]:
    found = []
    for user in users:
        stack = user.intent.stack
        keys = {key for key, spec in of_kind(stack, file.kind).items() if _is_of(spec, file)}
        if keys:
            found.append(Use(stack=stack.name, services=_granted(stack, file.kind, keys)))
    return tuple(sorted(found))


def _granted(stack: StackSpec, kind: FileKind, keys: set[str]) -> tuple[ServiceName, ...]:
    return tuple(
        sorted(
            name
            for name, service in stack.services.items()
            if any(grant.source in keys for grant in (service.secrets if kind is FileKind.SECRET else service.configs))
        )
    )


async def _retried(change: Callable[[], Awaitable[T]]) -> T:
    """What `change` gives, of the store as it is when nobody is faster. raises RevisionConflict: somebody always is"""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await change()
        except RevisionConflict:
            continue
    return await change()


def _in_use(file: NamedFile, used_by: Sequence[Use]) -> StoreError:
    listed = "; ".join(f'stack "{use.stack}" uses it{_in(use.services)}' for use in used_by)
    fix = f'take it out of the stack file and "orch up", or "orch -p {used_by[0].stack} down"'
    return StoreError(f'{file.kind} "{file.name}" is in use', why=listed, fix=fix)


def _in(services: Sequence[ServiceName]) -> str:
    return " in " + ", ".join(f'"{name}"' for name in services) if services else ""


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else "NAME"


def _check_name(kind: FileKind, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" can\'t be the name of a {kind}',
            why="it must be letters, digits, dots, hyphens and underscores, a letter or digit at both ends, 64 at most",
            fix="take another name",
        )


def _check_content(kind: FileKind, name: str, content: bytes) -> None:
    if not content:
        raise UsageError(f'{kind} "{name}" would be empty', fix="give it a file, or text on stdin")
    if len(content) > MAX_BYTES[kind]:
        raise UsageError(
            f'{kind} "{name}" is too long',
            why=f"a {kind} has {MAX_BYTES[kind]} bytes at most",
            fix="put what is that long into a volume or an image",
        )
