"""The table of a service, and of the container that runs before one."""

from __future__ import annotations

from orchestrator.spec.buildschema import BUILD, DEVELOP, HOOK
from orchestrator.spec.deployschema import BLKIO, DEPLOY, GPUS
from orchestrator.spec.interpolate import as_boolean
from orchestrator.spec.shape import Form, Rule, Shape
from orchestrator.spec.vocabulary import (
    COMMAND,
    DURATION,
    FLAG,
    HOSTS,
    LABELS,
    NAMES,
    OPTIONS,
    TEXT,
    ULIMITS,
    VARIABLES,
    WORDS,
    boolean,
    either,
    grants,
    integer,
    list_of,
    number,
    record,
    size,
    strings,
    text,
)

CONTAINER_NAME = "[a-zA-Z0-9][a-zA-Z0-9_.-]+"
PULL_POLICY = "^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$"

DEPENDS_ON = Shape(
    "array object",
    items=TEXT,
    distinct=True,
    keys=NAMES,
    rule=Rule.DEPENDENCIES,
    values=record(
        {
            "restart": FLAG,
            "required": Shape("boolean", form=Form.BOOLEAN, cast=as_boolean, keep=True),
            "condition": text(choices=("service_started", "service_healthy", "service_completed_successfully")),
        },
        required=("condition",),
    ),
)

ENV_FILE = Shape(
    "string array",
    rule=Rule.ENV_FILES,
    items=either(record({"path": TEXT, "format": TEXT, "required": FLAG}, required=("path",), is_open=False), "string"),
)

HEALTHCHECK = record(
    {
        "disable": FLAG,
        "interval": DURATION,
        "retries": integer("number string", keep=True, minimum=0),
        "test": Shape("string array", items=TEXT, rule=Rule.TEST),
        "timeout": DURATION,
        "start_period": DURATION,
        "start_interval": DURATION,
    }
)

LOGGING = record(
    {
        "driver": TEXT,
        "options": Shape("object", values=Shape("string number null timestamp"), rule=Rule.OPTIONS),
    },
    rule=Rule.LOGGING,
)

NETWORK_OF_SERVICE = record(
    {
        "aliases": strings(Rule.SET),
        "interface_name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        "link_local_ips": strings(Rule.SET),
        "mac_address": TEXT,
        "driver_opts": OPTIONS,
        "priority": Shape("number", form=Form.INTEGER),
        "gw_priority": Shape("number", form=Form.INTEGER),
    },
    nullable=True,
)

PORT = either(
    record(
        {
            "name": TEXT,
            "mode": TEXT,
            "host_ip": TEXT,
            "target": integer(minimum=0),
            "published": Shape("string integer", form=Form.TEXT),
            "protocol": TEXT,
            "app_protocol": TEXT,
        }
    ),
    "number string",
)

