"""`post_start` and `pre_stop` of the canonical project -> Hook."""

from __future__ import annotations

from orchestrator.model.spec import Hook
from orchestrator.spec.tree import Map


def hooks(service: Map, key: str) -> tuple[Hook, ...]:
    """The hooks under `key`, in their order."""
    return tuple(_hook(hook) for hook in service.get(key, ()))


def _hook(hook: Map) -> Hook:
    return Hook(
        command=tuple(hook.get("command") or ()),
        user=hook.get("user", ""),
        privileged=hook.get("privileged", False),
        working_dir=hook.get("working_dir", ""),
        environment=dict(hook.get("environment", {})),
    )
