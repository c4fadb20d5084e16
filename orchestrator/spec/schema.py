"""The Compose Specification as tables: every key, what it takes, how it merges and how it prints.

Source: the Compose Specification's JSON schema, as Docker Compose v5 validates. `check` (in `validate`) reads these
tables, and so do `interpolate`, `merge`, `canonical` and `printed`: a new key is one new line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.spec.interpolate import as_boolean, as_integer, as_number
from orchestrator.spec.shape import Form, Rule, Shape

NAMES = r"^[a-zA-Z0-9._-]+$"


def _text(**more: Any) -> Shape:
    return Shape("string", form=Form.TEXT, **more)


def _integer(kinds: str = "integer string", **more: Any) -> Shape:
    return Shape(kinds, cast=as_integer, form=Form.INTEGER, **more)


def _number(**more: Any) -> Shape:
    return Shape("number string", cast=as_number, form=Form.NUMBER, **more)


def _boolean(**more: Any) -> Shape:
    return Shape("boolean string", cast=as_boolean, form=Form.BOOLEAN, **more)


def _size(kinds: str = "number string") -> Shape:
    return Shape(kinds, form=Form.BYTES)


def _strings(rule: Rule = Rule.PLAIN, *, distinct: bool = True) -> Shape:
    return Shape("array", items=TEXT, distinct=distinct, rule=rule)


def _record(
    fields: Mapping[str, Shape], *, required: tuple[str, ...] = (), nullable: bool = False, **more: Any
) -> Shape:
    return Shape("object null" if nullable else "object", fields=fields, required=required, **more)


def _either(shape: Shape, kinds: str) -> Shape:
    """`shape`, or one of the scalar `kinds` as its short form."""
    shape.kinds = shape.kinds | frozenset(kinds.split())
    return shape


def _list(items: Shape, rule: Rule = Rule.PLAIN, *, distinct: bool = False) -> Shape:
    return Shape("array", items=items, rule=rule, distinct=distinct)


TEXT = _text()
FLAG = _boolean()
SCALAR = Shape("string number boolean null timestamp")
OPTION = Shape("string number")
DURATION = Shape("string", form=Form.DURATION, keep=True)
SPAN = Shape("string", form=Form.DURATION)
WORDS = Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS)
LABELS = Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.LABELS)
VARIABLES = Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.VARIABLES)
OPTIONS = Shape("object", values=OPTION, rule=Rule.OPTIONS)
TEXTS = Shape("object", values=TEXT, rule=Rule.OPTIONS)
COMMAND = Shape("null string array", items=TEXT, rule=Rule.COMMAND, keep=True)
HOSTS = Shape(
    "object array", values=Shape("string array", items=TEXT), keys=".", items=TEXT, distinct=True, rule=Rule.HOSTS
)
ULIMITS = Shape(
    "object",
    values=_either(
        _record(
            {"hard": _integer(), "soft": _integer()},
            required=("soft", "hard"), rule=Rule.ULIMIT, cast=as_integer,
        ),
        "integer string",
    ),
)  # fmt: skip

_HOOK_FIELDS = {
    "command": COMMAND,
    "user": TEXT,
    "privileged": FLAG,
    "working_dir": TEXT,
    "environment": VARIABLES,
}
HOOK = _record(_HOOK_FIELDS, required=("command",))


def _grants(rule: Rule) -> Shape:
    grant = _record(
        {"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": Shape("number string", form=Form.MODE,
         keep=True)}
    )  # fmt: skip
    return _list(_either(grant, "string"), rule)


BUILD = _either(
    _record(
        {
            "context": TEXT,
            "dockerfile": TEXT,
            "dockerfile_inline": TEXT,
            "entitlements": _strings(distinct=False),
            "args": VARIABLES,
            "ssh": Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.SSH),
            "labels": LABELS,
            "cache_from": _strings(distinct=False),
            "cache_to": _strings(distinct=False),
            "no_cache": FLAG,
            "no_cache_filter": Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS),
            "additional_contexts": LABELS,
            "network": TEXT,
            "provenance": Shape("string boolean", form=Form.TEXT),
            "sbom": Shape("string boolean", form=Form.TEXT),
            "pull": FLAG,
            "target": TEXT,
            "shm_size": _size("integer string"),
            "extra_hosts": HOSTS,
            "isolation": TEXT,
            "privileged": FLAG,
            "secrets": _grants(Rule.BUILD_SECRETS),
            "tags": _strings(Rule.SET, distinct=False),
            "ulimits": ULIMITS,
            "platforms": _strings(distinct=False),
        },
        rule=Rule.BUILD,
    ),
    "string",
)

_LIMIT = _record({"path": TEXT, "rate": Shape("integer string", form=Form.BYTES, keep=True)}, is_open=False)
BLKIO = _record(
    {
        "device_read_bps": _list(_LIMIT),
        "device_read_iops": _list(_LIMIT),
        "device_write_bps": _list(_LIMIT),
        "device_write_iops": _list(_LIMIT),
        "weight": Shape("integer string", form=Form.COUNT),
        "weight_device": _list(
            _record({"path": TEXT, "weight": Shape("integer string", form=Form.COUNT)}, is_open=False)
        ),
    },
    is_open=False,
)

DEPENDS_ON = Shape(
    "array object",
    items=TEXT,
    distinct=True,
    keys=NAMES,
    rule=Rule.DEPENDENCIES,
    values=_record(
        {
            "restart": FLAG,
            "required": Shape("boolean", form=Form.BOOLEAN, cast=as_boolean, keep=True),
            "condition": _text(choices=("service_started", "service_healthy", "service_completed_successfully")),
        },
        required=("condition",),
    ),
)

DEVICE_REQUEST_FIELDS = {
    "capabilities": _strings(),
    "count": Shape("string integer", form=Form.INTEGER),
    "device_ids": _strings(),
    "driver": TEXT,
    "options": LABELS,
}
DEVICE_REQUESTS = _list(_record(DEVICE_REQUEST_FIELDS, required=("capabilities",)))
GPUS = Shape("string array", items=_record(DEVICE_REQUEST_FIELDS), choices=("all",), rule=Rule.GPUS)

_UPDATE = _record(
    {
        "parallelism": _integer(keep=True, minimum=0),
        "delay": SPAN,
        "failure_action": TEXT,
        "monitor": SPAN,
        "max_failure_ratio": _number(),
        "order": _text(choices=("start-first", "stop-first")),
    }
)
_RESOURCE = {"cpus": _number(), "memory": Shape("string", form=Form.BYTES)}
_AMOUNT = Shape("number string", form=Form.INTEGER, keep=True)
_GENERIC = _list(
    _record(
        {
            "discrete_resource_spec": _record(
                {"kind": TEXT, "value": Shape("number string", form=Form.INTEGER, keep=True)}
            )
        }
    )
)
DEPLOY = _record(
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": _integer(keep=True),
        "labels": LABELS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": _record(
            {
                "limits": _record({**_RESOURCE, "pids": _integer()}),
                "reservations": _record({**_RESOURCE, "generic_resources": _GENERIC, "devices": DEVICE_REQUESTS}),
            }
        ),
        "restart_policy": _record(
            {"condition": TEXT, "delay": DURATION, "max_attempts": _integer(keep=True, minimum=0), "window": DURATION}
        ),
        "placement": _record(
            {
                "constraints": _strings(distinct=False),
                "preferences": _list(_record({"spread": TEXT})),
                "max_replicas_per_node": _integer(),
            }
        ),
    },
    nullable=True,
)

DEVELOP = _record(
    {
        "watch": _list(
            _record(
                {
                    "path": TEXT,
                    "action": _text(choices=("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
                    "target": TEXT,
                    "ignore": Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS),
                    "include": Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS),
                    "exec": HOOK,
                    "initial_sync": FLAG,
                },
                required=("path", "action"),
                rule=Rule.WATCH,
            )
        )
    },
    nullable=True,
)

ENV_FILE = Shape(
    "string array",
    rule=Rule.ENV_FILES,
    items=_either(
        _record({"path": TEXT, "format": TEXT, "required": FLAG}, required=("path",), is_open=False), "string"
    ),
)

HEALTHCHECK = _record(
    {
        "disable": FLAG,
        "interval": DURATION,
        "retries": _integer("number string", keep=True, minimum=0),
        "test": Shape("string array", items=TEXT, rule=Rule.TEST),
        "timeout": DURATION,
        "start_period": DURATION,
        "start_interval": DURATION,
    }
)

LOGGING = _record(
    {
        "driver": TEXT,
        "options": Shape("object", values=Shape("string number null"), rule=Rule.OPTIONS),
    },
    rule=Rule.LOGGING,
)

NETWORK_OF_SERVICE = _record(
    {
        "aliases": _strings(Rule.SET),
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": _strings(Rule.SET),
        "mac_address": TEXT,
        "driver_opts": OPTIONS,
        "priority": Shape("number", form=Form.INTEGER),
        "gw_priority": Shape("number", form=Form.INTEGER),
    },
    nullable=True,
)

PORT = _either(
    _record(
        {
            "name": TEXT,
            "mode": TEXT,
            "host_ip": TEXT,
            "target": _integer(),
            "published": Shape("string integer", form=Form.TEXT),
            "protocol": TEXT,
            "app_protocol": TEXT,
        }
    ),
    "number string",
)

MOUNT = _either(
    _record(
        {
            "type": _text(choices=("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
            "source": TEXT,
            "target": TEXT,
            "read_only": FLAG,
            "consistency": TEXT,
            "bind": _record(
                {
                    "propagation": TEXT,
                    "create_host_path": _boolean(keep=True, rule=Rule.OPT_OUT),
                    "recursive": _text(choices=("enabled", "disabled", "writable", "readonly")),
                    "selinux": _text(choices=("z", "Z")),
                }
            ),
            "volume": _record({"labels": LABELS, "nocopy": FLAG, "subpath": TEXT}),
            "tmpfs": _record(
                {
                    "size": Shape("integer string", form=Form.BYTES, minimum=0),
                    "mode": Shape("number string", form=Form.COUNT),
                }
            ),
            "image": _record({"subpath": TEXT}),
        },
        required=("type",),
    ),
    "string",
)

_SERVICE_FIELDS = {
    "annotations": LABELS,
    "attach": _boolean(keep=True),
    "blkio_config": BLKIO,
    "build": BUILD,
    "cap_add": _strings(Rule.SET),
    "cap_drop": _strings(Rule.SET),
    "cgroup": _text(choices=("host", "private")),
    "cgroup_parent": TEXT,
    "command": COMMAND,
    "configs": _grants(Rule.CONFIGS),
    "container_name": _text(pattern="[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
    "cpu_count": _integer(minimum=0),
    "cpu_percent": _integer(minimum=0, maximum=100),
    "cpu_period": _integer("number string"),
    "cpu_quota": _integer("number string"),
    "cpu_rt_period": _integer("number string"),
    "cpu_rt_runtime": _integer("number string"),
    "cpu_shares": _integer("number string"),
    "cpus": _number(),
    "cpuset": TEXT,
    "credential_spec": _record({"config": TEXT, "file": TEXT, "registry": TEXT}),
    "depends_on": DEPENDS_ON,
    "deploy": DEPLOY,
    "develop": DEVELOP,
    "device_cgroup_rules": _strings(),
    "devices": _list(
        _either(_record({"source": TEXT, "target": TEXT, "permissions": TEXT}, required=("source",)), "string"),
        Rule.DEVICES,
    ),
    "dns": Shape("string array", items=TEXT, distinct=True, rule=Rule.NAMESERVERS),
    "dns_opt": _strings(Rule.SET),
    "dns_search": WORDS,
    "domainname": TEXT,
    "entrypoint": COMMAND,
    "env_file": ENV_FILE,
    "environment": VARIABLES,
    "expose": _list(Shape("string number"), Rule.EXPOSED, distinct=True),
    "extends": _either(_record({"service": TEXT, "file": TEXT}, required=("service",), is_open=False), "string"),
    "external_links": _strings(),
    "extra_hosts": HOSTS,
    "gpus": GPUS,
    "group_add": _list(Shape("string integer", form=Form.TEXT), distinct=True),
    "healthcheck": HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": _boolean(keep=True),
    "ipc": TEXT,
    "isolation": TEXT,
    "label_file": Shape("string array", items=TEXT, rule=Rule.WORDS),
    "labels": LABELS,
    "links": _strings(Rule.SET),
    "logging": LOGGING,
    "mac_address": TEXT,
    "mem_limit": _size(),
    "mem_reservation": _size("string integer"),
    "mem_swappiness": _size("integer string"),
    "memswap_limit": _size(),
    "models": Shape(
        "array object",
        items=TEXT,
        distinct=True,
        keys=NAMES,
        values=_record({"endpoint_var": TEXT, "model_var": TEXT}, nullable=True),
        rule=Rule.MODELS,
    ),
    "network_mode": TEXT,
    "networks": Shape(
        "array object", items=TEXT, distinct=True, keys=NAMES, values=NETWORK_OF_SERVICE, rule=Rule.ATTACHMENTS
    ),
    "oom_kill_disable": FLAG,
    "oom_score_adj": _integer(minimum=-1000, maximum=1000),
    "pid": TEXT,
    "pids_limit": _integer("number string"),
    "platform": TEXT,
    "ports": _list(PORT, Rule.PORTS, distinct=True),
    "post_start": _list(HOOK),
    "pre_stop": _list(HOOK),
    "privileged": FLAG,
    "profiles": _strings(Rule.SET),
    "provider": _record(
        {
            "type": TEXT,
            "options": Shape(
                "object",
                values=Shape(
                    "string number boolean array",
                    items=Shape("string number boolean", form=Form.TEXT),
                    rule=Rule.LISTED,
                ),
            ),
        },
        required=("type",),
    ),
    "pull_policy": _text(
        pattern="^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$"
    ),
    "pull_refresh_after": TEXT,
    "read_only": FLAG,
    "restart": TEXT,
    "runtime": TEXT,
    "scale": _integer(keep=True),
    "secrets": _grants(Rule.SECRETS),
    "security_opt": _strings(),
    "shm_size": _size(),
    "stdin_open": FLAG,
    "stop_grace_period": DURATION,
    "stop_signal": TEXT,
    "storage_opt": Shape("object", values=Shape("string number null"), rule=Rule.OPTIONS),
    "sysctls": LABELS,
    "tmpfs": WORDS,
    "tty": FLAG,
    "ulimits": ULIMITS,
    "use_api_socket": Shape("boolean", form=Form.BOOLEAN),
    "user": TEXT,
    "userns_mode": TEXT,
    "uts": TEXT,
    "volumes": _list(MOUNT, Rule.MOUNTS, distinct=True),
    "volumes_from": _strings(),
    "working_dir": TEXT,
}
_NOT_BEFORE_START = frozenset(
    (
        "attach", "build", "container_name", "depends_on", "deploy", "develop", "expose", "extends", "external_links",
        "healthcheck", "links", "ports", "post_start", "pre_stop", "profiles", "provider", "restart", "scale",
        "stdin_open", "tty",
    )
)  # fmt: skip
PRE_START = _record(
    {
        **{key: shape for key, shape in _SERVICE_FIELDS.items() if key not in _NOT_BEFORE_START},
        "per_replica": FLAG,
    }
)
"""A container of its own that runs before the service: most keys of a service."""

SERVICE = _record({**_SERVICE_FIELDS, "pre_start": _list(PRE_START)})

EXTERNAL = Shape("boolean string object", cast=as_boolean, form=Form.BOOLEAN, fields={"name": TEXT})
_POOL = _record(
    {
        "subnet": TEXT,
        "ip_range": TEXT,
        "gateway": TEXT,
        "aux_addresses": TEXTS,
    }
)
NETWORK = _record(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": _record({"driver": TEXT, "config": _list(_POOL, Rule.POOLS), "options": TEXTS}),
        "external": EXTERNAL,
        "internal": FLAG,
        "enable_ipv4": _boolean(keep=True),
        "enable_ipv6": _boolean(keep=True),
        "attachable": FLAG,
        "labels": LABELS,
    },
    nullable=True,
    rule=Rule.RESOURCE,
)
VOLUME = _record(
    {"name": TEXT, "driver": TEXT, "driver_opts": OPTIONS, "external": EXTERNAL, "labels": LABELS},
    nullable=True,
    rule=Rule.RESOURCE,
)
SECRET = _record(
    {
        "name": TEXT,
        "environment": TEXT,
        "file": TEXT,
        "external": EXTERNAL,
        "labels": LABELS,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "template_driver": TEXT,
    },
    rule=Rule.RESOURCE,
)
CONFIG = _record(
    {
        "name": TEXT,
        "content": TEXT,
        "environment": TEXT,
        "file": TEXT,
        "external": EXTERNAL,
        "labels": LABELS,
        "template_driver": TEXT,
    },
    rule=Rule.RESOURCE,
)
MODEL = _record(
    {
        "name": TEXT,
        "model": TEXT,
        "context_size": Shape("integer", form=Form.INTEGER),
        "runtime_flags": _strings(distinct=False),
    },
    required=("model",),
)

INCLUDE = Shape(
    "array",
    items=_either(
        _record(
            {
                "path": Shape("string array", items=TEXT, distinct=True),
                "env_file": Shape("string array", items=TEXT, distinct=True),
                "project_directory": TEXT,
            },
            is_open=False,
        ),
        "string",
    ),
)


def _named(values: Shape) -> Shape:
    return Shape("object", values=values, keys=NAMES)


PROJECT = _record(
    {
        "version": TEXT,
        "name": TEXT,
        "include": INCLUDE,
        "services": _named(SERVICE),
        "models": _named(MODEL),
        "networks": _named(NETWORK),
        "volumes": _named(VOLUME),
        "secrets": _named(SECRET),
        "configs": _named(CONFIG),
    }
)
