"""The data of a volume on its way: copied from engine to engine in pieces, compared, and only then at home there.

Until then its home is where it was, whatever there is at the other node; each step may be repeated.
"""

from __future__ import annotations

import tarfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress

from orchestrator.engine.protocol import Engine
from orchestrator.errors import Conflict, EngineError, OrchError, Refused
from orchestrator.model.cluster import Move, VolumeDetails
from orchestrator.model.names import NodeName
from orchestrator.model.shared import VolumeSpec
from orchestrator.reconciler.clock import monotonic_s
from orchestrator.reconciler.inventory import Inventory
from orchestrator.store import Stacks

REPORT_S = 1.0
"""The least time between two reports on one copy."""

Tell = Callable[[str], None]
"""Takes how far it is: `12.3 MB copied`."""


class Mover:
    """Moves volumes between nodes, and writes down where they are."""

    def __init__(self, engines: Mapping[NodeName, Engine], stacks: Stacks) -> None:
        self._engines, self._stacks = engines, stacks

    async def homes(self) -> dict[str, NodeName]:
        """As written down."""
        return await self._stacks.homes()

    async def moves(self) -> dict[str, Move]:
        """As written down."""
        return await self._stacks.moves()

    async def move(self, name: str, move: Move, tell: Tell) -> None:
        """Its data is at the target, equal to the source's, and that is its home.

        What goes wrong for good leaves the source as it was, nothing at the target, and the move given up; what is
        temporary leaves it to be tried again.
        raises EngineError, RevisionConflict
        """
        try:
            await self._copy(name, move, tell)
            await self._stacks.arrive(name, move)
        except OrchError as error:
            if not error.temporary:
                await self._give_up(name, move)
            raise

    async def remove_copy(self, name: str, move: Move) -> None:
        """What is left at the source of a move that is over goes; raises Conflict: something of no stack holds it."""
        await self._stacks.check_copy(name, move)
        await self._engines[move.source].remove_volume(name)
        await self._stacks.end_move(name, move)

    async def _copy(self, name: str, move: Move, tell: Tell) -> None:
        source, target = self._engines[move.source], self._engines[move.target]
        details = await source.volume(name)
        await _clear(target, name)
        await target.create_volume(_like(details), details.labels)
        sent = await _sent(source, target, name, _Meter("copied", tell))
        found = await _found(target, name, _Meter("compared", tell))
        if sent != found:
            raise Refused(
                f'the copy of volume "{name}" on {move.target} is not equal to what is on {move.source}',
                why="its files, owners or modes differ: something wrote to it meanwhile, or the host can't keep them",
                fix="stop what uses it outside of orch, and move it again",
            )

    async def _give_up(self, name: str, move: Move) -> None:
        with suppress(OrchError):
            back = await self._stacks.ask_move(name, move.source)
            await self._engines[move.target].remove_volume(name)
            if back is not None:
                await self._stacks.end_move(name, back)


async def _clear(target: Engine, name: str) -> None:
    """Half a copy of a time before goes. What a killed process of ours has left, and holds it, goes by a new look."""
    try:
        await target.remove_volume(name)
    except Conflict:
        async with aclosing(target.read_volume(name)) as pieces:
            await anext(pieces, b"")
        await target.remove_volume(name)


def _like(details: VolumeDetails) -> VolumeSpec:
    return VolumeSpec(key="", name=details.name, driver=details.driver, driver_opts=details.driver_opts)


async def _sent(source: Engine, target: Engine, name: str, meter: _Meter) -> str:
    """The digest of what went over."""
    async with Inventory() as inventory, aclosing(_passed(source.read_volume(name), inventory, meter)) as pieces:
        await target.write_volume(name, pieces)
        async for _ in pieces:  # the engine stops at the archive's end mark
            pass
        return await _digest(inventory, name)


async def _found(target: Engine, name: str, meter: _Meter) -> str:
    """The digest of what is there now."""
    async with Inventory() as inventory, aclosing(_passed(target.read_volume(name), inventory, meter)) as pieces:
        async for _ in pieces:
            pass
        return await _digest(inventory, name)


async def _passed(pieces: AsyncGenerator[bytes, None], inventory: Inventory, meter: _Meter) -> AsyncGenerator[bytes]:
    async with aclosing(pieces) as whole:
        async for piece in whole:
            await inventory.take(piece)
            meter.count(len(piece))
            yield piece
    meter.tell()


async def _digest(inventory: Inventory, name: str) -> str:
    try:
        return await inventory.digest()
    except tarfile.TarError as error:
        raise EngineError(f'the content of volume "{name}" can\'t be read', why=str(error)) from error


class _Meter:
    """Tells now and then how much has passed."""

    def __init__(self, verb: str, tell: Tell) -> None:
        self._verb, self._tell = verb, tell
        self._bytes, self._told_s = 0, monotonic_s()

    def count(self, more: int) -> None:
        self._bytes += more
        if monotonic_s() - self._told_s >= REPORT_S:
            self.tell()

    def tell(self) -> None:
        self._told_s = monotonic_s()
        self._tell(f"{self._bytes / 1e6:.1f} MB {self._verb}")
