"""`DockerEngine`, the part that keeps networks across hosts on their nodes and sees whether packets pass.

A pin is a container of orch's own image on such a network. Without one, the network leaves the node with its last
container, and names of it that come back are slow to be known elsewhere (measured on 20.10).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.engine.docker_helpers import CONFINED, DockerHelpers
from orchestrator.engine.docker_runs import DockerRuns
from orchestrator.engine.docker_swarm import DockerSwarm
from orchestrator.engine.failures import not_held
from orchestrator.engine.observe_swarm import PIN, pin_addresses
from orchestrator.errors import Conflict, EngineError, NotFound, Unreachable
from orchestrator.model.names import ContainerId

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

EXEC_MARGIN_S = 5.0
LEAST_S = 0.5
Json = dict[str, Any]


class DockerPins(DockerHelpers, DockerSwarm, DockerRuns):
    async def routes(self) -> tuple[str, ...]:
        from orchestrator.engine.helper.routes import COMMAND, parse_routes

        host = {"NetworkMode": "host", "UsernsMode": "host", "LogConfig": {"Type": "json-file"}}
        async with self._helper(COMMAND, host) as name:
            told = await self._work("read the host's routes", lambda api: _output(api, name))
        return tuple(sorted(parse_routes(told)))

    async def pin(self, network: str, *, deadline_s: float = 10.0) -> str:
        give_up_at = time.monotonic() + deadline_s
        if (address := await self._pin_address(network)) is not None:
            return address
        name = pin_name(network)
        await self._while_attaching(lambda api: _removed(api, name), give_up_at)
        await self._create_pin(network)
        async with self._attaching(name):
            await self._while_attaching(lambda api: api.start(name), give_up_at)
        address = await self._pin_address(network)
        if address is None:
            doing = f'hold network "{network}" on this node'
            raise EngineError(f"can't {doing}", where=self.node, why=f'container "{name}" ended at once')
        return address

    async def _while_attaching(self, work: Callable[[Api], None], give_up_at: float) -> None:
        """An engine that answers other questions in the meantime waits for the managers, for 20 s."""
        left_s = max(LEAST_S, give_up_at - time.monotonic())
        try:
            await self._client.call("hold a network on this node", work, timeout_s=left_s, alone=True)
        except Unreachable as error:
            raise await self._managers_away(error) from error

    async def unpin(self, network: str) -> None:
        doing = f'let go of network "{network}" on this node'
        await self._work(doing, lambda api: _removed(api, pin_name(network)))

    async def leave_swarm(self, *, force: bool = False) -> None:
        """The pins go with it: what they held is no more."""
        await super().leave_swarm(force=force)
        for pin in await self._labelled({"label": [PIN]}, all=True):
            await self.unpin(pin["Labels"][PIN])

    async def reach(self, network: str, addresses: Sequence[str], *, timeout_s: float = 2.0) -> Mapping[str, str]:
        from orchestrator.engine.helper.image import PROGRAM
        from orchestrator.engine.helper.reach import OK, meaning, parse_reach, reach_arguments

        if not addresses:
            return {}
        command = (PROGRAM, *reach_arguments(addresses, within_s=timeout_s))
        try:
            done = await self.exec(ContainerId(pin_name(network)), command, timeout_s=timeout_s + EXEC_MARGIN_S)
        except (NotFound, Conflict) as error:
            raise not_held(network, node=self.node, why=error.why) from error
        return {ip: "" if word == OK else meaning(word) for ip, word in parse_reach(done.output).items()}

    async def _pin_address(self, network: str) -> str | None:
        """Of the running pin; None: there is none."""
        found = await self._labelled({"label": [f"{PIN}={network}"]}, all=False)
        joined = ((pin["NetworkSettings"]["Networks"] or {}).get(network) or {} for pin in found)
        return next((str(one["IPAddress"]) for one in joined if one.get("IPAddress")), None)

    async def _pins(self) -> dict[str, str]:
        """Network id -> the address of its pin here."""
        return pin_addresses(await self._labelled({"label": [PIN]}, all=False))

    async def _create_pin(self, network: str) -> None:
        host = {**CONFINED, "NetworkMode": network, "RestartPolicy": {"Name": "no"}, "LogConfig": {"Type": "none"}}
        body = {"Cmd": ["hold"], "StopTimeout": 1, "Labels": {PIN: network}, "HostConfig": host}
        await self._create_helper(pin_name(network), body)


def pin_name(network: str) -> str:
    return f"orch-pin-{network}"


def _removed(api: Api, name: str) -> None:
    """The pin of that name; raises Conflict when that is somebody else's container."""
    from docker.errors import NotFound as Gone

    try:
        labels = api.inspect_container(name)["Config"].get("Labels") or {}
        if PIN not in labels:
            raise Conflict(
                f'container "{name}" is not orch\'s',
                why="orch needs that name for the container that holds the network on this node",
                fix=f"docker rename {name} ANOTHER-NAME",
            )
        api.remove_container(name, force=True, v=True)
    except Gone:
        return


def _output(api: Api, name: str) -> str:
    """What the container writes when it runs to its end."""
    api.start(name)
    api.wait(name)
    written: bytes = api.logs(name, stdout=True, stderr=True)
    return written.decode(errors="replace")
