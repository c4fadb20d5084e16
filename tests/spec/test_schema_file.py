"""specs/stack.schema.json says what the loader's tables say, and takes what the loader takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from orchestrator.spec import source
from orchestrator.spec.support import REFUSED
from orchestrator.spec.tree import Map, Override, Reset, Timestamp

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "dev"
SCHEMA = json.loads((ROOT / "specs" / "stack.schema.json").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def wrong(text: str) -> list[str]:
    """What the schema finds wrong with a stack, as `path: message`."""
    return _errors(yaml.safe_load(text))


def _errors(value: Any) -> list[str]:
    found = VALIDATOR.iter_errors(value)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in found]


def test_it_is_what_the_tables_say() -> None:
    made = subprocess.run(
        [sys.executable, "scripts/schema.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert made.returncode == 0, made.stderr + made.stdout[-3000:]


def test_it_is_a_schema() -> None:
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {imag: a}}",
        "services: {web: {image: a, ports: [{target: 80, publish: 80}]}}",
        "services: {web: {image: a, deploy: {resources: {limits: {cpu: 1}}}}}",
        "service: {}",
        "volumes: {data: {drivr: local}}",
        "networks: {net: {ipam: {config: [{subnets: a}]}}}",
        "services: {'a b': {image: a}}",
        "services: {web: {image: [a]}}",
        "services: {web: {image: a, tty: maybe, pull_policy: sometimes}}",
        "services: {web: {image: a, depends_on: {db: {condition: started}}}}",
        "services: {web: {image: a, oom_score_adj: 1001}}",
        "services: {web: {image: a, x-orch: {placement: {strategy: pack}}}}",
        "volumes: {data: {x-orch: {per_slot: true}}}",
    ],
)
def test_it_refuses_what_the_loader_refuses(text: str) -> None:
    assert wrong(text)


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: '${IMAGE:-a}', pull_policy: '${POLICY}', init: '${INIT}', scale: '${N:-2}'}}",
        "services: {web: {image: a, x-mine: {any: [thing]}, build: .}, db: {image: b, healthcheck: {x-a: 1}}}",
        "services: {web: {build: {context: ., args: [A=1]}, ports: [80, '81:81', {target: 82}], env_file: a.env}}",
        "x-common: &c {image: a}\nservices: {web: {<<: *c, command: null}}",
        "{services: {web: {image: a, x-orch: {placement: {strategy: binpack}}}}, volumes: {d: {x-orch: {}}}}",
        "{networks: {net: }, volumes: {data: }, services: {web: {image: a, networks: {net: }}}}",
    ],
)
def test_it_takes_what_people_write(text: str) -> None:
    assert wrong(text) == []


def test_it_says_which_keys_are_refused() -> None:
    told = json.dumps(SCHEMA)
    silent = [path for path, why in REFUSED.items() if f"refused by orch: {why}" not in told]

    assert silent == []


def _inputs() -> Iterator[Any]:
    for folder in sorted(CORPUS.iterdir()) if CORPUS.is_dir() else ():
        if (folder / "case.json").is_file():
            case = json.loads((folder / "case.json").read_text())
            if case["expect"] == "ok":
                yield pytest.param(folder / "input", case["files"], id=folder.name)


@pytest.mark.parametrize(("folder", "files"), list(_inputs()))
def test_it_takes_the_stacks_of_the_corpus(folder: Path, files: list[str]) -> None:
    """Every file that is loaded whole; of a file that is only extended from, the rest may be anything."""
    paths = [folder / name for name in files] or [*folder.glob("*compose*.y*ml")]
    for number, path in enumerate(paths):
        for document in source.documents(path.read_bytes(), path.name) if path.is_file() else ():
            assert _errors(_plain(document or {}, is_first=number == 0)) == [], path.name


def _plain(value: Any, is_first: bool) -> Any:
    """As an editor sees it: `!override` is its value, `!reset` is nothing, as is null in a file that others follow."""
    if isinstance(value, Override):
        return _plain(value.value, is_first)
    if isinstance(value, Map):
        kept = {key: entry for key, entry in value.items() if not isinstance(entry, Reset)}
        return {k: _plain(v, is_first) for k, v in kept.items() if is_first or v is not None}
    if isinstance(value, list):
        return [_plain(entry, is_first) for entry in value if not isinstance(entry, Reset)]
    return value.json if isinstance(value, Timestamp) else value
