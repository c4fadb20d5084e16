"""A slot that nothing holds gets a container: where, under which name, with which volumes and namespaces of others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from orchestrator.model.cluster import Container, HeldVolume
from orchestrator.model.names import ContainerId, NodeName, ServiceName, container_name, interim_name, slot_name
from orchestrator.model.operations import CreateContainer
from orchestrator.model.plan import Severity
from orchestrator.model.spec import MountType, ServiceSpec
from orchestrator.planner.classify import moving_reason
from orchestrator.planner.draft import Draft
from orchestrator.planner.groups import borrowed
from orchestrator.planner.placement import Placement, Unplaceable, lender
from orchestrator.planner.prerequisites import is_settling, prepare
from orchestrator.planner.slots import Slots, SlotState
from orchestrator.planner.world import World


class Making:
    """Makes the containers of one service."""

    def __init__(self, world: World, slots: Slots, placement: Placement, draft: Draft, service: ServiceSpec) -> None:
        self._world, self._slots, self._placement, self._draft = world, slots, placement, draft
        self._service = service

    def make(self, state: SlotState) -> None:
        """Plans the container, or what its node needs first; else says why there is none."""
        if volume := self._world.moving_of(self._service, state.number):
            self._draft.block(state.subject, moving_reason(self._world, volume), causes=(f"volume {volume}",))
            return
        node = self._placement.place(self._service, state.number)
        if isinstance(node, Unplaceable):
            severity = Severity.FAILED if node.is_hopeless else Severity.WAITING
            self._draft.block(state.subject, node.reason, severity=severity, fix=node.fix)
            return
        if not self._has_lenders(state, node):
            return
        if not prepare(self._world, self._draft, self._service, state.number, node):
            return
        old = state.leaving[0] if state.leaving else None
        self._draft.add(
            CreateContainer(
                node=node,
                service=self._service.name,
                slot=state.number,
                name=self._free_name(state, taken=self._world.names[node]),
                config=self._world.hashes[self._service.name],
                replaces=old.container.id if old else "",
                inherits=self._inherited(old.container) if old and old.container.node == node else (),
                lenders=self._lenders(node),
                spans=self._world.spans(self._service),
                cause=old.reason if old else "nothing holds the slot",
            )
        )
        self._draft.block(state.subject, "is being made")

    def _lenders(self, node: NodeName) -> dict[ServiceName, ContainerId]:
        found = ((name, lender(state, node)) for name in borrowed(self._service) for state in self._slots.wanted[name])
        return {name: container.id for name, container in reversed(list(found)) if container is not None}

    def _has_lenders(self, state: SlotState, node: NodeName) -> bool:
        """The containers whose namespaces the new one is to live in are of today's configuration, and on its node."""
        for name in borrowed(self._service):
            states = self._slots.wanted[name]
            places = {
                c.node
                for s in states
                if (c := lender(s)) and not is_settling(self._world, self._world.stack.services[name], c.node)
            }
            if node not in places:
                where = f"is on {', '.join(sorted(places))}, not on {node}" if places else "has to be there first"
                is_vain = bool(places) or not states or name in self._world.intent.stopped
                self.block_for_lender(state, name, where, is_vain=is_vain)
                return False
        return True

    def block_for_lender(self, state: SlotState, name: ServiceName, what: str, *, is_vain: bool) -> None:
        """The slot waits for service `name`, in whose namespace it is to live; `is_vain`: only a person can help."""
        severity = Severity.FAILED if is_vain else Severity.WAITING
        causes = tuple(slot_name(name, lender.number) for lender in self._slots.wanted[name][:1])
        reason = f"{name}, whose namespace or mounts it is to share, {what}"
        fix = f'"orch start {name}"' if name in self._world.intent.stopped else ""
        self._draft.block(state.subject, reason, severity=severity, causes=causes, fix=fix)

    def lasting_name(self, state: SlotState) -> str:
        """What the slot's container is called when nobody else holds that name."""
        return self._service.container_name or container_name(self._world.stack.name, state.service, state.number)

    def _free_name(self, state: SlotState, *, taken: set[str]) -> str:
        name = self.lasting_name(state)
        interim = interim_name(name, self._world.hashes[state.service])
        return next(option for option in _options(name, interim) if option not in taken)

    def _inherited(self, old: Container) -> tuple[HeldVolume, ...]:
        """Anonymous volumes, where the new container would otherwise get an empty one.

        A named volume that the file mounts no more is not among them. Source: Docker Compose, recreate without `-V`.
        """
        image = self._world.images.get((old.node, self._service.image))
        mounts = {m.target: m for m in self._service.mounts}
        unnamed = {m.target for m in mounts.values() if m.type is MountType.VOLUME and not m.source}
        targets = unnamed | ({*image.volumes} - mounts.keys() if image else set())
        return tuple(v for v in old.volumes if v.target in targets and not self._is_of_the_stack(old, v))

    def _is_of_the_stack(self, c: Container, held: HeldVolume) -> bool:
        volume = self._world.volumes.get((c.node, held.name))
        return volume is not None and volume.stack == c.stack


def _options(name: str, interim: str) -> Iterator[str]:
    yield name
    yield interim
    yield from (f"{interim}-{n}" for n in count(2))
