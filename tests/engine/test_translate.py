"""Requests as the Engine API's JSON, compared as text with `golden/`; rewrite with `--update-scenarios`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.engine.protocol import ContainerRequest, NetworkJoin
from orchestrator.engine.translate import container_body, network_body, volume_body
from orchestrator.errors import TooOld
from orchestrator.model.cluster import HeldVolume
from orchestrator.model.names import ServiceName
from orchestrator.model.options import (
    Blkio,
    Device,
    DeviceRate,
    DeviceRequest,
    DeviceWeight,
    HostOptions,
    Logging,
    Ulimit,
)
from orchestrator.model.shared import IpamPool, NetworkSpec, VolumeSpec
from orchestrator.model.spec import (
    Attachment,
    FileGrant,
    Healthcheck,
    Mount,
    MountType,
    Port,
    Resources,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
)

GOLDEN = Path(__file__).parent / "golden"
LABELS = {"dev.orch.stack": "shop", "dev.orch.service": "web"}
WEB = ServiceName("web")


def request(service: ServiceSpec, **rest: Any) -> ContainerRequest:
    return ContainerRequest(name="shop-web-1", service=service, labels=LABELS, **rest)


HOST = HostOptions(
    cap_add=("NET_ADMIN",),
    cap_drop=("ALL",),
    privileged=True,
    read_only=True,
    security_opt=("no-new-privileges:true",),
    sysctls={"net.core.somaxconn": "1024"},
    ulimits={"nofile": Ulimit(soft=1024, hard=4096), "core": Ulimit(soft=0, hard=0)},
    devices=(Device(source="/dev/fuse", target="/dev/f", permissions="rw"),),
    device_cgroup_rules=("c 1:3 mr",),
    group_add=("audio",),
    dns=("10.0.0.53",),
    dns_search=("example.org",),
    dns_opt=("ndots:1",),
    extra_hosts=("db:10.0.0.2",),
    init=False,
    ipc="ignored: the request's counts",
    uts="host",
    userns_mode="host",
    cgroup="private",
    cgroup_parent="/slice",
    runtime="runc",
    isolation="default",
    shm_size_bytes=67108864,
    storage_opt={"size": "1G"},
    oom_kill_disable=True,
    oom_score_adj=-500,
    cpu_shares=512,
    cpu_period=100000,
    cpu_quota=50000,
    cpuset="0,1",
    memory_swap_bytes=-1,
    mem_swappiness=0,
    logging=Logging(driver="json-file", options={"max-size": "10m"}),
    device_requests=(
        DeviceRequest(count=-1, capabilities=("gpu",), driver="nvidia", options={"a": "b"}),
        DeviceRequest(driver="cdi", ids=("vendor.com/class=0",)),
    ),
    blkio_config=Blkio(
        weight=300,
        weight_device=(DeviceWeight(path="/dev/sda", weight=400),),
        device_read_bps=(DeviceRate(path="/dev/sda", rate=1048576),),
        device_read_iops=(DeviceRate(path="/dev/sda", rate=100),),
        device_write_bps=(DeviceRate(path="/dev/sda", rate=2097152),),
        device_write_iops=(DeviceRate(path="/dev/sda", rate=200),),
    ),
    cpu_rt_period=10000,
    cpu_rt_runtime=5000,
    cpu_count=2,
    cpu_percent=50,
    open_system_paths=True,
)

SERVICES: dict[str, ContainerRequest] = {
    "smallest": request(ServiceSpec(name=WEB, image="web:1")),
    "plain_keys": request(
        ServiceSpec(
            name=WEB,
            image="web:1",
            command=("serve", "--port", "80"),
            entrypoint=(),
            environment={"A": "1", "EMPTY": "", "UNSET": None},
            labels={"tier": "front"},
            user="1000:1000",
            working_dir="/app",
            hostname="web",
            domainname="example.org",
            tty=True,
            stdin_open=True,
            stop_signal="SIGQUIT",
            stop_grace_period_s=1.5,
            restart=RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=3),
            resources=Resources(
                nano_cpus=500000000, memory_bytes=1048576, pids=64, reserved_nano_cpus=1, reserved_memory_bytes=524288
            ),
        ),
        ipc="container:abc",
        pid="host",
        network_mode="host",
    ),
    "no_grace": request(ServiceSpec(name=WEB, image="web:1", stop_grace_period_s=0.0), network_mode="none"),
    "host_options": request(ServiceSpec(name=WEB, image="web:1", host=HOST), ipc="shareable"),
    "healthcheck": request(
        ServiceSpec(
            name=WEB,
            image="web:1",
            healthcheck=Healthcheck(
                test=("CMD-SHELL", "true"), interval_s=1.5, timeout_s=0.25, retries=3, start_period_s=10
            ),
        )
    ),
    "healthcheck_of_the_image": request(ServiceSpec(name=WEB, image="web:1", healthcheck=Healthcheck(interval_s=5.0))),
    "no_healthcheck": request(ServiceSpec(name=WEB, image="web:1", healthcheck=Healthcheck(test=("NONE",)))),
    "ports": request(
        ServiceSpec(
            name=WEB,
            image="web:1",
            ports=(
                Port(target=80),
                Port(target=80, published="8080", host_ip="127.0.0.1"),
                Port(target=53, published="5300-5310", protocol="udp"),
            ),
            expose=("9000", "9100-9102/udp"),
        ),
        slot=3,
    ),
    "mounts": request(
        ServiceSpec(
            name=WEB,
            image="web:1",
            mounts=(
                Mount(type=MountType.VOLUME, source="data", target="/data", nocopy=True),
                Mount(type=MountType.VOLUME, target="/cache"),
                Mount(type=MountType.VOLUME, target="/fresh"),
                Mount(type=MountType.BIND, source="/srv", target="/srv", read_only=True, propagation="rshared"),
                Mount(type=MountType.BIND, source="/ctx", target="/ctx", selinux="z", create_host_path=False),
                Mount(type=MountType.BIND, source="/must", target="/must", create_host_path=False, propagation="slave"),
                Mount(type=MountType.BIND, source="/a:b", target="/a"),
                Mount(type=MountType.TMPFS, target="/tmp", size_bytes=1048576, mode=0o1777),
            ),
        ),
        volumes={"data": "shop_data"},
        inherits=(HeldVolume(name="old1", target="/cache"), HeldVolume(name="old2", target="/of/the/image")),
    ),
    "files_in_a_read_only_root": request(
        ServiceSpec(
            name=WEB,
            image="web:1",
            host=HostOptions(read_only=True),
            secrets=(FileGrant(source="a", target="/run/secrets/a"), FileGrant(source="b", target="/run/secrets/b")),
            configs=(FileGrant(source="c", target="/data/conf/c"), FileGrant(source="d", target="/etc/app/d")),
            mounts=(Mount(type=MountType.VOLUME, source="data", target="/data"),),
        ),
        volumes={"data": "shop_data"},
    ),
    "networks": request(
        ServiceSpec(name=WEB, image="web:1"),
        networks=(
            NetworkJoin(
                name="shop_front",
                attachment=Attachment(
                    network="front",
                    ipv4_address="10.5.0.5",
                    ipv6_address="fd00::5",
                    link_local_ips=("169.254.1.1",),
                    mac_address="02:42:ac:11:00:05",
                    driver_opts={"a": "b"},
                ),
                aliases=("web", "shop-web-1"),
            ),
            NetworkJoin(name="shop_back", attachment=Attachment(network="back"), aliases=("web",)),
        ),
    ),
}


def compared(name: str, body: dict[str, Any], config: pytest.Config) -> None:
    path, text = GOLDEN / f"{name}.json", json.dumps(body, indent=1, sort_keys=True) + "\n"
    if config.getoption("--update-scenarios"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_on_a_recent_engine(name: str, pytestconfig: pytest.Config) -> None:
    compared(name, container_body(SERVICES[name], (1, 45)), pytestconfig)


def test_a_container_on_an_engine_that_takes_one_network(pytestconfig: pytest.Config) -> None:
    compared("networks_1.41", container_body(SERVICES["networks"], (1, 41)), pytestconfig)


def test_a_network(pytestconfig: pytest.Config) -> None:
    network = NetworkSpec(
        key="front",
        name="shop_front",
        driver="bridge",
        driver_opts={"com.docker.network.driver.mtu": "1400"},
        internal=True,
        attachable=True,
        enable_ipv6=True,
        labels={"tier": "front"},
        ipam_options={"x": "y"},
        ipam=(
            IpamPool(subnet="10.5.0.0/24", ip_range="10.5.0.0/25", gateway="10.5.0.1", aux_addresses={"h": "10.5.0.9"}),
        ),
    )

    compared("network", network_body(network, LABELS, (1, 41)), pytestconfig)
    assert network_body(NetworkSpec(key="a", name="a"), {}, (1, 41)) == {"Name": "a", "CheckDuplicate": True}


def test_a_volume(pytestconfig: pytest.Config) -> None:
    volume = VolumeSpec(key="d", name="shop_d", driver="local", driver_opts={"type": "nfs"}, labels={"tier": "data"})

    compared("volume", volume_body(volume, LABELS), pytestconfig)


def test_every_golden_file_is_of_a_test() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*SERVICES, "networks_1.41", "network", "volume"}


def test_an_older_engine_has_no_network_without_ipv4() -> None:
    network = NetworkSpec(key="six", name="shop_six", enable_ipv4=False, enable_ipv6=True)

    assert network_body(network, {}, (1, 48))["EnableIPv4"] is False
    with pytest.raises(TooOld, match='network "six" has "enable_ipv4: false"'):
        network_body(network, {}, (1, 47))


NEW: dict[str, tuple[ContainerRequest, tuple[int, int]]] = {
    "healthcheck.start_interval": (
        request(ServiceSpec(name=WEB, image="a", healthcheck=Healthcheck(start_interval_s=1.0))),
        (1, 44),
    ),
    "volumes.volume.subpath": (
        request(
            ServiceSpec(
                name=WEB, image="a", mounts=(Mount(type=MountType.VOLUME, source="d", target="/d", subpath="x"),)
            ),
            volumes={"d": "d"},
        ),
        (1, 45),
    ),
    "annotations": (request(ServiceSpec(name=WEB, image="a", annotations={"a": "b"})), (1, 43)),
    "cgroup": (request(ServiceSpec(name=WEB, image="a", host=HostOptions(cgroup="host"))), (1, 41)),
    "networks.mac_address": (
        request(
            ServiceSpec(name=WEB, image="a"),
            networks=(
                NetworkJoin(name="m", attachment=Attachment(network="m")),
                NetworkJoin(name="n", attachment=Attachment(network="n", mac_address="02:42:0a:00:00:02")),
            ),
        ),
        (1, 44),
    ),
    "volumes.image": (
        request(
            ServiceSpec(
                name=WEB, image="a", mounts=(Mount(type=MountType.IMAGE, source="b", target="/b", subpath="c"),)
            )
        ),
        (1, 48),
    ),
    "volumes.bind.recursive": (
        request(
            ServiceSpec(
                name=WEB,
                image="a",
                mounts=(
                    Mount(type=MountType.BIND, source="/b", target="/b", read_only=True, recursive="readonly"),
                    Mount(type=MountType.BIND, source="/c", target="/c", read_only=True, recursive="writable"),
                ),
            )
        ),
        (1, 44),
    ),
    "devices (by CDI name)": (
        request(
            ServiceSpec(
                name=WEB,
                image="a",
                host=HostOptions(device_requests=(DeviceRequest(driver="cdi", ids=("vendor.com/class=0",)),)),
            )
        ),
        (1, 44),
    ),
    "networks.gw_priority": (
        request(
            ServiceSpec(name=WEB, image="a"),
            networks=(NetworkJoin(name="n", attachment=Attachment(network="n", gw_priority=1)),),
        ),
        (1, 48),
    ),
    "networks.interface_name": (
        request(
            ServiceSpec(name=WEB, image="a"),
            networks=(NetworkJoin(name="n", attachment=Attachment(network="n", interface_name="eth9")),),
        ),
        (1, 49),
    ),
}


@pytest.mark.parametrize("key", sorted(NEW))
def test_what_an_older_engine_lacks_is_refused_and_a_newer_one_is_told(key: str) -> None:
    asked, since = NEW[key]
    plain = request(ServiceSpec(name=WEB, image="a"))

    assert container_body(asked, since) != container_body(plain, since)
    with pytest.raises(TooOld, match=re.escape(f'service "web" has "{key}"')):
        container_body(asked, (since[0], since[1] - 1))


def test_every_host_option_is_translated() -> None:
    """A field that is added to the model and forgotten here would be dropped silently."""
    said = msgspec.json.encode(container_body(SERVICES["host_options"], (1, 49)))
    for field in msgspec.structs.fields(HostOptions):
        if field.name in ("ipc", "pid"):
            continue
        others = msgspec.structs.replace(HOST, **{field.name: getattr(HostOptions(), field.name)})
        changed = request(ServiceSpec(name=WEB, image="web:1", host=others), ipc="shareable")
        assert msgspec.json.encode(container_body(changed, (1, 49))) != said, field.name


BY_OTHERS = frozenset(
    {
        # keys of a service that never reach the engine's body of a container
        *("name", "build", "pull_policy", "platform", "container_name", "depends_on", "networks", "network_mode"),
        *("secrets", "configs", "mode", "replicas", "update", "attach", "refresh_after_s", "post_start", "pre_stop"),
        *("links", "volumes_from"),  # as the request says
        *("placement", "many_writers"),
    }
)


def test_every_key_of_a_service_is_translated_or_known_to_be_of_others() -> None:
    full = {
        "image": "b",
        "command": ("x",),
        "entrypoint": ("x",),
        "environment": {"a": "b"},
        "labels": {"a": "b"},
        "annotations": {"a": "b"},
        "user": "a",
        "working_dir": "/a",
        "hostname": "a",
        "domainname": "a",
        "tty": True,
        "stdin_open": True,
        "stop_signal": "SIGHUP",
        "stop_grace_period_s": 3.0,
        "ports": (Port(target=1),),
        "expose": ("1",),
        "mounts": (Mount(type=MountType.TMPFS, target="/t"),),
        "healthcheck": Healthcheck(test=("NONE",)),
        "restart": RestartPolicy(condition=RestartCondition.ALWAYS),
        "resources": Resources(pids=1),
        "host": HostOptions(init=True),
        "mac_address": "02:42:0a:00:00:02",
        "use_api_socket": True,
    }
    assert {field.name for field in msgspec.structs.fields(ServiceSpec)} == {*full, *BY_OTHERS}
    plain = container_body(request(ServiceSpec(name=WEB, image="a")), (1, 49))
    for name, value in full.items():
        spec = msgspec.structs.replace(ServiceSpec(name=WEB, image="a"), **{name: value})
        assert container_body(request(spec), (1, 49)) != plain, name
