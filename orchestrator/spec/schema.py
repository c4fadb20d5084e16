"""The Compose Specification as tables: every key, what it takes, how it merges and how it prints.

Source: the Compose Specification's JSON schema, as Docker Compose v5 validates. `check` (in `validate`) reads these
tables, and so do `interpolate`, `merge`, `canonical` and `printed`: a new key is one new line here.
"""

from __future__ import annotations

from orchestrator.spec.interpolate import as_boolean
from orchestrator.spec.serviceschema import PRE_START, SERVICE
from orchestrator.spec.shape import Form, Rule, Shape
from orchestrator.spec.vocabulary import (
    FLAG,
    LABELS,
    NAMES,
    OPTIONS,
    TEXT,
    TEXTS,
    boolean,
    either,
    list_of,
    record,
    strings,
)

EXTERNAL = Shape("boolean string object", cast=as_boolean, form=Form.BOOLEAN, fields={"name": TEXT})
_POOL = record(
    {
        "subnet": TEXT,
        "ip_range": TEXT,
        "gateway": TEXT,
        "aux_addresses": TEXTS,
    }
)
NETWORK = record(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": record({"driver": TEXT, "config": list_of(_POOL, Rule.POOLS), "options": TEXTS}),
        "external": EXTERNAL,
        "internal": FLAG,
        "enable_ipv4": boolean(keep=True),
        "enable_ipv6": boolean(keep=True),
        "attachable": FLAG,
        "labels": LABELS,
    },
    nullable=True,
    rule=Rule.RESOURCE,
)
VOLUME = record(
    {"name": TEXT, "driver": TEXT, "driver_opts": OPTIONS, "external": EXTERNAL, "labels": LABELS},
    nullable=True,
    rule=Rule.RESOURCE,
)
SECRET = record(
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
CONFIG = record(
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
MODEL = record(
    {
        "name": TEXT,
        "model": TEXT,
        "context_size": Shape("integer", form=Form.INTEGER),
        "runtime_flags": strings(distinct=False),
    },
    required=("model",),
)

INCLUDE = Shape(
    "array",
    items=either(
        record(
            {
                "path": Shape("string array", items=TEXT, distinct=True),
                "env_file": Shape("string array", items=TEXT, distinct=True),
                "project_directory": TEXT,
            },
            is_open=False,
        ),
        "string null",
    ),
)


__all__ = ["PRE_START", "PROJECT", "SERVICE"]


def _named(values: Shape) -> Shape:
    return Shape("object", values=values, keys=NAMES)


PROJECT = record(
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
