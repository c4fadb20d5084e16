"""What a stack's text says is what a real engine shows: containers made by `DockerEngine`, then inspected.

Each expectation is (key of the service, path in the inspection, value). Few containers carry many keys each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import connect
from orchestrator.engine.protocol import Engine
from orchestrator.errors import HookFailed, Refused, TooOld
from orchestrator.lab import api
from orchestrator.model.cluster import Container
from orchestrator.model.names import ContainerId
from orchestrator.model.spec import Hook, StackSpec
from orchestrator.reconciler.hooks import run_hooks
from tests.translation.requests import N1, request_of, stack_of

pytestmark = pytest.mark.real

Expectation = tuple[str, str, Any]

WORKLOAD = """
services:
  web:
    image: orch/busybox:1
    container_name: fixed
    platform: linux/amd64
    entrypoint: [sleep]
    command: ["60"]
    environment: {A: 1, EMPTY: ""}
    env_file: v.env
    labels: {tier: front}
    label_file: l.env
    user: "7:8"
    working_dir: /srv
    hostname: w
    domainname: example.org
    tty: true
    stdin_open: true
    stop_signal: SIGQUIT
    stop_grace_period: 1.5s
    expose: ["9000", "9100-9101/udp"]
    ports: [{target: 80, published: "18080", host_ip: 127.0.0.1}, "53/udp"]
    healthcheck: {test: ["CMD", "true"], interval: 2s, timeout: 1s, retries: 2, start_period: 3s}
    restart: on-failure:3
    read_only: true
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    security_opt: [no-new-privileges, "seccomp=./p.json", systempaths=unconfined]
    sysctls: {net.core.somaxconn: 1024}
    ulimits: {nofile: {soft: 1024, hard: 4096}, nproc: 512}
    devices: ["/dev/null:/dev/n:rw"]
    device_cgroup_rules: ["c 1:3 mr"]
    group_add: [5]
    dns: 10.0.0.53
    dns_search: example.org
    dns_opt: ["ndots:1"]
    extra_hosts: {db: 10.0.0.2}
    init: true
    ipc: shareable
    cgroup: private
    runtime: runc
    isolation: default
    shm_size: 64mb
    oom_score_adj: 100
    logging: {driver: json-file, options: {max-size: 10m}}
    tmpfs: ["/small:size=1m,mode=1770", "/odd:exec,uid=3"]
    cpu_shares: 512
    cpus: 0.5
    cpuset: "0"
    mem_limit: 64m
    mem_reservation: 32m
    memswap_limit: 128m
    pids_limit: 64
    mac_address: "02:42:0a:4e:00:09"
    networks: {net: {aliases: [www], ipv4_address: 10.78.0.9, driver_opts: {com.example.o: v}}}
    volumes:
      - data:/data
      - {type: volume, source: data, target: /raw, read_only: true, volume: {nocopy: true}}
      - {type: volume, target: /labelled, volume: {labels: {kept: "yes"}}}
      - {type: bind, source: ./made, target: /b, bind: {propagation: rslave}}
      - {type: bind, source: /tmp, target: /flat, bind: {recursive: disabled, create_host_path: false}}
      - {type: tmpfs, target: /t, tmpfs: {size: 1048576, mode: 01777}}
    external_links: ["other:legacy"]
    blkio_config: {device_read_bps: [{path: /dev/null, rate: 1m}]}
networks:
  net: {ipam: {config: [{subnet: 10.78.0.0/24, gateway: 10.78.0.1}]}, internal: false, labels: {n: "1"}}
volumes:
  data: {labels: {v: "1"}}
