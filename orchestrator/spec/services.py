"""One service of the canonical project -> ServiceSpec.

Values that the Compose Specification knows and orch does not honour yet are added to `problems`, with their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import BadValue, SpecError, UnsupportedKey
from orchestrator.model.names import ServiceName
from orchestrator.model.spec import (
    Attachment,
    Build,
    Condition,
    Dependency,
    FileGrant,
    Healthcheck,
    ServiceSpec,
)
from orchestrator.spec import duration, sizes, ties
from orchestrator.spec.deployspec import deployed
from orchestrator.spec.hooks import hooks
from orchestrator.spec.hostoptions import host_options
from orchestrator.spec.mountspec import mounts
from orchestrator.spec.portspec import exposed, published
from orchestrator.spec.pullpolicy import pull_policy
from orchestrator.spec.security import security_options
from orchestrator.spec.tree import Map

Problems = list[SpecError]

_STRINGS = ("platform", "user", "working_dir", "hostname", "domainname", "container_name", "stop_signal",
            "network_mode")  # fmt: skip


def decode_service(stack: str, folder: str, name: str, services: Map, problems: Problems) -> ServiceSpec:
    """The service as the rest of orch knows it; every default that orch acts on is filled in.

    folder:   the project's, which paths are relative to.
    services: all of the project that are active.
    """
    return _Decoder(stack, folder, name, services, problems).decode()


def dependencies(service: Map, services: Map) -> dict[ServiceName, Dependency]:
    """`depends_on` without what is not among `services`: those whose profile is not active."""
    return {
        ServiceName(other): Dependency(
            condition=Condition(entry["condition"]),
            restart=entry.get("restart", False),
            required=entry.get("required", True),
        )
        for other, entry in (service.get("depends_on") or Map()).items()
        if other in services
    }


class _Decoder:
    def __init__(self, stack: str, folder: str, name: str, services: Map, problems: Problems) -> None:
        self._stack, self._folder, self._name = stack, folder, name
        self._services, self._problems = services, problems
        self._service: Map = services[name]

    def _refuse(self, key: str, holder: Map, why: str, fix: str = "") -> None:
        what = f'service "{self._name}": orch does not honour "{key}: {holder[key]}" yet'
        self._problems.append(UnsupportedKey(what, where=str(holder.place(key)), why=why, fix=fix or "remove it"))

    def decode(self) -> ServiceSpec:
        service = self._service
        policy, refresh_after_s = pull_policy(self._name, service, self._problems)
        security = security_options(self._name, service, self._folder, self._problems)
        return ServiceSpec(
            name=ServiceName(self._name),
            image=service.get("image") or f"{self._stack}-{self._name}",
            build=self._build(),
            pull_policy=policy,
            refresh_after_s=refresh_after_s,
            command=_words(service.get("command")),
            entrypoint=_words(service.get("entrypoint")),
            environment=_named(service.get("environment", {})),
            labels=_named(service.get("labels", {})),
            annotations=dict(service.get("annotations", {})),
            tty=service.get("tty", False),
            stdin_open=service.get("stdin_open", False),
            stop_grace_period_s=_seconds(service, "stop_grace_period"),
            ports=published(self._name, service, self._problems),
            expose=exposed(self._name, service, self._problems),
            mounts=mounts(self._name, service, self._problems),
            networks=self._networks(),
            depends_on=dependencies(service, self._services),
            healthcheck=self._healthcheck(),
            secrets=tuple(_grant(grant, "/run/secrets/") for grant in service.get("secrets", ())),
            configs=tuple(_grant(grant, "/") for grant in service.get("configs", ())),
            host=host_options(service, security),
            attach=service.get("attach", True),
            mac_address="" if service.get("networks") else service.get("mac_address", ""),
            links=ties.links(self._name, service, self._problems),
            volumes_from=ties.volumes_from(service),
            post_start=hooks(service, "post_start"),
            pre_stop=hooks(service, "pre_stop"),
            use_api_socket=service.get("use_api_socket", False),
            **deployed(self._name, service, self._problems),
            **{key: service.get(key, "") for key in _STRINGS},
        )

    def _build(self) -> Build | None:
        build = self._service.get("build")
        if build is None:
            return None
        platforms = build.get("platforms", ())
        if len(platforms) > 1:
            self._refuse("platforms", build, "an image is built for one platform", "keep one of them")
        if not build.get("context"):
            what, where = f'service "{self._name}" has an empty build context', str(build.place("context"))
            self._problems.append(BadValue(what, where=where, fix="write . for the project's folder"))
        texts = ("context", "dockerfile", "dockerfile_inline", "target", "network")
        return Build(
            args=dict(build.get("args", {})),
            labels=dict(build.get("labels", {})),
            cache_from=tuple(build.get("cache_from", ())),
            extra_hosts=tuple(entry.replace("=", ":", 1) for entry in build.get("extra_hosts", ())),
            tags=tuple(build.get("tags", ())),
            no_cache=build.get("no_cache", False),
            pull=build.get("pull", False),
            shm_size_bytes=sizes.parse(build.get("shm_size", "0")),
            platform=platforms[0] if platforms else self._service.get("platform", ""),
            **{key: build.get(key, "") for key in texts},
        )

    def _networks(self) -> tuple[Attachment, ...]:
        """By priority, then name: the first one is the primary. Source: Docker Compose."""
        found = [_attachment(key, entry or Map()) for key, entry in (self._service.get("networks") or Map()).items()]
        found.sort(key=lambda attachment: (-attachment.priority, attachment.network))
        if (address := self._service.get("mac_address")) and found and not found[0].mac_address:
            found[0] = _attachment(found[0].network, self._service["networks"][found[0].network] or Map(), address)
        return tuple(found)

    def _healthcheck(self) -> Healthcheck | None:
        check = self._service.get("healthcheck")
        if check is None:
            return None
        if check.get("disable"):
            return Healthcheck(test=("NONE",))
        return Healthcheck(
            test=tuple(check.get("test", ())),
            interval_s=_seconds(check, "interval"),
            timeout_s=_seconds(check, "timeout"),
            retries=check.get("retries"),
            start_period_s=_seconds(check, "start_period"),
            start_interval_s=_seconds(check, "start_interval"),
        )


def _named(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Without the nameless one that Docker Compose reads from an env file whose last line is a bare KEY."""
    return {key: text for key, text in texts.items() if key}


def _words(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _seconds(holder: Map, key: str) -> float | None:
    return duration.seconds(holder[key]) if key in holder else None


def _attachment(key: str, entry: Map, mac_address: str = "") -> Attachment:
    texts = ("ipv4_address", "ipv6_address", "interface_name")
    return Attachment(
        network=key,
        aliases=tuple(entry.get("aliases", ())),
        link_local_ips=tuple(entry.get("link_local_ips", ())),
        mac_address=entry.get("mac_address", mac_address),
        priority=entry.get("priority", 0),
        gw_priority=entry.get("gw_priority", 0),
        driver_opts=dict(entry.get("driver_opts", {})),
        **{text: entry.get(text, "") for text in texts},
    )


def _grant(grant: Map, folder: str) -> FileGrant:
    target = grant.get("target") or grant["source"]
    return FileGrant(
        source=grant["source"],
        target=target if target.startswith("/") else folder + target,
        uid=grant.get("uid", "0"),
        gid=grant.get("gid", "0"),
        mode=int(grant.get("mode", "0444"), 8),
    )
