"""Names, labels and hashes: how a thing of ours is recognised on an engine.

Names follow Docker Compose (`<stack>-<service>-<slot>`, `<stack>_<network>`), so that a directory that ran under
`docker compose` is taken over with its volumes. Labels carry both our own words and Compose's, so that the tools
people already use go on grouping our containers.
"""

from __future__ import annotations

import hashlib
from typing import NewType

import msgspec

StackName = NewType("StackName", str)
ServiceName = NewType("ServiceName", str)
NodeName = NewType("NodeName", str)
ContainerId = NewType("ContainerId", str)
Digest = NewType("Digest", str)
"""A sha256 in hex, of content or of a configuration."""

SlotNumber = NewType("SlotNumber", int)
"""1, 2, 3 ... within a service."""

ORCH = "dev.orch."
STACK = ORCH + "stack"
SERVICE = ORCH + "service"
SLOT = ORCH + "slot"
REVISION = ORCH + "revision"
HASH = ORCH + "hash"
REPLACES = ORCH + "replaces"
"""The id of the container that this one took the place of."""
INHERITS = ORCH + "inherits"
"""Anonymous volumes of the container that this one took the place of: to the engine they are named ones now."""

COMPOSE = "com.docker.compose."
COMPOSE_PROJECT = COMPOSE + "project"
COMPOSE_SERVICE = COMPOSE + "service"
COMPOSE_NUMBER = COMPOSE + "container-number"
COMPOSE_ONEOFF = COMPOSE + "oneoff"
COMPOSE_NETWORK = COMPOSE + "network"
COMPOSE_VOLUME = COMPOSE + "volume"


def slot_name(service: ServiceName, slot: SlotNumber) -> str:
    """`web.2`, the way people write a slot."""
    return f"{service}.{slot}"


def container_name(stack: StackName, service: ServiceName, slot: SlotNumber) -> str:
    """`shop-web-2`. Source: Docker Compose v2."""
    return f"{stack}-{service}-{slot}"


def interim_name(name: str, config: Digest) -> str:
    """The name of a newcomer while the container that it replaces still holds `name`."""
    return f"{name}-{config[:8]}"


def resource_name(stack: StackName, key: str) -> str:
    """`shop_data`: what a network or volume is called unless the file names it. Source: Docker Compose v2."""
    return f"{stack}_{key}"


def container_labels(
    stack: StackName, service: ServiceName, slot: SlotNumber, revision: int, config: Digest
) -> dict[str, str]:
    """What a container of ours says of itself: our words, then Compose's."""
    return {
        STACK: stack,
        SERVICE: service,
        SLOT: str(slot),
        REVISION: str(revision),
        HASH: config,
        COMPOSE_PROJECT: stack,
        COMPOSE_SERVICE: service,
        COMPOSE_NUMBER: str(slot),
        COMPOSE_ONEOFF: "False",
    }


def resource_labels(stack: StackName, kind_label: str, key: str, config: Digest) -> dict[str, str]:
    """What a network (`COMPOSE_NETWORK`) or volume (`COMPOSE_VOLUME`) of ours says of itself."""
    return {STACK: stack, HASH: config, COMPOSE_PROJECT: stack, kind_label: key}


def digest(value: object) -> Digest:
    """The sha256 of `value` as canonical JSON: equal values have equal digests, whatever the order of their keys."""
    return Digest(hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest())


def content_digest(content: bytes) -> Digest:
    """The sha256 of the bytes themselves, under which a file's content is kept."""
    return Digest(hashlib.sha256(content).hexdigest())
