"""Stack files in a temporary folder, loaded as the command line would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.spec import Loaded, Request, compose, load

HOME = "/home/nobody"


class Folder:
    """A folder with stack files; `compose`, `load` and `refuse` read `compose.yaml` unless told otherwise."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, **more: str) -> Folder:
        """`compose.yaml`, and further files: `sub__base_yml` is `sub/base.yml`."""
        for name, content in {"compose_yaml": text, **more}.items():
            file = self.path / ".".join(name.replace("__", "/").rsplit("_", 1))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return self

    def request(self, **more: Any) -> Request:
        env: Mapping[str, str] = {"HOME": HOME, **more.pop("env", {})}
        return Request(env=env, **{"cwd": str(self.path), "project_name": "shop", **more})

    def compose(self, **more: Any) -> dict[str, Any]:
        return compose(self.request(**more))

    def load(self, **more: Any) -> Loaded:
        return load(self.request(**more))

    def refuse(self, **more: Any) -> str:
        """The message of the error that loading gives."""
        with pytest.raises(SpecError) as caught:
            self.load(**more)
        return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def service(folder: Folder) -> Callable[..., dict[str, Any]]:
    """What the canonical project says of service `a` when its keys are `text` (flow or block YAML)."""

    def canonical(text: str, override: str = "", top: str = "") -> dict[str, Any]:
        folder.write(_file(text, top), over_yml=_file(override, image="") if override else "services: {}")
        shown: dict[str, Any] = folder.compose(files=("compose.yaml", "over.yml"))["services"]["a"]
        return {key: value for key, value in shown.items() if key not in ("entrypoint", "image") and value is not None}

    return canonical


def _file(keys: str, top: str = "", image: str = "    image: i\n") -> str:
    indented = "\n".join(f"    {line}" for line in keys.split("\n"))
    return f"services:\n  b: {{image: b}}\n  a:\n{image}{indented}\n{top}\n"
