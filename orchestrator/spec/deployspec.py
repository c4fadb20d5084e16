"""`deploy`, `restart`, `scale` and what `x-orch` says of them -> the fields of ServiceSpec: how many, where, how again.

Source: Compose Deploy Specification; for `restart` and conditions, Docker Compose.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import BadValue, SpecError, UnsupportedKey
from orchestrator.model.spec import Mode, Order, Resources, RestartCondition, RestartPolicy, Update
from orchestrator.spec import ownkeys, sizes
from orchestrator.spec.placementspec import placement_rules
from orchestrator.spec.tree import Map

CONDITIONS = {
    "none": RestartCondition.NO,
    "no": RestartCondition.NO,
    "on-failure": RestartCondition.ON_FAILURE,
    "any": RestartCondition.ALWAYS,
    "always": RestartCondition.ALWAYS,
    "unless-stopped": RestartCondition.UNLESS_STOPPED,
}
"""`deploy.restart_policy.condition` -> the engine's policy. Source: Docker Compose."""


def deployed(name: str, service: Map, problems: list[SpecError]) -> dict[str, Any]:
    """Fields of ServiceSpec by name; what orch can't do and what means nothing goes to `problems`."""
    return _Deployment(name, service, problems).fields()


JOBS = ("replicated-job", "global-job")


class _Deployment:
    def __init__(self, name: str, service: Map, problems: list[SpecError]) -> None:
        self._name, self._service, self._problems = name, service, problems
        self._deploy: Map = service.get("deploy") or Map(service.at)
        self._own = ownkeys.own_keys("services", name, service, problems)

    def fields(self) -> dict[str, Any]:
        return {
            "mode": self._mode(),
            "replicas": self._replicas(),
            "update": self._update(),
            "restart": self._restart(),
            "resources": self._resources(),
            "placement": placement_rules(self._name, self._deploy, self._own, self._problems),
            "many_writers": bool(self._own.get("many_writers", False)),
        }

    def _refuse(self, key: str, holder: Map, why: str, fix: str = "") -> None:
        what = f'service "{self._name}": orch does not honour "{key}: {holder[key]}" yet'
        self._problems.append(UnsupportedKey(what, where=str(holder.place(key)), why=why, fix=fix or "remove it"))

    def _wrong(self, key: str, holder: Map, allowed: str) -> None:
        what = f'service "{self._name}": "{holder[key]}" is no value of {key}'
        self._problems.append(BadValue(what, where=str(holder.place(key)), fix=f"use {allowed}"))

    def _mode(self) -> Mode:
        mode = self._deploy.get("mode", Mode.REPLICATED)
        if mode in JOBS:
            self._refuse("mode", self._deploy, "jobs are not there yet",
                         'use `restart: "no"` for a container that ends')  # fmt: skip
        elif mode not in set(Mode):
            self._wrong("mode", self._deploy, "replicated or global")
        if mode == Mode.GLOBAL and self._service.get("container_name"):
            self._wrong("container_name", self._service, "no container_name with `mode: global`")
        if self._deploy.get("endpoint_mode", "dnsrr") != "dnsrr":
            self._refuse("endpoint_mode", self._deploy, "a name resolves to every container of a service")
        return Mode.GLOBAL if mode == Mode.GLOBAL else Mode.REPLICATED

    def _replicas(self) -> int:
        scale, replicas = self._service.get("scale"), self._deploy.get("replicas")
        amount = scale if scale is not None else replicas
        return 1 if amount is None else int(amount)

    def _update(self) -> Update:
        config = self._deploy.get("update_config") or Map()
        order, parallelism = config.get("order"), config.get("parallelism")
        return Update(
            parallelism=1 if parallelism is None else parallelism, order=Order(order) if order else Order.AUTO
        )

    def _restart(self) -> RestartPolicy:
        if "restart" in self._service:
            return self._legacy_restart(self._service["restart"])
        policy = self._deploy.get("restart_policy")
        return RestartPolicy() if policy is None else self._restart_policy(policy)

    def _restart_policy(self, policy: Map) -> RestartPolicy:
        condition = CONDITIONS.get(policy.get("condition", "any"))
        if condition is None:
            self._wrong("condition", policy, "none, on-failure or any")
            return RestartPolicy()
        attempts = policy.get("max_attempts") or 0
        if attempts and condition is not RestartCondition.ON_FAILURE:
            self._refuse("max_attempts", policy, "the engine counts attempts for on-failure only",
                         "set `condition: on-failure`")  # fmt: skip
        return RestartPolicy(condition=condition, max_attempts=attempts)

    def _legacy_restart(self, written: str) -> RestartPolicy:
        condition, _, attempts = written.partition(":")
        if condition not in set(RestartCondition) or (attempts and not attempts.isdigit()):
            self._wrong("restart", self._service, '"no", always, on-failure, on-failure:N or unless-stopped')
            return RestartPolicy()
        if attempts and condition != "on-failure":
            self._wrong("restart", self._service, "on-failure:N for a number of attempts")
        return RestartPolicy(condition=RestartCondition(condition), max_attempts=int(attempts or 0))

    def _resources(self) -> Resources:
        resources = self._deploy.get("resources") or Map()
        limits, reserved = resources.get("limits") or Map(), resources.get("reservations") or Map()
        service = self._service
        return Resources(
            nano_cpus=_nano(limits.get("cpus") or service.get("cpus")),
            memory_bytes=sizes.parse(limits.get("memory") or service.get("mem_limit", "0")),
            pids=limits.get("pids") or service.get("pids_limit", 0),
            reserved_nano_cpus=_nano(reserved.get("cpus")),
            reserved_memory_bytes=sizes.parse(reserved.get("memory") or service.get("mem_reservation", "0")),
        )


def _nano(cpus: float | None) -> int:
    return round((cpus or 0) * 10**9)
