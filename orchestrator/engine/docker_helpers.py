"""`DockerEngine`, the part on containers of orch's own image, which is loaded where it is missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.engine import helpers, images
from orchestrator.engine.connected import Connected, already
from orchestrator.errors import EngineError, NotFound

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

CONFINED = {"CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": True}


class DockerHelpers(Connected):
    @contextlib.asynccontextmanager
    async def _helper(self, command: Sequence[str], host: dict[str, Any]) -> AsyncIterator[str]:
        """The name of a stopped container of orch's image, for as long as the block runs.

        host: its `HostConfig`, beside CONFINED.
        """
        await self._sweep()
        name = helpers.new_name()
        labels = {helpers.HELPER: helpers.mark()}
        try:
            await self._create_helper(name, {"Cmd": list(command), "Labels": labels, "HostConfig": host})
            yield name
        finally:
            helpers.let_go(name)
            await asyncio.shield(self._drop_helper(name))

    async def _create_helper(self, name: str, body: dict[str, Any]) -> None:
        """Of orch's image, which is given to the engine when it isn't there."""
        from orchestrator.engine.helper.image import REF

        whole = {"Image": REF, **body, "HostConfig": {**CONFINED, **body["HostConfig"]}}

        async def create() -> None:
            await self._work(f'create container "{name}"', lambda api: api.create(whole, name, ""))

        try:
            await create()
        except NotFound as error:
            if "no such image" not in error.why.lower():
                raise
            await self._load_helper()
            await create()

    async def _load_helper(self) -> None:
        from orchestrator.engine.helper.image import archive

        content = archive((await self.facts()).arch)
        await self._work("load orch's own image", lambda api: images.load(iter((content,)), api))

    async def _drop_helper(self, name: str) -> None:
        with contextlib.suppress(EngineError), already("no such container", "already in progress"):
            await self._work(f'remove container "{name}"', lambda api: api.remove_container(name, v=True, force=True))

    async def _sweep(self) -> None:
        """What an earlier process left when it died."""
        filters = {"label": [helpers.HELPER]}
        for found in await self._labelled(filters, all=True):
            name = found["Names"][0].removeprefix("/")
            if helpers.is_leftover(found["Labels"][helpers.HELPER], name, float(found["Created"])):
                await self._drop_helper(name)

    async def _labelled(self, filters: dict[str, list[str]], *, all: bool) -> list[dict[str, Any]]:
        def ask(api: Api) -> list[dict[str, Any]]:
            params = {"all": int(all), "filters": json.dumps(filters)}
            return list(api.ask("GET", "/containers/json", params=params))

        return await self._client.call("list containers", ask)
