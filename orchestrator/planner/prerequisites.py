"""What a node must have before a container of a service can be made there: its image, its networks, its volumes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orchestrator.model.names import NodeName, SlotNumber, slot_name
from orchestrator.model.operations import BuildImage, CopyImage, CreateVolume, PullImage
from orchestrator.model.plan import Severity
from orchestrator.model.spec import PullPolicy, ServiceSpec
from orchestrator.planner.draft import Draft, Lack, Missing
from orchestrator.planner.links import missing_networks
from orchestrator.planner.world import World


def prepare(world: World, draft: Draft, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> bool:
    """True if the node has all that the slot needs; else the missing is planned, or the slot is blocked."""
    missing = [
        *_image(world, service, node),
        *_mounted_images(world, service, node),
        *missing_networks(world, service, node, to_start=False),
        *_volumes(world, service, slot, node),
    ]
    return not _provide(draft, missing, slot_name(service.name, slot), node)


def prepare_networks(world: World, draft: Draft, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> bool:
    """The same of its networks alone, for a container that exists."""
    missing = list(missing_networks(world, service, node, to_start=True))
    return not _provide(draft, missing, slot_name(service.name, slot), node)


def _provide(draft: Draft, missing: list[Missing], subject: str, node: NodeName) -> bool:
    """True if anything is missing."""
    for need in missing:
        if isinstance(need, Lack):
            severity = Severity.FAILED if need.is_hopeless else Severity.WAITING
            draft.block(subject, need.what, severity=severity, fix=need.fix, node=node, causes=need.causes)
        else:
            draft.add(need)
            draft.block(subject, f"needs {need.subject} on {node}", causes=(need.subject,), node=node)
    return bool(missing)


def refresh_image(world: World, draft: Draft, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> None:
    """Fetches the image again where the policy says so, though a container is there already."""
    due_at = _old_at(world, service, node)
    if due_at is not None and due_at > world.now:
        draft.wake(due_at)
    if is_refreshing(world, service, node):
        _provide(draft, list(_image(world, service, node)), slot_name(service.name, slot), node)


def is_settling(world: World, service: ServiceSpec, node: NodeName) -> bool:
    """It is refreshing, and that has not failed yet: what is to start had better wait for what comes of it."""
    has_failed = f"{node}/image/{service.image}" in world.cluster.failures
    return is_refreshing(world, service, node) and not has_failed


def is_refreshing(world: World, service: ServiceSpec, node: NodeName) -> bool:
    """A container of the service may turn out to be outdated as soon as its image has been fetched."""
    if not world.answers(node) or not (service.pull_policy in AT_EACH_UP or _is_old(world, service, node)):
        return False
    return any(not isinstance(need, Lack) for need in _image(world, service, node))


AT_EACH_UP = (PullPolicy.ALWAYS, PullPolicy.BUILD)


def _old_at(world: World, service: ServiceSpec, node: NodeName) -> datetime | None:
    """When the image that is there gets too old, by a policy like `daily`. Nobody knows its age: it always was."""
    image = world.images.get((node, service.image))
    if service.refresh_after_s is None or image is None:
        return None
    if image.fetched_at is None:
        return datetime.min.replace(tzinfo=UTC)
    return image.fetched_at + timedelta(seconds=service.refresh_after_s)


def _is_old(world: World, service: ServiceSpec, node: NodeName) -> bool:
    due_at = _old_at(world, service, node)
    is_fresh = f"{node}/{service.image}" in world.cluster.fresh_images
    return due_at is not None and due_at <= world.now and not is_fresh


def _image(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    ref, policy = service.image, service.pull_policy
    present = (node, ref) in world.images
    if policy is PullPolicy.BUILD or (service.build and not present):
        yield from _built(world, service, node)
    elif policy is PullPolicy.ALWAYS and f"{node}/{ref}" not in world.cluster.fresh_images:
        yield PullImage(
            node=node, ref=ref, service=service.name, platform=service.platform, cause="its policy is to pull always"
        )
    elif _is_old(world, service, node):
        cause = "it is older than its policy allows" if world.images[node, ref].fetched_at else "nobody knows its age"
        yield PullImage(node=node, ref=ref, service=service.name, platform=service.platform, cause=cause)
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


def _mounted_images(world: World, service: ServiceSpec, node: NodeName) -> Iterator[Missing]:
    for ref in service.images[1:]:
        if (node, ref) in world.images:
            continue
        if source := _holder(world, ref, besides=node):
            yield CopyImage(node=node, ref=ref, service=service.name, source=source, cause=f"{source} has it")
        else:
            yield PullImage(node=node, ref=ref, service=service.name, cause=f"{service.name} mounts it")


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


def _volumes(world: World, service: ServiceSpec, slot: SlotNumber, node: NodeName) -> Iterator[Missing]:
    for name, volume in world.mounted(service, slot).items():
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
