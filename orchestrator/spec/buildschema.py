"""The tables of `build` and `develop`: how an image is made, and made again."""

from __future__ import annotations

from orchestrator.spec.shape import Form, Rule, Shape
from orchestrator.spec.vocabulary import (
    COMMAND,
    FLAG,
    HOSTS,
    LABELS,
    SCALAR,
    TEXT,
    ULIMITS,
    VARIABLES,
    either,
    grants,
    list_of,
    record,
    size,
    strings,
    text,
)

_HOOK_FIELDS = {
    "command": COMMAND,
    "user": TEXT,
    "privileged": FLAG,
    "working_dir": TEXT,
    "environment": VARIABLES,
}
HOOK = record(_HOOK_FIELDS, required=("command",))

BUILD = either(
    record(
        {
            "context": TEXT,
            "dockerfile": TEXT,
            "dockerfile_inline": TEXT,
            "entitlements": strings(distinct=False),
            "args": VARIABLES,
            "ssh": Shape("object array", values=SCALAR, keys=".", items=TEXT, distinct=True, rule=Rule.SSH),
            "labels": LABELS,
            "cache_from": strings(distinct=False),
            "cache_to": strings(distinct=False),
            "no_cache": FLAG,
            "no_cache_filter": Shape("string array", items=TEXT, distinct=True, rule=Rule.WORDS),
            "additional_contexts": LABELS,
            "network": TEXT,
            "provenance": Shape("string boolean", form=Form.TEXT),
            "sbom": Shape("string boolean", form=Form.TEXT),
            "pull": FLAG,
            "target": TEXT,
            "shm_size": size("integer string"),
            "extra_hosts": HOSTS,
            "isolation": TEXT,
            "privileged": FLAG,
            "secrets": grants(Rule.BUILD_SECRETS),
            "tags": strings(Rule.SET, distinct=False),
            "ulimits": ULIMITS,
            "platforms": strings(distinct=False),
        },
        rule=Rule.BUILD,
    ),
    "string",
)

DEVELOP = record(
    {
        "watch": list_of(
            record(
                {
                    "path": TEXT,
                    "action": text(choices=("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
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
