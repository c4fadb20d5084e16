"""specs/compose-support.yaml, the schema and the code say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import SeveralErrors, SpecError, UnsupportedKey
from orchestrator.spec import load, ownkeys
from orchestrator.spec.support import REFUSED, WITHOUT_EFFECT, known_keys

SUPPORT: dict[str, list[dict[str, str]]] = yaml.safe_load(
    (Path(__file__).parents[2] / "specs" / "compose-support.yaml").read_text()
)
ROWS = SUPPORT["keys"]

SNIPPETS = {
    "models": "models: {m: {model: q}}",
    "services.models": "models: [m]",
    "services.build.additional_contexts": "build: {additional_contexts: {a: ./x}}",
    "services.build.cache_to": "build: {cache_to: [x]}",
    "services.build.entitlements": "build: {entitlements: [x]}",
    "services.build.isolation": "build: {isolation: x}",
    "services.build.no_cache_filter": "build: {no_cache_filter: [x]}",
    "services.build.privileged": "build: {privileged: true}",
    "services.build.provenance": "build: {provenance: true}",
    "services.build.sbom": "build: {sbom: true}",
    "services.build.secrets": "build: {secrets: [s]}",
    "services.build.ssh": "build: {ssh: [default]}",
    "services.build.ulimits": "build: {ulimits: {nofile: 5}}",
    "services.credential_spec": "credential_spec: {file: x}",
    "services.deploy.resources.reservations.generic_resources": "deploy: {resources: {reservations:"
    " {generic_resources: [{discrete_resource_spec: {kind: x, value: 1}}]}}}",
    "services.deploy.restart_policy.delay": "deploy: {restart_policy: {delay: 5s}}",
    "services.deploy.restart_policy.window": "deploy: {restart_policy: {window: 5s}}",
    "services.deploy.rollback_config": "deploy: {rollback_config: {parallelism: 1}}",
    "services.deploy.update_config.delay": "deploy: {update_config: {delay: 5s}}",
    "services.deploy.update_config.failure_action": "deploy: {update_config: {failure_action: pause}}",
    "services.deploy.update_config.max_failure_ratio": "deploy: {update_config: {max_failure_ratio: 0.5}}",
    "services.deploy.update_config.monitor": "deploy: {update_config: {monitor: 5s}}",
    "services.pre_start": "pre_start: [{command: x}]",
    "services.provider": "provider: {type: x}",
    "secrets.driver": "secrets: {s: {driver: x, file: compose.yaml}}",
    "secrets.driver_opts": "secrets: {s: {driver: x, driver_opts: {a: b}, file: compose.yaml}}",
    "secrets.template_driver": "secrets: {s: {template_driver: x, file: compose.yaml}}",
    "configs.template_driver": "configs: {c: {template_driver: x, file: compose.yaml}}",
}


def _write(folder: Any, key: str) -> None:
    snippet = SNIPPETS[key]
    tops = {"models": "models: {m: {model: q}}", "secrets": "secrets: {s: {file: compose.yaml}}",
            "configs": "configs: {c: {file: compose.yaml}}"}  # fmt: skip
    inner = snippet
    if not key.startswith("services."):
        tops[key.split(".")[0]] = snippet
        inner = "models: [m]" if key == "models" else "secrets: [s]\n    configs: [c]"
    folder.write(
        "services:\n  b: {image: b}\n  a:\n    image: i\n    " + inner + "\n" + "\n".join(tops.values()) + "\n"
    )


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_every_refused_key_is_refused_by_name_place_and_reason(folder: Any, key: str) -> None:
    _write(folder, key)

    with pytest.raises(SpecError) as caught:
        load(folder.request())
    errors = caught.value.errors if isinstance(caught.value, SeveralErrors) else (caught.value,)
    wanted = f'orch does not honour "{key.removeprefix("services.")}" yet'
    found = [error for error in errors if error.what == wanted]
    assert found
    assert {(type(error), error.why) for error in found} == {(UnsupportedKey, REFUSED[key])}
    assert all(error.where.startswith("compose.yaml:") for error in found)


def test_every_refused_key_has_a_test() -> None:
    assert set(SNIPPETS) == set(REFUSED)


def test_the_list_has_every_key_of_the_schema_once() -> None:
    listed = [row["key"] for row in ROWS]

    assert sorted(listed) == sorted(set(known_keys()))


def test_the_list_and_the_code_refuse_the_same_keys_for_the_same_reasons() -> None:
    def reason(key: str) -> str | None:
        above = [refused for refused in REFUSED if key == refused or key.startswith(refused + ".")]
        return REFUSED[above[0]] if above else None

    listed = {row["key"]: row["why"] for row in ROWS if row["status"] == "refused"}
    assert listed == {key: why for key in known_keys() if (why := reason(key))}


def test_the_list_and_the_code_agree_on_what_has_no_effect() -> None:
    assert {row["key"]: row["why"] for row in ROWS if row["status"] == "ignored-with-reason"} == WITHOUT_EFFECT
    assert {row["status"] for row in ROWS} == {"honoured", "refused", "ignored-with-reason"}


def test_the_list_has_every_key_of_orch_s_own() -> None:
    tables = {f"{kind}.{ownkeys.KEY}": shape for kind, shape in ownkeys.TABLES.items()}
    known = [key for path, shape in tables.items() for key in known_keys(shape, path)]

    leaves = {key for key in known if not any(other.startswith(f"{key}.") for other in known)}
    assert {row["key"] for row in SUPPORT["own"]} == leaves
