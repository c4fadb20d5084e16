"""What is asked of a real engine comes back in its inspection: nothing of it was ignored."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.engine import connect
from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.engine.translate import container_body
from orchestrator.lab import api
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber, StackName, container_labels
from orchestrator.model.options import HostOptions, Logging, Ulimit
from orchestrator.model.shared import IpamPool, NetworkSpec
from orchestrator.model.spec import (
    Attachment,
    Healthcheck,
    Mount,
    MountType,
    Port,
    Resources,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
)
from tests.labs import BUSYBOX

pytestmark = pytest.mark.real

HOST = HostOptions(
    cap_add=("NET_ADMIN",),
    cap_drop=("MKNOD",),
    read_only=True,
    security_opt=("no-new-privileges",),
    sysctls={"net.core.somaxconn": "1024"},
    ulimits={"nofile": Ulimit(soft=1024, hard=4096)},
    device_cgroup_rules=("c 1:3 mr",),
    group_add=("5",),
    dns=("10.0.0.53",),
    dns_search=("example.org",),
    dns_opt=("ndots:1",),
    extra_hosts=("db:10.0.0.2",),
    init=False,
    cgroup="private",
    runtime="runc",
    shm_size_bytes=67108864,
    oom_score_adj=100,
    cpu_shares=512,
    cpuset="0",
    memory_swap_bytes=-1,
    mem_swappiness=0,
    logging=Logging(driver="json-file", options={"max-size": "10m"}),
)
SERVICE = ServiceSpec(
    name=ServiceName("web"),
    image=BUSYBOX,
    command=("sleep", "60"),
    entrypoint=("env",),
    environment={"A": "1", "UNSET": None, "EMPTY": ""},
    labels={"tier": "front"},
    user="7:8",
    working_dir="/srv",
    hostname="web",
    domainname="example.org",
    tty=True,
    stdin_open=True,
    stop_signal="SIGQUIT",
    stop_grace_period_s=3.0,
    ports=(Port(target=80), Port(target=53, protocol="udp", published="18053", host_ip="127.0.0.1")),
    expose=("9000",),
    healthcheck=Healthcheck(test=("CMD", "true"), interval_s=2.0, timeout_s=1.0, retries=2, start_period_s=3.0),
    restart=RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=3),
    resources=Resources(nano_cpus=500000000, memory_bytes=67108864, pids=64, reserved_memory_bytes=33554432),
    host=HOST,
    mounts=(
        Mount(type=MountType.VOLUME, source="data", target="/data", nocopy=True),
        Mount(type=MountType.TMPFS, target="/t", size_bytes=1048576, mode=0o1777),
    ),
)


def differences(sent: Any, shown: Any, path: str = "") -> list[str]:
    """Where the inspection lacks what was sent. The image's own environment is there, too."""
    if isinstance(sent, dict):
        shown = shown or {}
        return [found for key in sent for found in differences(sent[key], shown.get(key), f"{path}/{key}")]
    if path.endswith("Env"):
        return [f"{path}: {value} is not there" for value in sent if value not in shown]
    if isinstance(sent, list) and sent and isinstance(sent[0], dict):
        return [found for a, b in zip(sent, shown, strict=True) for found in differences(a, b, path)]
    return [] if sent == shown else [f"{path}: {sent!r} -> {shown!r}"]


async def test_a_container_is_as_it_was_asked_for(engine_socket: Path, tmp_path: Path) -> None:
    bind = Mount(type=MountType.BIND, source=str(tmp_path / "made"), target="/b", read_only=True)
    service = msgspec.structs.replace(SERVICE, mounts=(*SERVICE.mounts, bind))
    engine = connect(NodeName("n1"), f"unix://{engine_socket}")
    pools = (IpamPool(subnet="10.77.0.0/24", gateway="10.77.0.1"),)
    await engine.create_network(NetworkSpec(key="net", name="trip_net", ipam=pools), {})
    labels = container_labels(StackName("trip"), SERVICE.name, SlotNumber(1), 1, Digest("h"))
    attachment = Attachment(network="net", ipv4_address="10.77.0.9", mac_address="02:42:0a:4d:00:09")
    request = ContainerRequest(
        name="trip-web-1",
        service=service,
        labels=labels,
        volumes={"data": "trip_data"},
        networks=(NetworkJoin(name="trip_net", attachment=attachment, aliases=("web",)),),
    )
    id = await engine.create_container(request)
    version = (await engine.facts()).api_version
    body = container_body(request, version)
    shown = json.loads(api.ask(engine_socket, "GET", f"/v{version[0]}.{version[1]}/containers/{id}/json"))

    host, networks = body.pop("HostConfig"), body.pop("NetworkingConfig")["EndpointsConfig"]
    assert differences(body, shown["Config"]) == []
    assert differences(host, shown["HostConfig"]) == []
    assert (
        differences(networks["trip_net"]["IPAMConfig"], shown["NetworkSettings"]["Networks"]["trip_net"]["IPAMConfig"])
        == []
    )
    assert "web" in shown["NetworkSettings"]["Networks"]["trip_net"]["Aliases"]
    await engine.start(id)
    running = await engine.container(id)
    assert (tmp_path / "made").is_dir()
    assert running.address == "10.77.0.9"
    assert {(p.port, p.protocol, p.host_ip) for p in running.ports} >= {(18053, "udp", "127.0.0.1")}
    await engine.close()


async def test_listing_twenty_containers_is_quick(engine_socket: Path) -> None:
    """Measured at 12 to 15 ms on two free cores; the rest is for a busy machine."""
    engine = connect(NodeName("n1"), f"unix://{engine_socket}")
    service = ServiceSpec(name=ServiceName("web"), image=BUSYBOX)
    for slot in range(1, 21):
        labels = container_labels(StackName("many"), service.name, SlotNumber(slot), 1, Digest("h"))
        made = ContainerRequest(name=f"many-web-{slot}", service=service, labels=labels, network_mode="none")
        await engine.create_container(made)
    spans_s = []
    for _ in range(5):
        begun = time.perf_counter()
        found = await engine.containers(StackName("many"))
        spans_s.append(time.perf_counter() - begun)

    assert [container.slot for container in found] == list(range(1, 21))
    assert min(spans_s) < 0.06, spans_s
    await engine.close()
