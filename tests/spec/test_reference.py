"""The pages of docs/reference are what the tables and the code say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.engine.needs import IPV4_SWITCH, NEEDS

ROOT = Path(__file__).parents[2]
SUPPORT = yaml.safe_load((ROOT / "specs" / "compose-support.yaml").read_text())


@pytest.mark.parametrize("script", ["compose_reference", "errors_reference"])
def test_a_page_is_what_its_source_says(script: str) -> None:
    made = subprocess.run(
        [sys.executable, f"scripts/{script}.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert made.returncode == 0, made.stderr + made.stdout


def test_the_index_names_every_page() -> None:
    folder = ROOT / "docs" / "reference"
    index = (folder / "index.md").read_text()
    pages = {page.name for page in folder.glob("*.md")} - {"index.md"}

    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_list_and_the_engine_agree_since_when_a_key_is_there() -> None:
    listed = {row["key"]: row["since_engine_api"] for row in SUPPORT["keys"] if "since_engine_api" in row}
    known = {f"services.{key.partition(' (')[0]}": since for key, since, _ in NEEDS if since > (1, 41)}
    known["networks.enable_ipv4"] = IPV4_SWITCH

    assert listed == {key: "{}.{}".format(*since) for key, since in known.items()}
