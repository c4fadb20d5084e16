"""What the services of a stack share: networks, volumes, secrets and configs. Frozen, as all of `spec`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from orchestrator.model.names import Digest
from orchestrator.model.options import Data as _Data


class IpamPool(_Data, frozen=True, kw_only=True):
    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = {}


class NetworkSpec(_Data, frozen=True, kw_only=True):
    """A network of the stack. `name` is the engine's name for it."""

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    labels: Mapping[str, str] = {}
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] = {}
    ipam: tuple[IpamPool, ...] = ()


SLOT_TEMPLATE = "{{.Task.Slot}}"
"""In a volume's name: each slot has one of its own. Source: Docker Swarm, service templates."""


class VolumeSpec(_Data, frozen=True, kw_only=True):
    """A volume of the stack. `name` is the engine's name for it; with SLOT_TEMPLATE in it, one for each slot."""

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}

    @property
    def is_per_slot(self) -> bool:
        return SLOT_TEMPLATE in self.name

    @property
    def is_local(self) -> bool:
        """Its data is on one node: neither another driver nor an address of a server in its options."""
        return self.driver in ("", "local") and not _names_a_server(self.driver_opts)

    def name_for(self, slot: int) -> str:
        """The engine's name of the volume that the slot mounts."""
        return self.name.replace(SLOT_TEMPLATE, str(slot))

    def covers(self, name: str) -> bool:
        """The engine's name `name` is this volume's, or that of one of its slots."""
        head, template, tail = self.name.partition(SLOT_TEMPLATE)
        if not template:
            return name == self.name
        slot = name[len(head) : len(name) - len(tail)]
        return slot.isdecimal() and name == self.name_for(int(slot))


def _names_a_server(options: Mapping[str, str]) -> bool:
    """NFS and CIFS by the local driver: `type: nfs`, `o: addr=...`. Source: Docker, local driver."""
    return options.get("type", "").lower() in ("nfs", "nfs4", "cifs") or "addr=" in options.get("o", "")


class FileKind(StrEnum):
    """What a file is to its stack: a secret is told to nobody but its containers."""

    SECRET = "secret"
    CONFIG = "config"

    @property
    def plural(self) -> str:
        """The key of a stack file that lists them."""
        return f"{self}s"


class FileSpec(_Data, frozen=True, kw_only=True):
    """A secret or config: where its content is kept. The content itself is never part of a stack.

    digest:   under which the store keeps the content: `Vault.digest`. The loader, which has no key, gives the sha256,
              and "" for an external one.
    external: the content is the store's, under `name`; the stack file does not have it.
    """

    key: str
    name: str
    digest: Digest
    external: bool = False
