"""`volumes`: the short form `[SOURCE:]TARGET[:OPTIONS]` as a long one.

Source: Compose Specification, `volumes`; compose-go for the corners (a one-letter source is a Windows drive).
"""

from __future__ import annotations

import posixpath
from typing import Any

PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


def parse(spec: str) -> dict[str, Any]:
    """The long form: type, source, target and what the options say.

    Raises ValueError with the reason.
    """
    if not spec:
        raise ValueError("the mount is empty")
    if len(spec) <= 2:
        return {"type": "volume", "target": spec}
    fields = _fields(spec)
    if len(fields) > 3:
        raise ValueError("too many colons")
    if not all(fields):
        raise ValueError("an empty part between colons")
    mount: dict[str, Any] = {"type": "volume"}
    if len(fields) > 1:
        mount["source"] = fields[0]
        mount["type"] = "bind" if _is_path(fields[0]) else "volume"
    mount["target"] = clean(fields[0] if len(fields) == 1 else fields[1])
    _add_options(mount, fields[2].split(",") if len(fields) > 2 else [])
    mount.setdefault(mount["type"], {})
    return mount


def _fields(spec: str) -> list[str]:
    """Split at colons, but not after a single letter: `C:\\data:/data`."""
    fields = [""]
    for character in spec:
        if character == ":" and not (len(fields[-1]) == 1 and fields[-1].isalpha()):
            fields.append("")
        else:
            fields[-1] += character
    return fields


def _is_path(source: str) -> bool:
    is_drive = len(source) > 1 and source[0].isalpha() and source[1] == ":"
    return source[0] in "./~" or source.startswith("\\\\") or is_drive


def _add_options(mount: dict[str, Any], options: list[str]) -> None:
    for option in options:
        if option in ("ro", "rw"):
            mount["read_only"] = option == "ro"
        elif option == "nocopy":
            mount["volume"] = {"nocopy": True}
        elif option in PROPAGATIONS:
            mount.setdefault("bind", {})["propagation"] = option
        elif option in ("z", "Z"):
            mount.setdefault("bind", {})["selinux"] = option
    if not mount.get("read_only"):
        mount.pop("read_only", None)


def clean(path: str) -> str:
    """The path without `.`, `..` and doubled slashes. Source: Go's path.Clean."""
    if not path:
        return ""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
