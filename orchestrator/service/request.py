"""What `orch up` asks for, as data: the stack of the files, and the flags that change it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.model.names import Digest, ServiceName
from orchestrator.model.spec import StackSpec


class UpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`orch up`. services: empty is all; else those and, unless `no_deps`, what they depend on."""

    stack: StackSpec
    contents: Mapping[Digest, bytes] = {}
    services: tuple[ServiceName, ...] = ()
    scale: Mapping[ServiceName, int] = {}
    force_recreate: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    build: bool = False
    new_volumes: tuple[str, ...] = ()
    """Engine names of volumes whose data is given up: they may be made anew where they are missing."""
    span: bool = False
    """Its networks span hosts from now on, also those that a running stack has on one host."""
    pull: str = ""
    """Overrides every service's pull_policy: always | missing | never."""
