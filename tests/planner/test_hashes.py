"""What outdates a container, a network or a volume, and what does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.model.names import Digest, ServiceName, StackName
from orchestrator.model.shared import FileSpec, NetworkSpec, VolumeSpec
from orchestrator.model.spec import (
    Attachment,
    Build,
    Constraint,
    Dependency,
    FileGrant,
    Healthcheck,
    Hook,
    HostOptions,
    Link,
    Mode,
    Mount,
    MountType,
    Order,
    PlacementRules,
    Port,
    PullPolicy,
    Resources,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    StackSpec,
    Update,
    VolumesFrom,
)
from orchestrator.planner import network_hash, service_hash, volume_hash

WEB = ServiceSpec(
    name=ServiceName("web"),
    image="nginx",
    networks=(Attachment(network="front"),),
    mounts=(Mount(type=MountType.VOLUME, source="data", target="/data"),),
    configs=(FileGrant(source="site", target="/etc/site"),),
    environment={"A": "1", "B": "2"},
)
STACK = StackSpec(
    name=StackName("shop"),
    services={WEB.name: WEB},
    networks={"front": NetworkSpec(key="front", name="shop_front"), "back": NetworkSpec(key="back", name="shop_back")},
    volumes={"data": VolumeSpec(key="data", name="shop_data"), "old": VolumeSpec(key="old", name="shop_old")},
    configs={"site": FileSpec(key="site", name="shop_site", digest=Digest("1"))},
    secrets={"key": FileSpec(key="key", name="shop_key", digest=Digest("2"))},
)

BEHAVIOUR: dict[str, Any] = {
    "name": ServiceName("other"),
    "image": "nginx:2",
    "platform": "linux/arm64",
    "command": ("run",),
    "entrypoint": ("/bin/sh",),
    "environment": {"A": "1", "B": "3"},
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "user": "1000",
    "working_dir": "/srv",
    "hostname": "host",
    "domainname": "example.org",
    "container_name": "fixed",
    "tty": True,
    "stdin_open": True,
    "stop_signal": "SIGINT",
    "stop_grace_period_s": 3.0,
    "ports": (Port(target=80, published="80"),),
    "expose": ("80",),
    "mounts": (),
    "networks": (Attachment(network="front", aliases=("www",)),),
    "network_mode": "host",
    "mac_address": "02:42:ac:11:00:09",
    "links": (Link(target="db", alias="database"),),
    "volumes_from": (VolumesFrom(service="db"),),
    "healthcheck": Healthcheck(test=("CMD", "ready")),
    "restart": RestartPolicy(condition=RestartCondition.ALWAYS),
    "secrets": (FileGrant(source="key", target="/run/secrets/key"),),
    "configs": (FileGrant(source="site", target="/etc/site", mode=0o400),),
    "resources": Resources(memory_bytes=2**20),
    "host": HostOptions(cap_add=("NET_ADMIN",)),
    "post_start": (Hook(command=("warm", "up")),),
    "use_api_socket": True,
}
"""Each field that a container is made from, with another value."""

POLICY: dict[str, Any] = {
    "build": Build(context="/src"),
    "pull_policy": PullPolicy.ALWAYS,
    "refresh_after_s": 3600.0,
    "depends_on": {ServiceName("db"): Dependency()},
    "replicas": 7,
    "mode": Mode.GLOBAL,
    "update": Update(parallelism=3, order=Order.STOP_FIRST),
    "attach": False,
    "pre_stop": (Hook(command=("drain",)),),
    "placement": PlacementRules(
        constraints=(Constraint(key="node.labels.disk", value="ssd"),), max_replicas_per_node=2
    ),
    "many_writers": True,
}
"""Each field that only decides how many, when and by which way."""


def digest(service: ServiceSpec = WEB, stack: StackSpec = STACK) -> Digest:
    return service_hash(stack, service)


@pytest.mark.parametrize("field", BEHAVIOUR)
def test_what_changes_a_container_changes_its_hash(field: str) -> None:
    assert digest(replace(WEB, **{field: BEHAVIOUR[field]})) != digest()


@pytest.mark.parametrize("field", POLICY)
def test_how_many_and_when_is_not_in_the_hash(field: str) -> None:
    assert digest(replace(WEB, **{field: POLICY[field]})) == digest()


def test_every_field_of_a_service_is_on_one_side() -> None:
    """Whoever adds a field to ServiceSpec decides here whether it outdates containers."""
    assert {*BEHAVIOUR, *POLICY} == {field.name for field in msgspec.structs.fields(ServiceSpec)}


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (Resources(reserved_nano_cpus=10**9), True),
        (Resources(reserved_memory_bytes=2**20), False),
        (Resources(nano_cpus=10**9), False),
        (Resources(pids=10), False),
    ],
)
def test_of_reservations_only_what_the_engine_is_told_counts(change: Resources, is_same: bool) -> None:
    assert (digest(replace(WEB, resources=change)) == digest()) is is_same


def test_the_order_of_keys_is_irrelevant() -> None:
    assert digest(replace(WEB, environment={"B": "2", "A": "1"})) == digest()


def test_the_order_of_commands_and_ports_is_not() -> None:
    one, two = Port(target=80), Port(target=81)

    assert digest(replace(WEB, ports=(one, two))) != digest(replace(WEB, ports=(two, one)))


def test_an_unset_variable_differs_from_an_empty_one() -> None:
    assert digest(replace(WEB, environment={"A": None})) != digest(replace(WEB, environment={"A": ""}))


def test_new_content_of_a_config_outdates_who_has_it() -> None:
    changed = replace(STACK, configs={"site": FileSpec(key="site", name="shop_site", digest=Digest("3"))})

    assert digest(stack=changed) != digest()


@pytest.mark.parametrize(
    "change",
    [
        {"networks": {"front": NetworkSpec(key="front", name="elsewhere")}},
        {"volumes": {"data": VolumeSpec(key="data", name="elsewhere")}},
    ],
)
def test_another_network_or_volume_behind_the_same_key_outdates(change: dict[str, Any]) -> None:
    assert digest(stack=replace(STACK, **change)) != digest()


@pytest.mark.parametrize(
    "change",
    [
        {"name": StackName("other")},
        {"working_dir": "/elsewhere"},
        {"files": ("other.yml",)},
        {"places": {"services/web": "stack.yml:2:3"}},
        {"networks": {"front": STACK.networks["front"], "new": NetworkSpec(key="new", name="shop_new")}},
        {"volumes": {"data": STACK.volumes["data"]}},
        {"secrets": {"key": FileSpec(key="key", name="shop_key", digest=Digest("9"))}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_a_service_does_not_use_is_not_in_its_hash(change: dict[str, Any]) -> None:
    assert digest(stack=replace(STACK, **change)) == digest()


def test_networks_and_volumes_have_hashes_of_their_own() -> None:
    front, data = STACK.networks["front"], STACK.volumes["data"]

    assert network_hash(replace(front, internal=True)) != network_hash(front)
    assert network_hash(replace(front, driver_opts={"a": "1", "b": "2"})) == network_hash(
        replace(front, driver_opts={"b": "2", "a": "1"})
    )
    assert volume_hash(replace(data, driver_opts={"type": "nfs"})) != volume_hash(data)
