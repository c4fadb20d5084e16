"""TEXT -> StackSpec: stack files as Docker Compose reads them.

    load(request)         the stack, the content of its files, warnings, and the canonical project
    read(request)         the canonical project with places, also of what orch can't run
    compose(request)      the canonical project alone, as `docker compose config --format json` prints it
    as_written(request)   the project before variables are filled in
    variables(project)    the variables that such a project names
    project_name(request) only the name
    to_yaml(project)      a project as YAML that loads again to the same

All raise SpecError and nothing else. The phases are modules: project -> source -> interpolate -> include -> extends
-> merge -> validate -> canonical -> normalise -> printed -> consistency -> decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.spec.emit import to_yaml
    from orchestrator.spec.loaded import Loaded, Read, as_written, compose, load, read
    from orchestrator.spec.project import Request, project_name
    from orchestrator.spec.variables import Variable, variables

__all__ = [
    "Loaded", "Read", "Request", "Variable", "as_written", "compose", "load", "project_name", "read", "to_yaml",
    "variables",
]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("Loaded", "Read", "as_written", "compose", "load", "read"), "loaded"),
    **dict.fromkeys(("Request", "project_name"), "project"),
    **dict.fromkeys(("Variable", "variables"), "variables"),
    "to_yaml": "emit",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: yaml and the model cost 30 ms."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
