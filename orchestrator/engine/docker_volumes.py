"""`DockerEngine`, the part on what a volume is; what is in it comes and goes by the archive API (`Shelves`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.engine import observe
from orchestrator.engine.connected import Connected
from orchestrator.engine.images import SILENCE_S
from orchestrator.model.cluster import VolumeDetails

if TYPE_CHECKING:
    from orchestrator.engine.transport import Api

USAGE = (1, 42)
"""From this API on the engine may be asked for the use of volumes alone."""


class DockerVolumes(Connected):
    async def volume(self, name: str, *, is_sized: bool = False) -> VolumeDetails:
        doing = f'look at volume "{name}"'
        inspected = await self._client.call(doing, lambda api: api.ask("GET", f"/volumes/{name}"))
        usage = await self._usage(doing, name) if is_sized else {}
        return observe.volume_details_of({**inspected, "UsageData": usage})

    async def _usage(self, doing: str, name: str) -> dict[str, Any]:
        """The engine walks through the volumes to answer."""
        params = {"type": "volume"} if self._client.version >= USAGE else None

        def ask(api: Api) -> dict[str, Any]:
            listed = api.ask("GET", "/system/df", params=params).get("Volumes") or ()
            return next((v.get("UsageData") or {} for v in listed if v["Name"] == name), {})

        return await self._client.call(doing, ask, timeout_s=SILENCE_S, alone=True)