MOUNT = either(
    record(
        {
            "type": text(choices=("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
            "source": TEXT,
            "target": TEXT,
            "read_only": FLAG,
            "consistency": TEXT,
            "bind": record(
                {
                    "propagation": TEXT,
                    "create_host_path": boolean(keep=True, rule=Rule.OPT_OUT),
                    "recursive": text(choices=("enabled", "disabled", "writable", "readonly")),
                    "selinux": text(choices=("z", "Z")),
                }
            ),
            "volume": record({"labels": LABELS, "nocopy": FLAG, "subpath": TEXT}),
            "tmpfs": record(
                {
                    "size": Shape("integer string", form=Form.BYTES, minimum=0),
                    "mode": Shape("number string", form=Form.COUNT),
                }
            ),
            "image": record({"subpath": TEXT}),
        },
        required=("type",),
    ),
    "string",
)

_SERVICE_FIELDS = {
    "annotations": LABELS,
    "attach": boolean(keep=True),
    "blkio_config": BLKIO,
    "build": BUILD,
    "cap_add": strings(Rule.SET),
    "cap_drop": strings(Rule.SET),
    "cgroup": text(choices=("host", "private")),
    "cgroup_parent": TEXT,
    "command": COMMAND,
    "configs": grants(Rule.CONFIGS),
    "container_name": text(pattern=CONTAINER_NAME),
    "cpu_count": integer(minimum=0),
    "cpu_percent": integer(minimum=0, maximum=100),
    "cpu_period": integer("number string"),
    "cpu_quota": integer("number string"),
    "cpu_rt_period": integer("number string"),
    "cpu_rt_runtime": integer("number string"),
    "cpu_shares": integer("number string"),
    "cpus": number(),
    "cpuset": TEXT,
    "credential_spec": record({"config": TEXT, "file": TEXT, "registry": TEXT}),
    "depends_on": DEPENDS_ON,
    "deploy": DEPLOY,
    "develop": DEVELOP,
    "device_cgroup_rules": strings(),
    "devices": list_of(
        either(record({"source": TEXT, "target": TEXT, "permissions": TEXT}, required=("source",)), "string"),
        Rule.DEVICES,
    ),
    "dns": Shape("string array", items=TEXT, distinct=True, rule=Rule.NAMESERVERS),
    "dns_opt": strings(Rule.WORDS),
    "dns_search": WORDS,
    "domainname": TEXT,
    "entrypoint": COMMAND,
    "env_file": ENV_FILE,
    "environment": VARIABLES,
    "expose": list_of(Shape("string number"), Rule.EXPOSED, distinct=True),
    "extends": either(record({"service": TEXT, "file": TEXT}, required=("service",), is_open=False), "string"),
    "external_links": strings(),
    "extra_hosts": HOSTS,
    "gpus": GPUS,
    "group_add": list_of(Shape("string integer", form=Form.TEXT), distinct=True),
    "healthcheck": HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": boolean(keep=True),
    "ipc": TEXT,
    "isolation": TEXT,
    "label_file": Shape("string array", items=TEXT, rule=Rule.LABEL_FILES),
    "labels": LABELS,
    "links": strings(Rule.SET),
    "logging": LOGGING,
    "mac_address": TEXT,
    "mem_limit": size(),
    "mem_reservation": size("string integer"),
    "mem_swappiness": size("integer string"),
    "memswap_limit": size(),
    "models": Shape(
        "array object",
        items=TEXT,
        distinct=True,
        keys=NAMES,
        values=record({"endpoint_var": TEXT, "model_var": TEXT}, nullable=True),
        rule=Rule.MODELS,
    ),
    "network_mode": TEXT,
    "networks": Shape(
        "array object", items=TEXT, distinct=True, keys=NAMES, values=NETWORK_OF_SERVICE, rule=Rule.ATTACHMENTS
    ),
    "oom_kill_disable": FLAG,
    "oom_score_adj": integer(minimum=-1000, maximum=1000),
    "pid": Shape("string null", form=Form.TEXT),
    "pids_limit": integer("number string"),
    "platform": TEXT,
    "ports": list_of(PORT, Rule.PORTS, distinct=True),
    "post_start": list_of(HOOK),
    "pre_stop": list_of(HOOK),
    "privileged": FLAG,
    "profiles": strings(Rule.SET),
    "provider": record(
        {
            "type": TEXT,
            "options": Shape(
                "object",
                values=Shape(
                    "string number boolean array timestamp",
                    items=Shape("string number boolean", form=Form.TEXT),
                    rule=Rule.LISTED,
                ),
            ),
        },
        required=("type",),
    ),
    "pull_policy": text(pattern=PULL_POLICY),
    "pull_refresh_after": TEXT,
    "read_only": FLAG,
    "restart": TEXT,
    "runtime": TEXT,
    "scale": integer(keep=True),
    "secrets": grants(Rule.SECRETS),
    "security_opt": strings(),
    "shm_size": size(),
    "stdin_open": FLAG,
    "stop_grace_period": DURATION,
    "stop_signal": TEXT,
    "storage_opt": Shape("object", values=Shape("string integer null"), rule=Rule.OPTIONS),
    "sysctls": LABELS,
    "tmpfs": WORDS,
    "tty": FLAG,
    "ulimits": ULIMITS,
    "use_api_socket": Shape("boolean", form=Form.BOOLEAN),
    "user": TEXT,
    "userns_mode": TEXT,
    "uts": TEXT,
    "volumes": list_of(MOUNT, Rule.MOUNTS, distinct=True),
    "volumes_from": strings(),
    "working_dir": TEXT,
}
_NOT_BEFORE_START = frozenset(
    (
        "attach", "build", "container_name", "depends_on", "deploy", "develop", "expose", "extends", "external_links",
        "healthcheck", "links", "ports", "post_start", "pre_stop", "profiles", "provider", "restart", "scale",
        "stdin_open", "tty",
    )
)  # fmt: skip
PRE_START = record(
    {
        **{key: shape for key, shape in _SERVICE_FIELDS.items() if key not in _NOT_BEFORE_START},
        "per_replica": FLAG,
    }
)
"""A container of its own that runs before the service: most keys of a service."""

SERVICE = record({**_SERVICE_FIELDS, "pre_start": list_of(PRE_START)})
