"""`security_opt` as the engine takes it: a seccomp profile is a file here and its content there.

Source: Docker Compose, the security options of a container.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orchestrator.errors import BadValue, SpecError
from orchestrator.spec import files
from orchestrator.spec.tree import At, Map, Seq

OPEN_PATHS = "systempaths=unconfined"
"""No option of the engine's but two lists of paths: see `HostOptions.open_system_paths`."""
_WORDS = ("unconfined", "builtin")


def security_options(name: str, service: Map, folder: str, problems: list[SpecError]) -> dict[str, Any]:
    """The fields of HostOptions that `security_opt` of service `name` fills.

    folder: what the path of a profile is relative to.
    """
    written = service.get("security_opt") or Seq()
    found = [_option(name, option, at, folder, problems) for option, at in written.entries() if option != OPEN_PATHS]
    return {"security_opt": tuple(found), "open_system_paths": OPEN_PATHS in written}


def _option(name: str, option: str, at: At, folder: str, problems: list[SpecError]) -> str:
    key, mark, value = option.partition("=" if "=" in option else ":")
    if not mark and key != "no-new-privileges":
        what = f'service "{name}": "{option}" is no security option'
        problems.append(BadValue(what, where=str(at), fix="write it as name=value"))
    if key != "seccomp" or value in _WORDS:
        return option
    try:
        return f"seccomp={_profile(os.path.join(folder, value), value, at)}"
    except SpecError as error:
        problems.append(error)
        return option


def _profile(path: str, shown: str, at: At) -> str:
    content = files.read(Path(path), shown, str(at))
    try:
        return json.dumps(json.loads(content), separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise BadValue(f'"{shown}" is no seccomp profile', where=str(at), why=f"it is no JSON: {error}") from error
