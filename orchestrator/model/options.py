"""The part of a service that the engine takes as it is: nothing in orch decides by it.

Each field is the Compose key of the same name, in the engine's type; None or empty is the engine's default.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value; a change is `msgspec.structs.replace`."""


class Ulimit(Data, frozen=True, kw_only=True):
    soft: int
    hard: int


class Device(Data, frozen=True, kw_only=True):
    source: str
    target: str
    permissions: str = "rwm"


class Logging(Data, frozen=True, kw_only=True):
    driver: str = ""
    options: Mapping[str, str] = {}


class DeviceRequest(Data, frozen=True, kw_only=True):
    """Devices that a driver of the engine brings: graphics cards, or a device by its CDI name.

    count: -1 is all of them; 0 where `ids` name them.
    """

    driver: str = ""
    count: int = 0
    ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: Mapping[str, str] = {}


class DeviceWeight(Data, frozen=True, kw_only=True):
    path: str
    weight: int


class DeviceRate(Data, frozen=True, kw_only=True):
    """`rate` counts bytes or operations per second."""

    path: str
    rate: int


class Blkio(Data, frozen=True, kw_only=True):
    """Shares and limits of block devices. `weight` 0 is the engine's own."""

    weight: int = 0
    weight_device: tuple[DeviceWeight, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


class HostOptions(Data, frozen=True, kw_only=True):
    """See the module."""

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = {}
    ulimits: Mapping[str, Ulimit] = {}
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """Each `name:address`."""
    init: bool | None = None
    ipc: str = ""
    pid: str = ""
    uts: str = ""
    userns_mode: str = ""
    cgroup: str = ""
    cgroup_parent: str = ""
    runtime: str = ""
    isolation: str = ""
    shm_size_bytes: int = 0
    storage_opt: Mapping[str, str] = {}
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset: str = ""
    memory_swap_bytes: int | None = None
    mem_swappiness: int | None = None
    logging: Logging | None = None
    device_requests: tuple[DeviceRequest, ...] = ()
    """`gpus`, `deploy.resources.reservations.devices`, and `devices` by CDI name."""
    blkio_config: Blkio | None = None
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpu_count: int = 0
    cpu_percent: int = 0
    open_system_paths: bool = False
    """`security_opt: [systempaths=unconfined]`: nothing of /proc and /sys is hidden or read-only."""
