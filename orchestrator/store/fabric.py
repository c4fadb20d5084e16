"""What must be known of the networks across hosts while no manager can be asked: the swarm, and who is in it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

from orchestrator.model.cluster import Fabric
from orchestrator.model.names import NodeName
from orchestrator.store.lease import StackLock, hold
from orchestrator.store.protocol import Delete, Put, Store

_SWARM: Final = "fabric/swarm"
_MEMBERS: Final = "fabric/members/"
_PROVED: Final = "fabric/proved/"


class FabricRecord:
    """The swarm of this cluster in `store`. Tokens are never kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def alone(self, owner: str) -> AbstractAsyncContextManager[StackLock]:
        """Of several processes one works on the swarm at a time."""
        return hold(self._store, "locks/fabric", owner=owner)

    async def load(self) -> Fabric:
        """`members` is None: they are only ever observed."""
        swarm = await self._store.get(_SWARM)
        members = await self._store.list(_MEMBERS)
        proved = await self._store.keys(_PROVED)
        return Fabric(
            cluster_id=swarm.value.decode() if swarm else "",
            expected={NodeName(entry.key[len(_MEMBERS) :]): entry.value.decode() for entry in members},
            proved=frozenset(key[len(_PROVED) :] for key in proved),
        )

    async def remember(self, cluster_id: str) -> None:
        """The swarm that orch made."""
        await self._store.write(Put(key=_SWARM, value=cluster_id.encode()))

    async def joined(self, node: NodeName, member: str) -> None:
        await self._store.write(Put(key=_MEMBERS + node, value=member.encode()))

    async def left(self, node: NodeName) -> None:
        """It is no member any more; what was proved of it, neither."""
        proved = await self._store.keys(f"{_PROVED}{node}/")
        await self._store.write(Delete(key=_MEMBERS + node), *(Delete(key=key) for key in proved))

    async def prove(self, node: NodeName, network: str) -> None:
        """Packets of the network of that id pass from and to the node."""
        await self._store.write(Put(key=f"{_PROVED}{node}/{network}", value=b""))

    async def forget(self) -> None:
        """There is no swarm any more."""
        keys = await self._store.keys("fabric/")
        await self._store.write(*(Delete(key=key) for key in keys))
