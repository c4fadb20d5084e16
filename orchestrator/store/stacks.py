"""Stacks by revision: what people ask of each, its last ten specs, and where its local volumes have their data."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Final

import msgspec

from orchestrator.errors import NoSuchThing, RevisionConflict, StoreError
from orchestrator.model.cluster import Move
from orchestrator.model.names import NodeName, StackName
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.store.protocol import Delete, Entry, Put, Store

KEPT_REVISIONS: Final = 10
"""Specs of a stack that a rollback can go to, the present one included."""

STACKS: Final = "stacks/"
_HOMES: Final = "homes/"
_MOVES: Final = "moves/"
_CURRENT: Final = "/current"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An intent as the store holds it. `stored_at_revision`: the store's number of that write."""

    intent: Intent
    stored_at_revision: int


class Stacks:
    """The intents in `store`, by name of the stack. A change names what it replaces, so that none is lost."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: StackName) -> Stored | None:
        """None: nobody has declared it.

        raises StoreError: what is kept can't be read
        """
        entry = await self._store.get(_current(name))
        return _stored(entry) if entry else None

    async def put(self, intent: Intent, *, replaces: Stored | None, also: Sequence[Put | Delete] = ()) -> Stored:
        """The intent as it stands now, with its revision: one more when the spec differs, the same otherwise.

        Places in files don't make a spec differ. A new spec is kept beside the last nine.

        replaces: what this change was made for, from `get`; None: the stack must not be there
        also:     changes that belong to it, written with it or not at all
        raises RevisionConflict: somebody else was faster, and nothing was written; of `also`, it names the key
        """
        intent, changes = self.changes(intent, replaces=replaces)
        written = await self._write(intent.stack.name, replaces, [*changes, *also])
        return Stored(intent=intent, stored_at_revision=written)

    def changes(self, intent: Intent, *, replaces: Stored | None) -> tuple[Intent, list[Put | Delete]]:
        """(the intent with its revision, what `put` writes): for one write that changes several stacks."""
        intent = msgspec.structs.replace(_normal(intent), revision=_next_revision(intent, replaces))
        name, content = intent.stack.name, _encode(intent)
        changes: list[Put | Delete] = [
            Put(key=_current(name), value=content, replaces=replaces.stored_at_revision if replaces else 0)
        ]
        if not replaces or intent.revision != replaces.intent.revision:
            changes.append(Put(key=_revision(name, intent.revision), value=content))
            changes.append(Delete(key=_revision(name, intent.revision - KEPT_REVISIONS)))
        return intent, changes

    async def stands(self, name: StackName, seen: Stored | None) -> bool:
        """Nobody has changed the stack since `get` gave `seen`."""
        there = await self.get(name)
        return (there and there.stored_at_revision) == (seen and seen.stored_at_revision)

    async def forget(self, name: StackName, *, replaces: Stored) -> None:
        """After a `down`: the intent and its revisions go; the homes of its volumes stay. Gone already: no error.

        raises RevisionConflict: somebody else changed it meanwhile, and it stays
        """
        if await self._store.get(_current(name)) is None:
            return
        changes: list[Put | Delete] = [Delete(key=_current(name), replaces=replaces.stored_at_revision)]
        changes += [Delete(key=key) for key in await self._store.keys(_revisions(name))]
        await self._write(name, replaces, changes)

    async def names(self) -> tuple[StackName, ...]:
        """In order."""
        keys = await self._store.keys(STACKS)
        return tuple(sorted(StackName(key[len(STACKS) : -len(_CURRENT)]) for key in keys if key.endswith(_CURRENT)))

    async def revisions(self, name: StackName) -> tuple[Intent, ...]:
        """The kept ones, oldest first, each as it was when its spec was new."""
        return tuple(_stored(entry).intent for entry in await self._store.list(_revisions(name)))

    async def watch(self, name: StackName, *, after: int) -> AsyncGenerator[Stored | None, None]:
        """Each change of the stack's intent above the store's revision `after`; None: it was forgotten.

        raises StoreError: those changes are not kept any more
        """
        async with aclosing(self._store.watch(_current(name), after=after)) as changes:
            async for change in changes:
                if change.value is None:
                    yield None
                else:
                    yield _stored(Entry(key=change.key, value=change.value, revision=change.revision))

    async def homes(self) -> dict[str, NodeName]:
        """Engine name of a local volume -> the node that has its data."""
        return {entry.key[len(_HOMES) :]: NodeName(entry.value.decode()) for entry in await self._store.list(_HOMES)}

    async def set_home(self, volume: str, node: NodeName) -> None:
        """Remembers where the data of `volume` is. It is there already: nothing is written.

        raises RevisionConflict: another node is its home; data moves only by `forget_home` first
        """
        entry = await self._store.get(_HOMES + volume)
        if entry is None:
            await self._store.write(Put(key=_HOMES + volume, value=node.encode(), replaces=0))
        elif entry.value != node.encode():
            raise RevisionConflict(
                f'volume "{volume}" has its home on "{entry.value.decode()}", not on "{node}"',
                why="its data was made there, and an empty volume must not take its place",
                fix="remove the volume first if its data is of no use any more",
            )

    async def forget_home(self, volume: str) -> None:
        """The volume is gone, with its data, wherever that was. Unknown: no error."""
        await self._store.write(Delete(key=_HOMES + volume), Delete(key=_MOVES + volume))

    async def moves(self) -> dict[str, Move]:
        """Engine name of a local volume -> where its data is to go, or has gone and left a copy behind."""
        entries = await self._store.list(_MOVES)
        return {entry.key[len(_MOVES) :]: msgspec.json.decode(entry.value, type=Move) for entry in entries}

    async def ask_move(self, volume: str, target: NodeName) -> Move | None:
        """Its data is to go from its home to `target`; one that was asked for before is replaced.

        To its home: what was asked for is given up, and what it left there goes; None: nothing was asked for.
        raises NoSuchThing: it has no home; RevisionConflict: somebody else moves it at this moment
        """
        home, asked = await self._store.get(_HOMES + volume), await self._store.get(_MOVES + volume)
        if home is None:
            raise NoSuchThing(f'volume "{volume}" has no home')
        node = NodeName(home.value.decode())
        move = Move(source=node, target=target)
        if target == node:
            before = msgspec.json.decode(asked.value, type=Move) if asked else move
            if before.source == before.target:
                return None
            move = Move(source=before.target if before.source == node else before.source, target=node)
        await self._store.write(
            Put(key=_HOMES + volume, value=home.value, replaces=home.revision),
            Put(key=_MOVES + volume, value=msgspec.json.encode(move), replaces=asked.revision if asked else 0),
        )
        return move

    async def arrive(self, volume: str, move: Move) -> None:
        """The data is at its target, and was found to be equal: that is its home now. Already so: no error.

        raises RevisionConflict: this move is not asked for any more
        """
        home, asked = await self._store.get(_HOMES + volume), await self._moving(volume, move)
        if home is None or home.value not in (move.source.encode(), move.target.encode()):
            raise _moved_otherwise(volume)
        await self._store.write(
            Put(key=_HOMES + volume, value=move.target.encode(), replaces=home.revision),
            Put(key=asked.key, value=asked.value, replaces=asked.revision),
        )

    async def check_copy(self, volume: str, move: Move) -> None:
        """Returns when what is at the source of the move is nothing but a copy; raises RevisionConflict."""
        home = await self._store.get(_HOMES + volume)
        await self._moving(volume, move)
        if home is None or home.value != move.target.encode() or move.source == move.target:
            raise _moved_otherwise(volume)

    async def end_move(self, volume: str, move: Move) -> None:
        """Nothing is left of it to do. Another one was asked for meanwhile: that stays."""
        with suppress(RevisionConflict):
            asked = await self._moving(volume, move)
            await self._store.write(Delete(key=asked.key, replaces=asked.revision))

    async def _moving(self, volume: str, move: Move) -> Entry:
        asked = await self._store.get(_MOVES + volume)
        if asked is None or msgspec.json.decode(asked.value, type=Move) != move:
            raise _moved_otherwise(volume)
        return asked

    async def _write(self, name: StackName, replaces: Stored | None, changes: list[Put | Delete]) -> int:
        try:
            return await self._store.write(*changes)
        except RevisionConflict as conflict:
            if await self.stands(name, replaces):
                raise
            raise _conflict(name, made_for=replaces, there=await self.get(name)) from conflict


def _moved_otherwise(volume: str) -> RevisionConflict:
    return RevisionConflict(
        f'the move of volume "{volume}" is not asked for any more',
        why="somebody else changed where its data is to be",
        fix="orch volume ls shows where it is now",
    )


def _current(name: StackName) -> str:
    return f"{STACKS}{name}{_CURRENT}"


def _revisions(name: StackName) -> str:
    return f"{STACKS}{name}/revisions/"


def _revision(name: StackName, number: int) -> str:
    return f"{_revisions(name)}{number:06}"


def _encode(intent: Intent) -> bytes:
    return msgspec.json.encode(intent, order="deterministic")


def _normal(intent: Intent) -> Intent:
    """As it would come back from the store, so that equal ones compare equal whatever their mappings are made of."""
    return msgspec.json.decode(_encode(intent), type=Intent)


def _stored(entry: Entry) -> Stored:
    try:
        intent = msgspec.json.decode(entry.value, type=Intent)
    except msgspec.DecodeError as error:
        raise StoreError(
            "what the store holds of a stack can't be read",
            where=entry.key,
            why=str(error),
            fix="use the orch that wrote it, or the newest one",
        ) from error
    return Stored(intent=intent, stored_at_revision=entry.revision)


def _next_revision(intent: Intent, replaces: Stored | None) -> int:
    if replaces is None:
        return 1
    before = replaces.intent
    return before.revision + (_spec(_normal(intent)) != _spec(_normal(before)))


def _spec(intent: Intent) -> StackSpec:
    return msgspec.structs.replace(intent.stack, places={})


def _conflict(name: StackName, *, made_for: Stored | None, there: Stored | None) -> RevisionConflict:
    """What somebody else did meanwhile, in the words of a person who shares the cluster."""
    fix = "look at it again, then run the command again"
    if there is None:
        return RevisionConflict(f'stack "{name}" was removed by somebody else meanwhile', fix=fix)
    made_for_text = made_for.intent.revision if made_for else "a new stack"
    why = f"revision {there.intent.revision} is there, this change was made for {made_for_text}"
    if made_for and there.intent.revision == made_for.intent.revision:
        why = "its spec is the same, but it was started, stopped, restarted or taken down"
    return RevisionConflict(f'stack "{name}" was changed by somebody else meanwhile', why=why, fix=fix)
