"""TEXT -> StackSpec: stack files as Docker Compose reads them.

    load(request)    the stack, the content of its files, warnings, and the canonical project
    compose(request) the canonical project alone, as `docker compose config --format json` prints it
    to_yaml(project) the same as YAML that loads again to the same

All raise SpecError and nothing else. The phases are modules: project -> source -> interpolate -> include -> extends
-> merge -> validate -> canonical -> normalise -> printed -> consistency -> decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.spec.emit import to_yaml
    from orchestrator.spec.loaded import Loaded, compose, load
    from orchestrator.spec.project import Request

__all__ = ["Loaded", "Request", "compose", "load", "to_yaml"]

_HOMES = {"Loaded": "loaded", "Request": "project", "compose": "loaded", "load": "loaded", "to_yaml": "emit"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: yaml and the model cost 30 ms."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
