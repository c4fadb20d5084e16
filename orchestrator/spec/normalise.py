"""What Compose adds to a project that has its long forms: defaults, names, the default network, implied dependencies.

Source: Compose Specification; compose-go's normalisation, as observed.
"""

from __future__ import annotations

from typing import Any

from orchestrator.errors import BadValue
from orchestrator.model.names import StackName, resource_name
from orchestrator.spec.canonical import as_tree
from orchestrator.spec.findings import Findings
from orchestrator.spec.interpolate import Lookup
from orchestrator.spec.merge import merge_maps
from orchestrator.spec.mounts import clean
from orchestrator.spec.paths import maps
from orchestrator.spec.schema import PRE_START
from orchestrator.spec.tree import At, Map, Seq, clone, size

SERVICE_PREFIX = "service:"
SHARED = ("network_mode", "ipc", "pid", "uts", "cgroup")
"""Keys that may name another service whose namespace is shared."""

RESOURCES = ("networks", "volumes", "secrets", "configs")


def set_defaults(tree: Map) -> None:
    """What a file means when it says nothing: each layer of an `include` gets them by itself."""
    for service in maps(tree.get("services")):
        if isinstance(build := service.get("build"), Map):
            _default(build, "context", ".")
            if "dockerfile_inline" not in build:
                _default(build, "dockerfile", "Dockerfile")
        for port in maps(service.get("ports")):
            _default(port, "protocol", "tcp")
            _default(port, "mode", "ingress")
        for secret in maps(service.get("secrets")):
            _default(secret, "target", f"/run/secrets/{secret.get('source')}")
        _default_devices(service)


def _default_devices(service: Map) -> None:
    deploy = service.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, Map) else None
    reserved = resources.get("reservations") if isinstance(resources, Map) else None
    reserved_devices = reserved.get("devices") if isinstance(reserved, Map) else None
    for request in (*maps(service.get("gpus")), *maps(reserved_devices)):
        if "count" not in request and "device_ids" not in request:
            _default(request, "count", -1)


def _default(holder: Map, key: str, value: Any) -> None:
    if holder.get(key) is None:
        holder.put(key, value, holder.at)


def resolve_variables(tree: Map, lookup: Lookup) -> None:
    """`environment` entries without a value take the variable's; those that have none stay null."""
    for service in maps(tree.get("services")):
        environment = service.get("environment")
        if isinstance(environment, Map):
            for key, value in environment.items():
                if value is None and (found := lookup(key)) is not None:
                    environment[key] = found
        elif isinstance(environment, Seq):
            for index, entry in enumerate(environment):
                if isinstance(entry, str) and "=" not in entry and (found := lookup(entry)) is not None:
                    environment[index] = f"{entry}={found}"


def normalise(tree: Map, project: str, lookup: Lookup, findings: Findings) -> None:
    """Complete the merged project, once; `tree` is changed."""
    for name, service in (tree.get("services") or Map()).items():
        if isinstance(service, Map):
            _normalise_service(service, tree["services"].place(name), lookup)
            _complete_hooks(service, f"services.{name}.pre_start", findings)
    networks = tree.setdefault("networks", Map(tree.at))
    if isinstance(networks, Map) and "default" not in networks:
        networks.put("default", None, tree.at)
    for kind in RESOURCES:
        _name_resources(tree.get(kind), project)


def _normalise_service(service: Map, at: At, lookup: Lookup) -> None:
    if not service.get("networks") and "network_mode" not in service and not service.get("provider"):
        service.put("networks", as_tree({"default": None}, at), at)
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    if isinstance(build := service.get("build"), Map):
        _resolve_arguments(build, lookup)
    for mount in maps(service.get("volumes")):
        if isinstance(mount.get("target"), str):
            mount["target"] = clean(mount["target"])
    _imply_dependencies(service, at)
    _copy_scale(service)


_OF_THE_HOOK = ("command", "volumes")
"""What a hook has only of its own."""


def _complete_hooks(service: Map, path: str, findings: Findings) -> None:
    if isinstance(hooks := service.get("pre_start"), Seq):
        for index, hook in enumerate(hooks):
            if isinstance(hook, Map):
                try:
                    findings.copies(size(service), str(hook.at))
                except BadValue as error:
                    findings.add(error)
                    return
                hooks[index] = _completed_hook(hook, service, f"{path}[{index}]", findings)


