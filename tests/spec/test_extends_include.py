"""`extends` and `include`: what comes along, which folder and which variables count."""

from __future__ import annotations

from typing import Any


def test_a_service_of_another_file_brings_its_paths_and_nothing_else(folder: Any) -> None:
    folder.write(
        "services:\n  a:\n    extends: {file: sub/base.yml, service: web}\n    environment: [B=2]\n",
        sub__base_yml="services:\n  web: {extends: root, build: ., volumes: ['./d:/d']}\n"
        "  root: {image: i, environment: {A: 1}}\n",
    )

    shown = folder.compose()["services"]["a"]
    assert shown["build"]["context"] == str(folder.path / "sub")
    assert shown["volumes"][0]["source"] == str(folder.path / "sub" / "d")
    assert shown["environment"] == {"A": "1", "B": "2"}
    assert shown["image"] == "i"


def test_places_lead_to_the_file_that_said_it(folder: Any) -> None:
    folder.write(
        "services:\n  a:\n    extends: {file: sub/base.yml, service: web}\n",
        sub__base_yml="services:\n  web:\n    image: i\n    ports:\n      - 80:80\n",
    )

    places = folder.load().stack.places
    assert places["services/a"] == "compose.yaml:2:3"
    assert places["services/a/image"] == "sub/base.yml:3:5"
    assert places["services/a/ports/0"] == "sub/base.yml:5:9"


def test_a_loop_of_extends_is_spelled(folder: Any) -> None:
    folder.write("services:\n  a: {extends: b}\n  b: {extends: a}\n")

    assert folder.refuse() == (
        'compose.yaml:2:7: service "a" extends itself\n'
        '  why: "a" in compose.yaml -> "b" in compose.yaml -> "a" in compose.yaml\n'
        "  fix: remove one of these"
    )


def test_an_unknown_base_names_those_that_exist(folder: Any) -> None:
    folder.write("services:\n  a: {extends: nope}\n  b: {image: b}\n")

    assert folder.refuse() == (
        'compose.yaml:2:7: service "a" extends "nope", which compose.yaml does not have\n  fix: it has b'
    )


def test_an_included_project_has_its_own_folder_and_variables(folder: Any) -> None:
    folder.write(
        "include: [sub/c.yml]\nservices: {a: {image: '${OWN:-none}'}}\n",
        sub__c_yml="name: other\nservices: {b: {image: '${OWN}', build: ./x}}\nvolumes: {v: }\n",
        sub___env="OWN=inner\n",
    )

    shown = folder.compose()
    assert shown["name"] == "shop"
    assert shown["services"]["a"]["image"] == "none"
    assert shown["services"]["b"]["image"] == "inner"
    assert shown["services"]["b"]["build"]["context"] == str(folder.path / "sub" / "x")


def test_the_including_file_wins_and_may_reset(folder: Any) -> None:
    folder.write(
        "include: [one.yml, two.yml]\nservices: {q: {ports: !reset [], user: main}}\n",
        one_yml="services: {q: {image: one, ports: ['80'], user: one}}",
        two_yml="services: {q: {image: two, hostname: two}}",
    )

    shown = folder.compose()["services"]["q"]
    assert (shown["image"], shown["user"], shown["hostname"]) == ("one", "main", "two")
    assert "ports" not in shown


def test_files_that_include_each_other_are_refused(folder: Any) -> None:
    folder.write("include: [one.yml]\n", one_yml="include:\n  - compose.yaml\n")

    assert folder.refuse().startswith("one.yml:2:5: the files include each other")


def test_remote_sources_are_refused_by_name(folder: Any) -> None:
    folder.write("include:\n  - oci://host/app\n")

    assert folder.refuse().startswith('compose.yaml:2:5: orch does not fetch "oci://host/app"')


def test_an_include_of_the_wrong_shape_is_refused_before_it_is_followed(folder: Any) -> None:
    folder.write("include: [{path: a.yml, project_directory: 08}]\nservices: {}\n")

    assert "include[0].project_directory must be a text" in folder.refuse()


def test_what_is_no_mapping_can_not_be_extended(folder: Any) -> None:
    folder.write("services:\n  a: {extends: {file: b.yml, service: x}}\n", b_yml="services:\n  x: a text\n")

    assert folder.refuse() == 'compose.yaml:2:7: service "a" extends "x", which is no mapping in b.yml'
