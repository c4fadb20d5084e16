"""What is done: one step on one node, safe to repeat, with its cause in words.

All operations of one plan may run at the same time; what has to wait for them is in the next plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.model.cluster import HeldVolume
from orchestrator.model.names import ContainerId, Digest, NodeName, ServiceName, SlotNumber, slot_name


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """One step on one node. `cause` completes "because ..."."""

    node: NodeName
    cause: str

    @property
    def target(self) -> str:
        """What it works on: of two operations with one target only one may be under way."""
        raise AssertionError(f"{type(self).__name__} must say what it works on")

    @property
    def title(self) -> str:
        """`start web.2 on node1`, the way a plan is printed."""
        verb, _, _ = _spaced(type(self).__name__).partition(" ")
        return f"{verb} {self.subject} on {self.node}"

    @property
    def subject(self) -> str:
        return self.target


class _OnImage(Operation, frozen=True, kw_only=True):
    ref: str
    service: ServiceName

    @property
    def target(self) -> str:
        return f"{self.node}/image/{self.ref}"

    @property
    def subject(self) -> str:
        return f"image {self.ref}"


class PullImage(_OnImage, frozen=True, kw_only=True, tag=True):
    """Fetch `ref` from its registry, with credentials read at that moment."""

    platform: str = ""


class BuildImage(_OnImage, frozen=True, kw_only=True, tag=True):
    """Make the image of `service` from its folder."""


class CopyImage(_OnImage, frozen=True, kw_only=True, tag=True):
    """Stream `ref` from the node `source`, that has it, to this one."""

    source: NodeName


class _OnNetwork(Operation, frozen=True, kw_only=True):
    name: str
    key: str = ""

    @property
    def target(self) -> str:
        return f"{self.node}/network/{self.name}"

    @property
    def subject(self) -> str:
        return f"network {self.name}"


class CreateNetwork(_OnNetwork, frozen=True, kw_only=True, tag=True):
    """Make the network `key` of the stack.

    spans:  across hosts; the node is a manager of the swarm that carries it then, and `subnet` its range.
    """

    spans: bool = False
    subnet: str = ""


class RemoveNetwork(_OnNetwork, frozen=True, kw_only=True, tag=True):
    """Remove it; it is empty by then."""


class PinNetwork(_OnNetwork, frozen=True, kw_only=True, tag=True):
    """Hold a network that spans hosts on this node by a small container, and prove that packets pass to the others."""

    @property
    def target(self) -> str:
        return f"{self.node}/pin/{self.name}"


class UnpinNetwork(_OnNetwork, frozen=True, kw_only=True, tag=True):
    """Let go of it here."""

    @property
    def target(self) -> str:
        return f"{self.node}/pin/{self.name}"


FABRIC = "the networks across hosts"
"""What people are told of the swarm that carries them."""


class _OnFabric(Operation, frozen=True, kw_only=True):
    """A step on the swarm that carries networks across hosts: one at a time, whatever the node."""

    @property
    def target(self) -> str:
        return f"{self.node}/fabric"

    @property
    def subject(self) -> str:
        return FABRIC


class InitFabric(_OnFabric, frozen=True, kw_only=True, tag=True):
    """Begin the swarm here. `address`: where the others reach this node; empty: the engine's own choice."""

    address: str = ""

    @property
    def title(self) -> str:
        return f"begin networks across hosts on {self.node}"


class JoinFabric(_OnFabric, frozen=True, kw_only=True, tag=True):
    """Join this node to the swarm, by way of the manager `via`."""

    via: NodeName
    address: str = ""
    as_manager: bool = False

    @property
    def title(self) -> str:
        return f"join {self.node} to the networks across hosts" + (" as a manager" if self.as_manager else "")


class PromoteMember(_OnFabric, frozen=True, kw_only=True, tag=True):
    """Have the manager `node` make the member `member` (its id is `id`) a manager, or a plain member again."""

    member: NodeName
    id: str
    as_manager: bool = True

    @property
    def title(self) -> str:
        verb = "promote" if self.as_manager else "demote"
        return f"{verb} {self.member} among the networks' managers"


