"""The conformance corpus, when it lies beside the project: what Docker Compose answers, case by case."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.spec import Request, compose

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "dev"
DIFFERENT_ON_PURPOSE = {"own-merge-ipam-same-subnet", "own-scalar-yaml-directive-12"}
"""See `differences` in specs/compose-support.yaml."""


def _answer(case: dict[str, Any], folder: str) -> Any:
    env = {key: value.replace("${PROJECT_DIR}", folder) for key, value in case["env"].items()}
    request = Request(
        files=tuple(case["files"]),
        env={"PATH": os.environ["PATH"], "HOME": "/home/corpus", **env},
        env_files=tuple(case.get("env_files") or ()),
        profiles=tuple(case.get("profiles") or ()),
        project_name=case.get("project_name") or "",
        project_directory=case.get("project_directory") or "",
        cwd=folder,
    )
    try:
        return json.loads(json.dumps(compose(request)).replace(folder, "${PROJECT_DIR}"))
    except SpecError:
        return "error"


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the project")
def test_every_case_gets_the_answer_of_docker_compose() -> None:
    wrong = set()
    for folder in sorted(CORPUS.iterdir()):
        if not (folder / "case.json").is_file():
            continue
        case = json.loads((folder / "case.json").read_text())
        expected: Any = "error"
        if case["expect"] == "ok":
            expected = json.loads((folder / "expected.json").read_text())
        if _answer(case, os.path.realpath(folder / "input")) != expected:
            wrong.add(case["id"])

    assert wrong == DIFFERENT_ON_PURPOSE