def _completed_hook(hook: Map, service: Map, path: str, findings: Findings) -> Map:
    """A container that runs before the service: all that it can have is the service's, and the hook's on top."""
    base = Map(hook.at)
    for key in PRE_START.fields or ():
        if key in service and key not in _OF_THE_HOOK:
            base.put(key, clone(service[key]), service.place(key))
    return merge_maps(base, hook, PRE_START, path, findings)


def _resolve_arguments(build: Map, lookup: Lookup) -> None:
    arguments = build.get("args")
    if isinstance(arguments, Seq):
        kept = Seq(arguments.at)
        for entry, at in arguments.entries():
            found = None if "=" in entry else lookup(entry)
            if "=" in entry or found is not None:
                kept.push(entry if found is None else f"{entry}={found}", at)
        build["args"] = kept
    elif isinstance(arguments, Map):
        for key in [key for key, value in arguments.items() if value is None]:
            if (found := lookup(key)) is None:
                del arguments[key]
            else:
                arguments[key] = found


def _imply_dependencies(service: Map, at: At) -> None:
    """Links and shared namespaces wait for the other service, and follow its restarts; `volumes_from` only waits."""
    for name, place, restarts in _implied(service):
        needs = service.get("depends_on")
        if not isinstance(needs, Map):
            needs = Map(at)
            service.put("depends_on", needs, place)
        if name not in needs:
            entry = {"condition": "service_started", "required": True}
            needs.put(name, as_tree({**entry, "restart": True} if restarts else entry, place), place)


def _implied(service: Map) -> list[tuple[str, At, bool]]:
    found: list[tuple[str, At, bool]] = []
    if isinstance(links := service.get("links"), Seq):
        found += [(link.split(":")[0], at, True) for link, at in links.entries()]
    for key in SHARED:
        if isinstance(mode := service.get(key), str) and mode.startswith(SERVICE_PREFIX):
            found.append((mode.removeprefix(SERVICE_PREFIX), service.place(key), True))
    if isinstance(sources := service.get("volumes_from"), Seq):
        found += [(s.split(":")[0], at, False) for s, at in sources.entries() if not s.startswith("container:")]
    return found


def _copy_scale(service: Map) -> None:
    scale, deploy = service.get("scale"), service.get("deploy")
    if scale is not None and isinstance(deploy, Map) and deploy.get("replicas") is None:
        deploy.put("replicas", scale, service.place("scale"))


def _name_resources(resources: Any, project: str) -> None:
    if not isinstance(resources, Map):
        return
    for key, resource in resources.items():
        if resource is None:
            resource = Map(resources.place(key))
            resources[key] = resource
        if resource.get("name") is None:
            name = key if resource.get("external") else resource_name(StackName(project), key)
            resource.put("name", name, resource.at)


def drop_unused_default(tree: Map) -> None:
    """Take out the network that `normalise` added and no service is on."""
    networks = tree["networks"]
    is_used = any("default" in (service.get("networks") or ()) for service in maps(tree.get("services")))
    if networks.places.get("default") == tree.at and not is_used:
        del networks["default"]
    if not networks:
        del tree["networks"]


def prune(tree: Map) -> None:
    """Drop networks, volumes, secrets and configs that no service uses."""
    services = maps(tree.get("services"))
    builds = [service["build"] for service in services if isinstance(service.get("build"), Map)]
    used = {
        "networks": {name for service in services for name in service.get("networks") or ()},
        "volumes": {
            mount.get("source")
            for service in services
            for mount in maps(service.get("volumes"))
            if mount.get("type") == "volume"
        },
        "secrets": {grant.get("source") for holder in (*services, *builds) for grant in maps(holder.get("secrets"))},
        "configs": {grant.get("source") for service in services for grant in maps(service.get("configs"))},
        "models": {name for service in services for name in service.get("models") or ()},
    }
    for kind, names in used.items():
        if isinstance(resources := tree.get(kind), Map):
            for key in [key for key in resources if key not in names]:
                del resources[key]
            if not resources:
                del tree[kind]