class RemoveMember(_OnFabric, frozen=True, kw_only=True, tag=True):
    """Have the manager `node` forget a member that is gone for good, or has left."""

    member: str
    id: str

    @property
    def title(self) -> str:
        return f"forget {self.member} among the networks' members"


class LeaveFabric(_OnFabric, frozen=True, kw_only=True, tag=True):
    """Have this node leave the swarm."""

    @property
    def title(self) -> str:
        return f"take {self.node} out of the networks across hosts"


class _OnVolume(Operation, frozen=True, kw_only=True):
    name: str
    key: str = ""

    @property
    def target(self) -> str:
        return f"{self.node}/volume/{self.name}"

    @property
    def subject(self) -> str:
        return f"volume {self.name}"


class CreateVolume(_OnVolume, frozen=True, kw_only=True, tag=True):
    """Make the volume `key` of the stack; this node becomes its home."""


class RemoveVolume(_OnVolume, frozen=True, kw_only=True, tag=True):
    """Destroy its data: only ever because a person said so."""


class MoveVolume(_OnVolume, frozen=True, kw_only=True, tag=True):
    """Copy its data from `source`, where nothing uses it, to this node; when the two are equal, this is its home."""

    source: NodeName

    @property
    def title(self) -> str:
        return f"move volume {self.name} from {self.source} to {self.node}"


class RemoveCopy(_OnVolume, frozen=True, kw_only=True, tag=True):
    """Remove what a move left on this node, which is not its home."""

    @property
    def title(self) -> str:
        return f"remove the copy of volume {self.name} on {self.node}"


class _OnContainer(Operation, frozen=True, kw_only=True):
    service: ServiceName
    slot: SlotNumber

    @property
    def subject(self) -> str:
        return slot_name(self.service, self.slot)


class CreateContainer(_OnContainer, frozen=True, kw_only=True, tag=True):
    """Make the container `name`, stopped, attached to the first of its networks.

    replaces: the container whose place it will take; `inherits` are that one's anonymous volumes.
    lenders:  service -> the container of it whose namespace the new one lives in (`network_mode: service:x`).
    spans:    it will be on a network that spans hosts, so the engine must not restart it: at a boot without a manager
              it would block the engine's API, and be given up. Source: measured on 20.10.
    """

    name: str
    config: Digest
    replaces: str = ""
    inherits: tuple[HeldVolume, ...] = ()
    lenders: Mapping[ServiceName, ContainerId] = {}
    spans: bool = False

    @property
    def target(self) -> str:
        return f"{self.node}/container/{self.name}"


class OnExisting(_OnContainer, frozen=True, kw_only=True):
    """An operation on a container that is there."""

    container: ContainerId
    name: str

    @property
    def target(self) -> str:
        return f"{self.node}/container/{self.container}"


class ConnectNetwork(OnExisting, frozen=True, kw_only=True, tag=True):
    """Attach it to one more network (engines before API 1.44 take only one at creation)."""

    network: str


class StartContainer(OnExisting, frozen=True, kw_only=True, tag=True):
    """Put its secrets and configs in place, then start it."""


class StopContainer(OnExisting, frozen=True, kw_only=True, tag=True):
    """Stop signal, grace, then kill. `grace_s` None: the container's own."""

    grace_s: float | None = None


class RemoveContainer(OnExisting, frozen=True, kw_only=True, tag=True):
    """Remove it; its anonymous volumes go only when `volumes` says so. `force`: though it runs, without a grace."""

    volumes: bool = False
    force: bool = False


class RenameContainer(OnExisting, frozen=True, kw_only=True, tag=True):
    """Give it its lasting name, now that nobody else has it. `name` is today's."""

    to: str


AnyOperation = (
    PullImage
    | BuildImage
    | CopyImage
    | CreateNetwork
    | RemoveNetwork
    | PinNetwork
    | UnpinNetwork
    | InitFabric
    | JoinFabric
    | PromoteMember
    | RemoveMember
    | LeaveFabric
    | CreateVolume
    | RemoveVolume
    | MoveVolume
    | RemoveCopy
    | CreateContainer
    | ConnectNetwork
    | StartContainer
    | StopContainer
    | RemoveContainer
    | RenameContainer
)


def _spaced(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
