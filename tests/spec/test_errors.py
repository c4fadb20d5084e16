"""Messages that people can act on: exact places, all at once, "did you mean"."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import BadValue, DependencyCycle, SeveralErrors, SpecError, UnknownKey, UnsupportedKey
from orchestrator.spec import load


def _write(folder: Any, text: str) -> Any:
    return folder.write("services:\n  web:\n    image: i\n" + text)


def test_an_unknown_key_says_what_was_meant(folder: Any) -> None:
    _write(folder, "    enviroment: {A: 1}\n")

    with pytest.raises(UnknownKey) as caught:
        load(folder.request())
    assert str(caught.value) == (
        'compose.yaml:4:5: services.web has no key "enviroment"\n  fix: did you mean "environment"?'
    )


def test_all_that_is_wrong_with_a_file_comes_at_once(folder: Any) -> None:
    _write(folder, "    prots: [80]\n    user: 5\n    deploy:\n      replicas: [1]\n      moed: x\nvolume: {}\n")

    with pytest.raises(SeveralErrors) as caught:
        load(folder.request())
    assert [(type(error), error.where) for error in caught.value.errors] == [
        (UnknownKey, "compose.yaml:4:5"),
        (BadValue, "compose.yaml:5:5"),
        (BadValue, "compose.yaml:7:7"),
        (UnknownKey, "compose.yaml:8:7"),
        (UnknownKey, "compose.yaml:9:1"),
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("    user: 5\n", 'compose.yaml:4:5: services.web.user must be a text, not "5", an integer'
         "\n  fix: put it in quotes"),
        ("    ports: 80\n", 'compose.yaml:4:5: services.web.ports must be a list, not "80", an integer'
         "\n  fix: write it as a list: [80]"),
        ("    cgroup: hots\n", 'compose.yaml:4:5: services.web.cgroup: "hots" is not one of host, private, '
         'did you mean "host"?'),
        ("    environment:\n", "compose.yaml:4:5: services.web.environment must be a list or a mapping, not nothing"
         "\n  fix: give it a value, or remove environment"),
        ("    cap_drop: [X, 1]\n", 'compose.yaml:4:19: services.web.cap_drop[1] must be a text, not "1", an integer'
         "\n  fix: put it in quotes"),
        ("    depends_on: {db: {}}\n", 'compose.yaml:4:22: services.web.depends_on.db lacks "condition"'
         '\n  fix: add "condition"'),
        ("    security_opt:\n      - a=b\n      - a=b\n", "compose.yaml:6:9: services.web.security_opt lists the same"
         " entry twice\n  fix: remove one"),
        ("    depends_on:\n      - db\n", 'compose.yaml:5:9: service "web" depends on "db", which is not a service'
         "\n  fix: add it under services, which has web"),
        ("    networks: [frnt]\nnetworks: {front: }\n", 'compose.yaml:4:16: service "web" uses network "frnt", which is'
         " not defined\n  fix: did you mean \"front\"? else add \"frnt\" under networks"),
        ("    volumes:\n      - data:/d\n", 'compose.yaml:5:9: service "web" uses volume "data", which is not defined'
         '\n  fix: add "data:" under volumes, or write "./data" for a folder'),
        ("    network_mode: host\n    networks: [default]\n", 'compose.yaml:4:5: service "web" has both'
         " network_mode and networks\n  fix: remove one"),
        ("    scale: 2\n    container_name: one\n", 'compose.yaml:5:5: service "web" has a container_name and 2'
         " replicas\n  fix: remove container_name"),
        ("    mem_limit: 1g\n    deploy: {resources: {limits: {memory: 2g}}}\n", 'compose.yaml:4:5: service "web" says'
         " mem_limit and deploy.resources.limits.memory, and they differ\n  fix: keep one of them"),
        ("    restart: sometimes\n", 'compose.yaml:4:5: service "web": "sometimes" is no value of restart\n  fix: use'
         ' "no", always, on-failure, on-failure:N or unless-stopped'),
    ],
)  # fmt: skip
def test_a_message_has_place_reason_and_fix(folder: Any, keys: str, message: str) -> None:
    _write(folder, keys)

    assert folder.refuse() == message


def test_a_required_variable_and_a_broken_form_are_found_together(folder: Any) -> None:
    _write(folder, "    hostname: ${HOST:?name the host}\n    user: ${\n")

    assert folder.refuse() == (
        'compose.yaml:4:5: services.web.hostname: variable "HOST" is required and not set\n  why: name the host\n'
        "  fix: set HOST in the environment or in .env\n"
        'compose.yaml:5:5: services.web.user: "${" holds no valid variable\n  why: "${" means nothing\n'
        '  fix: write "$$" for a literal "$"'
    )


def test_the_place_survives_a_merge_and_names_the_later_file(folder: Any) -> None:
    _write(folder, "").write((folder.path / "compose.yaml").read_text(), over_yml="services:\n  web:\n    usr: x\n")

    assert folder.refuse(files=("compose.yaml", "over.yml")).startswith("over.yml:3:5: services.web has no key")


def test_a_loop_of_dependencies_is_refused(folder: Any) -> None:
    folder.write("services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, network_mode: 'service:a'}\n")

    with pytest.raises(DependencyCycle) as caught:
        folder.compose()
    assert "compose.yaml:2:" in str(caught.value)


def test_a_key_that_is_not_honoured_yet_is_refused_by_name(folder: Any) -> None:
    _write(folder, "    deploy:\n      update_config:\n        delay: 5s\n")

    with pytest.raises(UnsupportedKey) as caught:
        load(folder.request())
    assert str(caught.value) == (
        'compose.yaml:6:9: orch does not honour "deploy.update_config.delay" yet\n'
        "  why: a pause between slots is not there yet\n"
        "  fix: remove it, or run this service with docker compose for now"
    )


@pytest.mark.parametrize(
    "text", ["", "- a\n", "a", "---\n", "services: 5\n", "services: {a: }\n", "services: {a: {}}\n"]
)
def test_a_file_that_is_no_stack_is_refused(folder: Any, text: str) -> None:
    folder.write(text)

    with pytest.raises(SpecError):
        load(folder.request())


def test_a_missing_file_is_named(folder: Any) -> None:
    assert folder.refuse(files=("no.yml",)).startswith('can\'t read "no.yml"')
    assert "no stack file is here" in folder.refuse()


def test_a_file_in_a_folder_below_is_shown_from_here(folder: Any) -> None:
    folder.write("", deep__x_yml="services:\n  a: {imag: i}\n")

    assert folder.refuse(files=("deep/x.yml",)).startswith("deep/x.yml:2:7: ")