"""
PROFILE = '{ "defaultAction": "SCMP_ACT_ALLOW" }'
FILES = {"v.env": "FROM_FILE=1\n", "l.env": "area=west\n", "p.json": PROFILE}
SHOWN: tuple[Expectation, ...] = (
    ("image", "Config.Image", "orch/busybox:1"),
    ("container_name", "Name", "/fixed"),
    ("platform", "Platform", "linux"),
    ("entrypoint", "Config.Entrypoint", ["sleep"]),
    ("command", "Config.Cmd", ["60"]),
    ("environment", "Config.Env", {"A=1", "EMPTY="}),
    ("env_file", "Config.Env", {"FROM_FILE=1"}),
    ("labels", "Config.Labels/tier", "front"),
    ("label_file", "Config.Labels/area", "west"),
    ("user", "Config.User", "7:8"),
    ("working_dir", "Config.WorkingDir", "/srv"),
    ("hostname", "Config.Hostname", "w"),
    ("domainname", "Config.Domainname", "example.org"),
    ("tty", "Config.Tty", True),
    ("stdin_open", "Config.OpenStdin", True),
    ("stop_signal", "Config.StopSignal", "SIGQUIT"),
    ("stop_grace_period", "Config.StopTimeout", 2),
    ("expose", "Config.ExposedPorts", {"9000/tcp", "9100/udp", "9101/udp"}),
    ("ports", "HostConfig.PortBindings/80/tcp", [{"HostIp": "127.0.0.1", "HostPort": "18080"}]),
    ("ports", "HostConfig.PortBindings/53/udp", [{"HostIp": "", "HostPort": ""}]),
    ("healthcheck.test", "Config.Healthcheck.Test", ["CMD", "true"]),
    ("healthcheck.interval", "Config.Healthcheck.Interval", 2 * 10**9),
    ("healthcheck.timeout", "Config.Healthcheck.Timeout", 10**9),
    ("healthcheck.retries", "Config.Healthcheck.Retries", 2),
    ("healthcheck.start_period", "Config.Healthcheck.StartPeriod", 3 * 10**9),
    ("restart", "HostConfig.RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
    ("read_only", "HostConfig.ReadonlyRootfs", True),
    ("cap_add", "HostConfig.CapAdd", ["NET_ADMIN"]),
    ("cap_drop", "HostConfig.CapDrop", ["MKNOD"]),
    ("security_opt", "HostConfig.SecurityOpt", ["no-new-privileges", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']),
    ("security_opt", "HostConfig.MaskedPaths", []),
    ("security_opt", "HostConfig.ReadonlyPaths", []),
    ("sysctls", "HostConfig.Sysctls", {"net.core.somaxconn": "1024"}),
    (
        "ulimits",
        "HostConfig.Ulimits",
        [{"Name": "nofile", "Soft": 1024, "Hard": 4096}, {"Name": "nproc", "Soft": 512, "Hard": 512}],
    ),
    (
        "devices",
        "HostConfig.Devices",
        [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rw"}],
    ),
    ("device_cgroup_rules", "HostConfig.DeviceCgroupRules", ["c 1:3 mr"]),
    ("group_add", "HostConfig.GroupAdd", ["5"]),
    ("dns", "HostConfig.Dns", ["10.0.0.53"]),
    ("dns_search", "HostConfig.DnsSearch", ["example.org"]),
    ("dns_opt", "HostConfig.DnsOptions", ["ndots:1"]),
    ("extra_hosts", "HostConfig.ExtraHosts", ["db:10.0.0.2"]),
    ("init", "HostConfig.Init", True),
    ("ipc", "HostConfig.IpcMode", "shareable"),
    ("cgroup", "HostConfig.CgroupnsMode", "private"),
    ("runtime", "HostConfig.Runtime", "runc"),
    ("isolation", "HostConfig.Isolation", "default"),
    ("shm_size", "HostConfig.ShmSize", 64 * 2**20),
    ("oom_score_adj", "HostConfig.OomScoreAdj", 100),
    ("logging", "HostConfig.LogConfig", {"Type": "json-file", "Config": {"max-size": "10m"}}),
    ("tmpfs", "HostConfig.Tmpfs", {"/odd": "exec,uid=3"}),
    ("cpu_shares", "HostConfig.CpuShares", 512),
    ("cpus", "HostConfig.NanoCpus", 500_000_000),
    ("cpuset", "HostConfig.CpusetCpus", "0"),
    ("mem_limit", "HostConfig.Memory", 64 * 2**20),
    ("mem_reservation", "HostConfig.MemoryReservation", 32 * 2**20),
    ("memswap_limit", "HostConfig.MemorySwap", 128 * 2**20),
    ("pids_limit", "HostConfig.PidsLimit", 64),
    ("networks", "HostConfig.NetworkMode", "t_net"),
    ("networks.aliases", "NetworkSettings.Networks.t_net.Aliases", {"web", "web-1", "www"}),
    ("networks.ipv4_address", "NetworkSettings.Networks.t_net.IPAMConfig.IPv4Address", "10.78.0.9"),
    ("networks.driver_opts", "NetworkSettings.Networks.t_net.DriverOpts", {"com.example.o": "v"}),
    ("external_links", "NetworkSettings.Networks.t_net.Links", ["other:legacy"]),
    ("blkio_config", "HostConfig.BlkioDeviceReadBps", [{"Path": "/dev/null", "Rate": 2**20}]),
)
MOUNTS: tuple[Expectation, ...] = (
    ("volumes.volume", "/data", {"Type": "volume", "Source": "t_data"}),
    (
        "volumes.volume.nocopy",
        "/raw",
        {"Type": "volume", "Source": "t_data", "ReadOnly": True, "VolumeOptions": {"NoCopy": True}},
    ),
    ("volumes.volume.labels", "/labelled", {"Type": "volume", "VolumeOptions": {"Labels": {"kept": "yes"}}}),
    ("volumes.bind.recursive", "/flat", {"Type": "bind", "Source": "/tmp", "BindOptions": {"NonRecursive": True}}),
    ("volumes.tmpfs", "/t", {"Type": "tmpfs", "TmpfsOptions": {"SizeBytes": 2**20, "Mode": 0o1777}}),
    ("tmpfs", "/small", {"Type": "tmpfs", "TmpfsOptions": {"SizeBytes": 2**20, "Mode": 0o1770}}),
)

BARE = """
services:
  web:
    image: orch/busybox:1
    command: sleep 60
    privileged: true
    network_mode: host
    ipc: host
    pid: host
    uts: host
    userns_mode: host
    cgroup_parent: /orch-keys
    cpu_period: 100000
    cpu_quota: 50000
    cpu_count: 2
    cpu_percent: 50
    mem_swappiness: 10
    oom_kill_disable: true
    gpus: all
    blkio_config: {weight: 300, weight_device: [{path: /dev/null, weight: 400}]}
    healthcheck: {disable: true}
    init: false
    deploy:
      restart_policy: {condition: any}
      resources:
        limits: {pids: 32, memory: 64m}
        reservations: {devices: [{capabilities: [compute], device_ids: [a, b], driver: d, options: {o: v}}]}
"""
BARE_SHOWN: tuple[Expectation, ...] = (
    ("privileged", "HostConfig.Privileged", True),
    ("network_mode", "HostConfig.NetworkMode", "host"),
    ("ipc", "HostConfig.IpcMode", "host"),
    ("pid", "HostConfig.PidMode", "host"),
    ("uts", "HostConfig.UTSMode", "host"),
    ("userns_mode", "HostConfig.UsernsMode", "host"),
    ("cgroup_parent", "HostConfig.CgroupParent", "/orch-keys"),
    ("cpu_period", "HostConfig.CpuPeriod", 100000),
    ("cpu_quota", "HostConfig.CpuQuota", 50000),
    ("mem_swappiness", "HostConfig.MemorySwappiness", 10),
    ("oom_kill_disable", "HostConfig.OomKillDisable", True),
    ("healthcheck.disable", "Config.Healthcheck.Test", ["NONE"]),
    ("init", "HostConfig.Init", False),
    ("deploy.restart_policy", "HostConfig.RestartPolicy.Name", "always"),
    ("deploy.resources", "HostConfig.PidsLimit", 32),
    (
        "deploy.resources.reservations.devices",
        "HostConfig.DeviceRequests",
        [
            {"Driver": "d", "Count": 0, "DeviceIDs": ["a", "b"], "Capabilities": [["compute"]], "Options": {"o": "v"}},
            {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": None},
        ],
    ),
)


@pytest.fixture
async def engine(engine_socket: Path) -> AsyncIterator[Engine]:
    found = connect(N1, f"unix://{engine_socket}")
    yield found
    await found.close()


async def made(engine: Engine, stack: StackSpec, service: str = "web", among: Iterable[Container] = ()) -> ContainerId:
    """Its container, and the networks and volumes that it needs."""
    for network in stack.networks.values():
        await engine.create_network(network, {})
    for volume in stack.volumes.values():
        await engine.create_volume(volume, {})
    return await engine.create_container(request_of(stack, service, among))


def inspected(socket: Path, id: str, version: str = "") -> Any:
    return json.loads(api.ask(socket, "GET", f"{version}/containers/{id}/json"))


def at(shown: Any, path: str) -> Any:
    """`Config.Labels/tier`: dots, then a key of its own."""
    head, _, key = path.partition("/")
    for part in head.split("."):
        shown = (shown or {}).get(part)
    return (shown or {}).get(key) if key else shown


def lacking(shown: Any, expected: Iterable[Expectation]) -> list[str]:
    """The expectations that do not hold; a set is looked for among what is there."""
    wrong = []
    for key, path, value in expected:
        there = at(shown, path)
        holds = value <= set(there or ()) if isinstance(value, set) else there == value
        if not holds:
            wrong.append(f"{key}: {path} is {there!r}, not {value!r}")
    return wrong


def test_sixty_keys_and_more_are_asked_of_real_engines() -> None:
    listed = {key.partition(".")[0] for key, _, _ in (*SHOWN, *MOUNTS, *BARE_SHOWN)}

    assert len(listed | {key for key, _, _ in OF_THE_HOST}) >= 68


async def test_what_a_text_says_is_what_the_engine_shows(engine: Engine, engine_socket: Path) -> None:
    stack = stack_of(WORKLOAD, FILES)
    shown = inspected(engine_socket, await made(engine, stack))

    assert lacking(shown, SHOWN) == []
    mounts = {mount["Target"]: mount for mount in shown["HostConfig"]["Mounts"]}
    assert [(key, to, mounts[to]) for key, to, value in MOUNTS if not value.items() <= mounts[to].items()] == []
    assert [bind.partition(":")[2] for bind in shown["HostConfig"]["Binds"]] == ["/b:rw,rslave"]
    mac_address = shown["NetworkSettings"]["Networks"]["t_net"]["MacAddress"] or shown["Config"].get("MacAddress")
    assert mac_address == "02:42:0a:4e:00:09"


async def test_what_excludes_the_rest_is_shown_too(engine: Engine, engine_socket: Path) -> None:
    shown = inspected(engine_socket, await made(engine, stack_of(BARE)))

    assert lacking(shown, BARE_SHOWN) == []


TIED = """
services:
  db:
    image: orch/busybox:1
    command: sleep 60
    stop_grace_period: 0s
    ipc: shareable
    volumes: [data:/data]
  web:
    image: orch/busybox:1
    command: sh -c "nslookup database && touch /data/seen; sleep 60"
    links: ["db:database"]
    volumes_from: ["db"]
  guest:
    image: orch/busybox:1
    command: sleep 60
    network_mode: "service:db"
    ipc: "service:db"
    pid: "service:db"
    volumes_from: ["container:t-db-1:ro"]
volumes: {data: {}}
"""


async def test_containers_are_tied_to_each_other_as_the_text_says(engine: Engine, engine_socket: Path) -> None:
    stack = stack_of(TIED)
    await engine.start(await made(engine, stack, "db"))
    among = await engine.containers(stack.name)
    lender = among[0].id
    web = await made(engine, stack, "web", among)
    await engine.start(web)

    assert await eventually(engine, web, ("ls", "/data"), "seen")
    assert (await engine.container(web)).borrows == {lender}
    shown = inspected(engine_socket, await made(engine, stack, "guest", among))
    mine = f"container:{lender}"
    assert [shown["HostConfig"][key] for key in ("NetworkMode", "IpcMode", "PidMode")] == [mine, mine, mine]
    assert shown["HostConfig"]["VolumesFrom"] == ["t-db-1:ro"]


async def eventually(engine: Engine, container: ContainerId, command: tuple[str, ...], text: str) -> bool:
    """Whether the command comes to say `text` within 5 s."""
    for _ in range(50):
        if text in (await engine.exec(container, command)).output:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_hooks_run_with_their_own_user_folder_and_variables(engine: Engine) -> None:
    stack = stack_of("services: {web: {image: orch/busybox:1, command: sleep 60, user: '7', network_mode: none}}")
    id = await made(engine, stack)
    await engine.start(id)
    line = 'test "$A $PWD $(id -u)" = "1 /tmp 0" && touch /tmp/ran && mknod /tmp/n b 1 1'
    hook = Hook(command=("sh", "-c", line), user="0", working_dir="/tmp", environment={"A": "1", "B": None})
    await run_hooks(engine, id, "web.1", "post_start", (hook,))

    assert (await engine.exec(id, ("ls", "/tmp"))).output.split() == ["n", "ran"]
    with pytest.raises(HookFailed) as caught:
        await run_hooks(engine, id, "web.1", "post_start", (Hook(command=("sh", "-c", "echo no room; exit 3")), hook))
    assert caught.value.why == "it exited with 3: no room"


NEW = {
    "healthcheck.start_interval": "healthcheck: {test: 'true', start_interval: 1s, start_period: 9s}",
    "annotations": "annotations: {com.example.a: b}",
    "volumes.volume.subpath": "volumes: [{type: volume, source: data, target: /d, volume: {subpath: a}}]",
    "volumes.bind.recursive": "volumes: [{type: bind, source: /tmp, target: /t, read_only: true,"
    " bind: {recursive: writable}}]",
    "devices (by CDI name)": "devices: [vendor.com/class=one]",
    "volumes.image": "volumes: [{type: image, source: 'orch/busybox:1', target: /i}]",
    "networks.gw_priority": "networks: {default: {gw_priority: 1}}",
    "networks.interface_name": "networks: {default: {interface_name: eth9}}",
}
"""Keys that came after 20.10, each alone in a service."""
TOO_NEW = {
    "20.10": set(NEW),
    "26.1": {"volumes.image", "networks.gw_priority", "networks.interface_name"},
}


async def test_keys_that_an_engine_is_too_old_for_are_refused_by_name(engine: Engine) -> None:
    version = (await engine.facts()).version
    too_new = next(keys for release, keys in TOO_NEW.items() if version.startswith(release))
    told = {}
    for number, (key, said) in enumerate(NEW.items()):
        stack = stack_of(f"services: {{s{number}: {{image: 'orch/busybox:1', {said}}}}}\nvolumes: {{data: {{}}}}")
        try:
            assert await made(engine, stack, f"s{number}")
        except TooOld as error:
            told[key] = error

    assert told.keys() == too_new
    assert all(f'has "{key}"' in error.what for key, error in told.items())
    assert all("install Docker Engine 2" in error.fix for error in told.values())


async def test_a_network_without_ipv4_is_refused_by_name(engine: Engine) -> None:
    stack = stack_of("{services: {web: {image: a, networks: [six]}}, networks: {six: {enable_ipv4: false}}}")

    with pytest.raises(TooOld, match='network "six" has "enable_ipv4: false"'):
        await made(engine, stack)


OF_THE_HOST: tuple[tuple[str, str, str], ...] = (
    # (key, what the service says, what its container then shows in HostConfig)
    ("cpu_rt_runtime", "cpu_rt_runtime: 5000", "CpuRealtimeRuntime"),
    ("cpu_rt_period", "cpu_rt_period: 10000", "CpuRealtimePeriod"),
    ("storage_opt", "storage_opt: {size: 1G}", "StorageOpt"),
    ("runtime", "runtime: nobody", ""),
    ("isolation", "isolation: hyperv", ""),
    ("sysctls", "sysctls: {kernel.nonsense: 1}", "Sysctls"),
    ("use_api_socket", "use_api_socket: true", "Mounts"),
)
"""Keys that depend on the host's kernel, disks or programs."""


async def test_what_the_host_can_not_do_is_said_in_the_engines_own_words(engine: Engine, engine_socket: Path) -> None:
    told = {}
    for key, said, sent in OF_THE_HOST:
        stack = stack_of(f"services: {{web: {{image: 'orch/busybox:1', network_mode: none, {said}}}}}")
        try:
            id = await made(engine, stack)
        except Refused as error:
            told[key] = error.why
            continue
        assert sent, f"{key} was taken"
        assert inspected(engine_socket, id)["HostConfig"][sent], key
        await engine.remove(id)

    assert {"runtime", "isolation"} <= told.keys()
    assert all(told.values())


async def test_an_image_tells_when_it_got_its_tag(engine: Engine, engine_socket: Path) -> None:
    api.ask(engine_socket, "POST", "/images/orch/busybox:1/tag?repo=tagged&tag=1")
    tagged = await engine.image("tagged:1")

    assert tagged is not None
    assert tagged.fetched_at is not None
    assert timedelta(seconds=-1) < datetime.now(UTC) - tagged.fetched_at < timedelta(minutes=10)
