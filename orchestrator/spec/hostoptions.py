"""Keys that the engine takes as they are -> HostOptions."""

from __future__ import annotations

from typing import Any

from orchestrator.model.options import HostOptions, Logging, Ulimit
from orchestrator.spec import sizes
from orchestrator.spec.devices import blkio, device_requests, devices
from orchestrator.spec.tree import Map

_LISTS = ("cap_add", "cap_drop", "device_cgroup_rules", "group_add", "dns", "dns_search", "dns_opt")
_TEXTS = ("ipc", "pid", "uts", "userns_mode", "cgroup", "cgroup_parent", "runtime", "isolation", "cpuset")
_MAPS = ("sysctls", "storage_opt")
_FLAGS = ("privileged", "read_only", "oom_kill_disable")
_NUMBERS = ("oom_score_adj", "cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_count",
            "cpu_percent")  # fmt: skip


def host_options(service: Map, security: dict[str, Any]) -> HostOptions:
    """The options of one service of the canonical project.

    security: the fields that `security_opt` fills.
    """
    options: dict[str, Any] = {key: tuple(service.get(key, ())) for key in _LISTS}
    options |= {key: service.get(key, "") for key in _TEXTS}
    options |= {key: dict(service.get(key, {})) for key in _MAPS}
    options |= {key: service.get(key, False) for key in _FLAGS}
    options |= {key: service.get(key, 0) for key in _NUMBERS}
    return HostOptions(
        ulimits={name: _ulimit(limit) for name, limit in service.get("ulimits", {}).items()},
        devices=devices(service),
        device_requests=device_requests(service),
        blkio_config=blkio(service),
        extra_hosts=tuple(entry.replace("=", ":", 1) for entry in service.get("extra_hosts", ())),
        init=service.get("init"),
        shm_size_bytes=sizes.parse(service.get("shm_size", "0")),
        memory_swap_bytes=_optional_size(service, "memswap_limit"),
        mem_swappiness=_optional_size(service, "mem_swappiness"),
        logging=_logging(service.get("logging")),
        **security,
        **options,
    )


def _ulimit(limit: int | Map) -> Ulimit:
    if isinstance(limit, int):
        return Ulimit(soft=limit, hard=limit)
    return Ulimit(soft=limit.get("soft", 0), hard=limit.get("hard", 0))


def _optional_size(service: Map, key: str) -> int | None:
    return sizes.parse(service[key]) if key in service else None


def _logging(logging: Map | None) -> Logging | None:
    if logging is None:
        return None
    return Logging(driver=logging.get("driver", ""), options=dict(logging.get("options", {})))
