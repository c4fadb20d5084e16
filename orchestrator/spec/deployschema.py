"""The tables of what a service asks of a host: `deploy`, devices, block devices, GPUs."""

from __future__ import annotations

from orchestrator.spec.shape import Form, Rule, Shape
from orchestrator.spec.vocabulary import DURATION, LABELS, SPAN, TEXT, integer, list_of, number, record, strings, text

_LIMIT = record({"path": TEXT, "rate": Shape("integer string", form=Form.BYTES, keep=True)}, is_open=False)
BLKIO = record(
    {
        "device_read_bps": list_of(_LIMIT),
        "device_read_iops": list_of(_LIMIT),
        "device_write_bps": list_of(_LIMIT),
        "device_write_iops": list_of(_LIMIT),
        "weight": Shape("integer string", form=Form.COUNT),
        "weight_device": list_of(
            record({"path": TEXT, "weight": Shape("integer string", form=Form.COUNT)}, is_open=False)
        ),
    },
    is_open=False,
)

DEVICE_REQUEST_FIELDS = {
    "capabilities": strings(),
    "count": Shape("string integer", form=Form.INTEGER),
    "device_ids": strings(),
    "driver": TEXT,
    "options": LABELS,
}
DEVICE_REQUESTS = list_of(record(DEVICE_REQUEST_FIELDS, required=("capabilities",)))
GPUS = Shape("string array", items=record(DEVICE_REQUEST_FIELDS), choices=("all",), rule=Rule.GPUS)

_UPDATE = record(
    {
        "parallelism": integer(keep=True, minimum=0),
        "delay": SPAN,
        "failure_action": TEXT,
        "monitor": SPAN,
        "max_failure_ratio": number(),
        "order": text(choices=("start-first", "stop-first")),
    }
)
_RESOURCE = {"cpus": number(), "memory": Shape("string", form=Form.BYTES)}
_AMOUNT = Shape("number string", form=Form.INTEGER, keep=True)
_GENERIC = list_of(
    record(
        {
            "discrete_resource_spec": record(
                {"kind": TEXT, "value": Shape("number string", form=Form.INTEGER, keep=True)}
            )
        }
    )
)
DEPLOY = record(
    {
        "mode": TEXT,
        "endpoint_mode": TEXT,
        "replicas": integer(keep=True),
        "labels": LABELS,
        "rollback_config": _UPDATE,
        "update_config": _UPDATE,
        "resources": record(
            {
                "limits": record({**_RESOURCE, "pids": integer()}),
                "reservations": record({**_RESOURCE, "generic_resources": _GENERIC, "devices": DEVICE_REQUESTS}),
            }
        ),
        "restart_policy": record(
            {"condition": TEXT, "delay": DURATION, "max_attempts": integer(keep=True, minimum=0), "window": DURATION}
        ),
        "placement": record(
            {
                "constraints": strings(distinct=False),
                "preferences": list_of(record({"spread": TEXT})),
                "max_replicas_per_node": integer(minimum=0),
            }
        ),
    },
    nullable=True,
)
