"""What a node must have before a container of a service can be made there: its image, its networks, its volumes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from orchestrator.model.names import NodeName, SlotNumber, slot_name
from orchestrator.model.plan import (
    AnyOperation,
    BuildImage,
    CopyImage,
    CreateNetwork,
    CreateVolume,
    PullImage,
    RemoveNetwork,
    Severity,
)
from orchestrator.model.spec import NetworkSpec, PullPolicy, ServiceSpec
from orchestrator.planner.draft import Draft
from orchestrator.planner.world import World


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """What is missing and no operation can bring."""

    what: str
    fix: str = ""


Missing = AnyOperation | Lack


def prepare(world: World, draft: Draft, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> bool:
    """True if the node has all that the slot needs; else the missing is planned, or the slot is blocked."""
    subject = slot_name(service.name, slot)
    missing = [*_image(world, service, node), *_networks(world, service, node), *_volumes(world, service, node)]
    for need in missing:
        if isinstance(need, Lack):
            draft.block(subject, need.what, severity=Severity.FAILED, fix=need.fix, node=node)
        else:
            draft.add(need)
            draft.block(subject, f"needs {need.subject} on {node}", causes=(need.subject,), node=node)
    return not missing


def refresh_image(world: World, draft: Draft, service: ServiceSpec, node: NodeName) -> None:
    """Fetches the image again where the policy says so at each `up`, though a container runs already."""
    if service.pull_policy in (PullPolicy.ALWAYS, PullPolicy.BUILD):
        for need in _image(world, service, node):
            if not isinstance(need, Lack):
                draft.add(need)


def _image(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    ref, policy = service.image, service.pull_policy
    present = (node, ref) in world.images
    if policy is PullPolicy.BUILD or (service.build and not present):
        yield from _built(world, service, node)
    elif policy is PullPolicy.ALWAYS and f"{node}/{ref}" not in world.cluster.fresh_images:
        yield PullImage(
            node=node, ref=ref, service=service.name, platform=service.platform, cause="its policy is to pull always"
        )
    elif present:
        return
    elif policy is PullPolicy.NEVER:
        yield Lack(
            what=f"image {ref} is not on {node}, and its pull_policy is never",
            fix=f'load it there ("docker load"), or set "pull_policy: missing" for {service.name}',
        )
    elif source := _holder(world, ref, besides=node):
        yield CopyImage(node=node, ref=ref, service=service.name, source=source, cause=f"{source} has it")
    else:
        yield PullImage(node=node, ref=ref, service=service.name, platform=service.platform, cause="no node has it")


def _built(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    """Built on the first node that needs it, copied from there."""
    ref = service.image
    fresh = sorted(entry.partition("/")[0] for entry in world.cluster.fresh_images if entry.partition("/")[2] == ref)
    usable = [NodeName(name) for name in fresh if world.answers(NodeName(name))]
    if service.pull_policy is not PullPolicy.BUILD and not usable:
        usable = [holder for holder in [_holder(world, ref, besides=node)] if holder]
    if node in usable:
        return
    if usable:
        yield CopyImage(node=node, ref=ref, service=service.name, source=usable[0], cause=f"{usable[0]} has it")
    else:
        yield BuildImage(node=node, ref=ref, service=service.name, cause="no node has it built")


def _holder(world: World, ref: str, *, besides: NodeName) -> NodeName | None:
    return next((n for n, name in sorted(world.images) if name == ref and n != besides and world.answers(n)), None)


def _networks(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    for join in service.networks:
        network = world.stack.networks[join.network]
        found = world.networks.get((node, network.name))
        if network.external:
            if found is None:
                yield Lack(
                    what=f"external network {network.name} is not on {node}",
                    fix=f'make it there ("docker network create {network.name}"), or drop "external: true"',
                )
        elif found is None:
            yield CreateNetwork(node=node, name=network.name, key=network.key, cause=f"{service.name} is on it")
        elif found.config and found.config != world.network_hashes[network.name]:
            yield from _stale(world, network, node)


def _stale(world: World, network: NetworkSpec, node: NodeName) -> Iterator[Missing]:
    """A network that is described otherwise now goes first, as soon as no container of the stack is on it."""
    members = [c.name for c in world.containers if c.node == node and network.name in c.networks]
    if members:
        return
    yield RemoveNetwork(node=node, name=network.name, key=network.key, cause="its description changed")


def _volumes(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    for name in world.volume_names(service):
        volume = next(v for v in world.stack.volumes.values() if v.name == name)
        if (node, name) in world.volumes:
            continue
        if volume.external:
            yield Lack(
                what=f"external volume {name} is not on {node}",
                fix=f'make it there ("docker volume create {name}"), or drop "external: true"',
            )
        elif world.cluster.homes.get(name) == node:
            yield Lack(
                what=f"volume {name} had its data on {node} and is gone from there",
                fix=f'bring the data back, or give it up: "orch up --new-volume {name}"',
            )
        else:
            yield CreateVolume(node=node, name=name, key=volume.key, cause=f"{service.name} mounts it")
