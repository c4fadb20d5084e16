"""Which files, which variables, which name."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from orchestrator.errors import BadValue
from orchestrator.spec import Request, project_name, read

A = "services: {a: {image: i, hostname: '${V:-none}'}}\n"


def _shown(folder: Any, **more: Any) -> dict[str, Any]:
    shown: dict[str, Any] = folder.compose(**more)["services"]["a"]
    return shown


def test_files_are_found_with_their_override(folder: Any) -> None:
    folder.write(A, compose_override_yml="services: {a: {user: over}}", docker_compose_yml="services: {a: {user: no}}")
    (folder.path / "compose.override.yml").write_text("services: {a: {user: over}}")

    assert _shown(folder)["user"] == "over"
    assert "user" not in _shown(folder, files=("compose.yaml",))


def test_files_of_a_folder_above_are_found(folder: Any) -> None:
    folder.write(A)
    (folder.path / "deep" / "er").mkdir(parents=True)

    assert _shown(folder, cwd=str(folder.path / "deep" / "er"))["image"] == "i"


def test_compose_file_lists_files(folder: Any) -> None:
    folder.write("services: {a: {image: no}}", a_yml=A, b_yml="services: {a: {user: b}}")

    assert _shown(folder, env={"COMPOSE_FILE": "a.yml:b.yml"})["user"] == "b"
    assert _shown(folder, env={"COMPOSE_FILE": "a.yml,b.yml", "COMPOSE_PATH_SEPARATOR": ","})["user"] == "b"


@pytest.mark.parametrize(
    ("more", "value"),
    [
        ({}, "dotenv"),
        ({"env": {"V": "process"}}, "process"),
        ({"env_files": ("one.env",)}, "one"),
        ({"env_files": ("one.env", "two.env")}, "two after one"),
        ({"env": {"COMPOSE_ENV_FILES": "one.env,two.env"}}, "two after one"),
        ({"env": {"COMPOSE_DISABLE_ENV_FILE": "1"}}, "none"),
    ],
)
def test_variables_come_from_the_process_then_from_env_files(folder: Any, more: dict[str, Any], value: str) -> None:
    folder.write(A, one_env="V=one", two_env="V=two after ${V}")
    (folder.path / ".env").write_text("V=dotenv\n")

    assert _shown(folder, **more)["hostname"] == value


@pytest.mark.parametrize(
    ("more", "text", "name"),
    [
        ({"project_name": "given"}, "name: file\n", "given"),
        ({"project_name": "", "env": {"COMPOSE_PROJECT_NAME": "env"}}, "name: file\n", "env"),
        ({"project_name": ""}, "name: My.File\n", "myfile"),
        ({"project_name": ""}, "name: ${N:-_v1}\n", "v1"),
        ({"project_name": "", "project_directory": "Some Dir"}, "", "somedir"),
    ],
)
def test_the_name_comes_from_the_first_that_says_it(folder: Any, more: dict[str, Any], text: str, name: str) -> None:
    folder.write(text + A)

    assert folder.compose(files=("compose.yaml",), **more)["name"] == name


@pytest.mark.parametrize("name", ["Shop", "_shop", "a b", "é"])
def test_a_name_that_can_not_be_one_is_refused(folder: Any, name: str) -> None:
    folder.write(A)

    with pytest.raises(BadValue, match="can't be the name of a stack"):
        folder.compose(project_name=name)


def test_paths_are_relative_to_the_first_file_or_the_project_directory(folder: Any) -> None:
    folder.write("", d__a_yml="services: {a: {build: ./x}}", e__b_yml="services: {a: {volumes: ['./y:/y']}}")

    shown = _shown(folder, files=("d/a.yml", "e/b.yml"))
    moved = _shown(folder, files=("d/a.yml", "e/b.yml"), project_directory="e")
    assert shown["build"]["context"] == str(folder.path / "d" / "x")
    assert shown["volumes"][0]["source"] == str(folder.path / "d" / "y")
    assert moved["build"]["context"] == str(folder.path / "e" / "x")


def test_profiles_come_from_the_flag_or_the_variable(folder: Any) -> None:
    folder.write("services: {a: {image: i}, p: {image: p, profiles: [p]}, q: {image: q, profiles: [q]}}")

    assert set(folder.compose(env={"COMPOSE_PROFILES": "p, q"})["services"]) == {"a", "p", "q"}
    assert set(folder.compose(env={"COMPOSE_PROFILES": "p"}, profiles=("q",))["services"]) == {"a", "q"}
    assert set(folder.compose(profiles=("*",))["services"]) == {"a", "p", "q"}


@pytest.mark.parametrize(
    ("text", "name"),
    [("name: plain", "plain"), ("name: 'Quoted'", "quoted"), ("name: ${N:-given}", "given"), ("x-a: 1", "folder")],
)
def test_the_name_alone_is_what_the_loader_says(folder: Any, text: str, name: str) -> None:
    folder.write(f"{text}\nservices: {{a: {{image: i}}}}")
    request = Request(cwd=str(folder.path), project_directory="folder")

    assert project_name(request) == read(request).name == name


def test_a_plain_name_needs_no_yaml(folder: Any) -> None:
    folder.write("name: plain\nservices: {a: {image: i}}")
    code = "import sys; from orchestrator import spec; spec.project_name(spec.Request()); print('yaml' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=folder.path, capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"


@pytest.mark.parametrize("given", [{"project_name": "BAD NAME"}, {"env": {"COMPOSE_PROJECT_NAME": "BAD NAME"}}])
def test_a_name_that_no_stack_can_have_is_refused_without_files_too(given: Any, tmp_path: Any) -> None:
    with pytest.raises(BadValue, match='"BAD NAME" can\'t be the name of a stack'):
        project_name(Request(cwd=str(tmp_path), **given))
