"""`DockerEngine`, the part on swarm mode, of which orch uses the networks alone. `docker_pins.py` has what holds them.

Measured on Docker Engine 20.10 and 26.1: a join to a host that is silent blocks 20 s and goes on behind one's back; a
manager whose quorum is lost refuses at once, but for the first question after the loss, which takes 20 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.engine import observe_swarm
from orchestrator.engine.connected import Connected, already
from orchestrator.engine.failures import NO_MANAGER, another_swarm, managers_away
from orchestrator.errors import EngineError, Refused, Unreachable
from orchestrator.model.cluster import Member, Swarm

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

PATIENCE_S = 45.0
"""The engine itself gives up after 20 s, and may have to end another such call before."""
LISTEN = "0.0.0.0:2377"
SUBNET_BITS = 24
"""Of the networks that the engine cuts out of the pool by itself, such as the one that it keeps for itself."""
TRIES = 5
DEMOTION_S = 10.0
FAREWELL_S = 1.5
"""How long an engine goes on telling its peers that it leaves, after it said that it has left.

Do the last of these leave in the meantime, it never lets go of port 7946, and no packet of a network across hosts
reaches it until dockerd is started again. Measured on 20.10: of hosts that left at once, all were so after two rounds;
of those that left one after the other, none of 45.
"""
OPEN_PORTS = "let 2377/tcp, 7946/tcp, 7946/udp and 4789/udp pass between the hosts"


class DockerSwarm(Connected):
    async def swarm(self) -> Swarm:
        return observe_swarm.swarm_of(await self._client.call("ask for the engine's swarm", lambda api: api.info()))

    async def init_swarm(self, *, address: str, pool: str, labels: Mapping[str, str]) -> None:
        body = {
            "ListenAddr": LISTEN,
            "AdvertiseAddr": address,
            "DefaultAddrPool": [pool],
            "SubnetSize": SUBNET_BITS,
            "Spec": {"Labels": dict(labels)},
        }
        await self._govern("begin networks across hosts", "POST", "/swarm/init", body=body)

    async def rebuild_swarm(self, *, address: str) -> None:
        body = {"ListenAddr": LISTEN, "AdvertiseAddr": address, "ForceNewCluster": True}
        await self._govern("go on as the only manager", "POST", "/swarm/init", body=body)

    async def join_token(self, *, as_manager: bool) -> str:
        answer = await self._govern("ask for the token to join by", "GET", "/swarm")
        return str(answer["JoinTokens"]["Manager" if as_manager else "Worker"])

    async def join_swarm(self, *, managers: Sequence[str], token: str, address: str) -> None:
        if await self._is_member(managers):
            return
        body = {"ListenAddr": LISTEN, "AdvertiseAddr": address, "RemoteAddrs": list(managers), "JoinToken": token}
        try:
            await self._govern("join the networks across hosts", "POST", "/swarm/join", body=body)
        except Unreachable as error:
            if not await self._stop_joining():
                why = f"no manager answers at {', '.join(managers)}: {error.why}"
                fix = f"bring the manager's host back, and {OPEN_PORTS}"
                raise Unreachable(error.what, where=error.where, why=why, fix=fix) from error
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                await self._stop_joining()
            raise

    async def _is_member(self, managers: Sequence[str]) -> bool:
        """Of the swarm of these managers. An attempt to join that never came to its end is ended."""
        known = await self.swarm()
        is_theirs = bool(set(known.managers) & set(managers))
        if known.state == "active" and is_theirs:
            return True
        if known.state == "pending" and (is_theirs or not known.member):
            await self.leave_swarm(force=True)
        elif known.state != "inactive":
            raise another_swarm(self.node, known.state, known.error)
        return False

    async def _stop_joining(self) -> bool:
        """True: it has come about after all."""
        with contextlib.suppress(Unreachable):  # then it can't be pending for our sake
            if (await self.swarm()).state == "active":
                return True
            await self.leave_swarm(force=True)
        return False

    async def leave_swarm(self, *, force: bool = False) -> None:
        """One host after the other: see FAREWELL_S."""
        with already("not part of a swarm"):
            params = {"force": "1"} if force else None
            await self._govern("leave the networks across hosts", "POST", "/swarm/leave", params=params)
            await asyncio.sleep(FAREWELL_S)

    async def swarm_labels(self) -> Mapping[str, str]:
        answer = await self._govern("ask for the swarm's labels", "GET", "/swarm")
        return dict(answer["Spec"].get("Labels") or {})

    async def members(self) -> tuple[Member, ...]:
        listed = await self._govern("list the swarm's members", "GET", "/nodes")
        return tuple(sorted(map(observe_swarm.member_of, listed), key=lambda member: member.id))

    async def set_manager(self, member: str, *, is_manager: bool) -> None:
        role = "manager" if is_manager else "worker"
        doing = f'make member "{member}" a {role}'
        for left in reversed(range(TRIES)):  # another change may come between reading and writing
            found = await self._govern(doing, "GET", f"/nodes/{member}")
            if found["Spec"]["Role"] == role:
                return
            body, params = found["Spec"] | {"Role": role}, {"version": found["Version"]["Index"]}
            with already("update out of sequence") if left else contextlib.nullcontext():
                await self._govern(doing, "POST", f"/nodes/{member}/update", body=body, params=params)
                return

    async def remove_member(self, member: str) -> None:
        """A manager is demoted first, and takes a moment to be out of the managers' own list."""
        give_up_at, doing, params = time.monotonic() + DEMOTION_S, f'forget member "{member}"', {"force": "1"}
        while True:
            try:
                with already("node .* not found"):
                    await self._govern(doing, "DELETE", f"/nodes/{member}", params=params)
                return
            except Refused as error:
                if "must be demoted" not in error.why or time.monotonic() > give_up_at:
                    raise
            await self.set_manager(member, is_manager=False)
            await asyncio.sleep(0.2)

    async def _govern(
        self, doing: str, method: str, path: str, *, body: Any = None, params: dict[str, Any] | None = None
    ) -> Any:
        """A call that may need the managers' consent; nothing that is sent appears in what it raises."""
        timeout_s = max(self._slow_s, PATIENCE_S)
        return await self._client.call(
            doing, lambda api: api.ask(method, path, body=body, params=params), timeout_s=timeout_s, alone=True
        )

    @contextlib.asynccontextmanager
    async def _attaching(self, container: str) -> AsyncIterator[None]:
        """Around a start: says which managers are out of reach, or which subnet has no address left."""
        try:
            yield
        except EngineError as error:
            explained = await self._explained_attachment(error, container)
            if explained is None:
                raise
            raise explained from error

    async def _explained_attachment(self, error: EngineError, container: str) -> EngineError | None:
        why = error.why.lower()
        if isinstance(error, Unreachable) and "could not attach to network" in why and NO_MANAGER not in why:
            return await self._managers_away(error)
        if "attaching to network failed" in why or "no available ipv" in why:
            subnets = await self._subnets(container)
            fix = "; ".join([f"give it a larger subnet than {', '.join(subnets)}" if subnets else "", error.fix])
            return Refused(error.what, where=error.where, why=error.why, fix=fix.strip("; "))
        return None

    async def _managers_away(self, error: EngineError) -> Unreachable:
        """Answers as long as the engine does; raises Unreachable when that does not."""
        return managers_away(error, (await self.swarm()).managers)

    async def _subnets(self, container: str) -> tuple[str, ...]:
        """Of the networks that the container is to be on, as far as this node knows them."""

        def ask(api: Api) -> tuple[str, ...]:
            joined = api.inspect_container(container)["NetworkSettings"]["Networks"]
            listed = api.ask("GET", "/networks")
            return tuple(
                f'{subnet} of network "{network["Name"]}"'
                for network in listed
                if network["Name"] in joined
                for subnet in observe_swarm.subnets_of(network)
            )

        try:
            return await self._client.call("ask for the container's networks", ask)
        except EngineError:
            return ()  # the first error is the one to tell
