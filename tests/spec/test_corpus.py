"""The conformance corpus, when it lies beside the project: `orch config` gives the answer of Docker Compose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
OPTIONS = "{files} {env_files} {profiles} {project_directory} {project_name}"


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside the project")
def test_every_case_gets_the_answer_of_docker_compose() -> None:
    orch = f"{sys.executable} -m orchestrator {OPTIONS} config --format json"
    found = subprocess.run(
        [sys.executable, str(CORPUS / "check.py"), "--pass-env", "PYTHONPATH", "--loader", orch],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert [line for line in found.stdout.splitlines() if line.startswith("FAIL")] == []
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr
