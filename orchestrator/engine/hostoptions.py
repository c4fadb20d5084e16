"""Resources and `HostOptions` of a service, as keys of `HostConfig`. Pure.

Source: Docker Engine API, `HostConfig`. Zero, empty and None are the engine's default; the caller leaves them out.
"""

from __future__ import annotations

from orchestrator.engine.body import Body, without_defaults
from orchestrator.model.options import Blkio, DeviceRequest, HostOptions
from orchestrator.model.spec import Resources


def resources(resources: Resources) -> Body:
    """Limits, and the reservation of memory, which the engine takes as a soft limit."""
    return {
        "NanoCpus": resources.nano_cpus,
        "Memory": resources.memory_bytes,
        "PidsLimit": resources.pids or None,
        "MemoryReservation": resources.reserved_memory_bytes,
    }


def host_options(host: HostOptions) -> Body:
    """Every option, said or not; `ipc` and `pid` are of the request."""
    return {
        **{key: list(getattr(host, name)) for name, key in LISTS},
        **{key: getattr(host, name) for name, key in PLAIN},
        "Sysctls": dict(host.sysctls),
        "StorageOpt": dict(host.storage_opt),
        "Ulimits": [{"Name": name, "Soft": u.soft, "Hard": u.hard} for name, u in sorted(host.ulimits.items())],
        "Devices": [
            {"PathOnHost": d.source, "PathInContainer": d.target, "CgroupPermissions": d.permissions}
            for d in host.devices
        ],
        "DeviceRequests": [_device_request(request) for request in host.device_requests],
        **_blkio(host.blkio_config or Blkio()),
        "MaskedPaths": [] if host.open_system_paths else None,
        "ReadonlyPaths": [] if host.open_system_paths else None,
        "LogConfig": host.logging and {"Type": host.logging.driver, "Config": dict(host.logging.options)},
    }


def _device_request(request: DeviceRequest) -> Body:
    return without_defaults(
        {
            "Driver": request.driver,
            "Count": request.count,
            "DeviceIDs": list(request.ids),
            "Capabilities": [list(request.capabilities)] if request.capabilities else None,
            "Options": dict(request.options),
        }
    )


def _blkio(blkio: Blkio) -> Body:
    return {
        "BlkioWeight": blkio.weight,
        "BlkioWeightDevice": [{"Path": each.path, "Weight": each.weight} for each in blkio.weight_device],
        **{key: [{"Path": each.path, "Rate": each.rate} for each in getattr(blkio, name)] for name, key in RATES},
    }


RATES: tuple[tuple[str, str], ...] = (
    # (field of Blkio, key of HostConfig)
    ("device_read_bps", "BlkioDeviceReadBps"),
    ("device_read_iops", "BlkioDeviceReadIOps"),
    ("device_write_bps", "BlkioDeviceWriteBps"),
    ("device_write_iops", "BlkioDeviceWriteIOps"),
)

LISTS: tuple[tuple[str, str], ...] = (
    # (field of HostOptions, key of HostConfig)
    ("cap_add", "CapAdd"),
    ("cap_drop", "CapDrop"),
    ("security_opt", "SecurityOpt"),
    ("device_cgroup_rules", "DeviceCgroupRules"),
    ("group_add", "GroupAdd"),
    ("dns", "Dns"),
    ("dns_search", "DnsSearch"),
    ("dns_opt", "DnsOptions"),
    ("extra_hosts", "ExtraHosts"),
)

PLAIN: tuple[tuple[str, str], ...] = (
    # (field of HostOptions, key of HostConfig); ipc and pid are of the request
    ("privileged", "Privileged"),
    ("read_only", "ReadonlyRootfs"),
    ("init", "Init"),
    ("uts", "UTSMode"),
    ("userns_mode", "UsernsMode"),
    ("cgroup", "CgroupnsMode"),
    ("cgroup_parent", "CgroupParent"),
    ("runtime", "Runtime"),
    ("isolation", "Isolation"),
    ("shm_size_bytes", "ShmSize"),
    ("oom_kill_disable", "OomKillDisable"),
    ("oom_score_adj", "OomScoreAdj"),
    ("cpu_shares", "CpuShares"),
    ("cpu_period", "CpuPeriod"),
    ("cpu_quota", "CpuQuota"),
    ("cpu_rt_period", "CpuRealtimePeriod"),
    ("cpu_rt_runtime", "CpuRealtimeRuntime"),
    ("cpu_count", "CpuCount"),
    ("cpu_percent", "CpuPercent"),
    ("cpuset", "CpusetCpus"),
    ("memory_swap_bytes", "MemorySwap"),
    ("mem_swappiness", "MemorySwappiness"),
)
