"""The clean-up of contents: what no kept revision of a stack and no named secret or config names, goes.

Safe beside writers, which write a content together with what names it: the content's revision is read first, then all
names, records before intents (a name moves from a record to an intent, never back without a new write of the content);
then each goes only if its revision is still that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from orchestrator.errors import RevisionConflict
from orchestrator.model.names import Digest
from orchestrator.model.shared import FileKind
from orchestrator.store.protocol import Delete, Entry, Store
from orchestrator.store.secrets import CONTENT
from orchestrator.store.stacks import STACKS


class _Named(msgspec.Struct, frozen=True):
    digest: Digest


class _Files(msgspec.Struct, frozen=True):
    secrets: Mapping[str, _Named] = {}
    configs: Mapping[str, _Named] = {}


class _Intent(msgspec.Struct, frozen=True):
    """As much of an intent as names contents."""

    stack: _Files


async def sweep(store: Store) -> tuple[Digest, ...]:
    """Removes the contents that nothing names any more; their digests. An entry that can't be read: none go."""
    kept = await store.keys(CONTENT)
    doubtful = await _unnamed(store, [Digest(key.removeprefix(CONTENT)) for key in kept])
    entries = [entry for digest in doubtful if (entry := await store.get(CONTENT + digest))]
    by_digest = {Digest(entry.key.removeprefix(CONTENT)): entry for entry in entries}
    return tuple([digest for digest in await _unnamed(store, by_digest) if await _is_removed(store, by_digest[digest])])


async def _unnamed(store: Store, digests: Iterable[Digest]) -> tuple[Digest, ...]:
    wanted = tuple(digests)
    if not wanted:
        return ()
    records = [entry for kind in FileKind for entry in await store.list(f"{kind.plural}/")]
    intents = await store.list(STACKS)
    try:
        named = {msgspec.json.decode(entry.value, type=_Named).digest for entry in records}
        for entry in intents:
            stack = msgspec.json.decode(entry.value, type=_Intent).stack
            named |= {file.digest for file in (*stack.secrets.values(), *stack.configs.values())}
    except msgspec.DecodeError:
        return ()
    return tuple(digest for digest in wanted if digest not in named)


async def _is_removed(store: Store, entry: Entry) -> bool:
    """False: somebody wrote it again meanwhile, so it is named by now."""
    with suppress(RevisionConflict):
        await store.write(Delete(key=entry.key, replaces=entry.revision))
        return True
    return False
