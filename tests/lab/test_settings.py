"""What a lab can be asked for, without any engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import LabError, NoSuchThing
from orchestrator.lab import Lab, resolver
from orchestrator.lab.settings import Place, Settings, checked


def test_nodes_have_their_number_as_address_and_the_hub_the_last() -> None:
    settings = checked(Settings(nodes=2, subnet="10.9.8.0/24", tls=True))

    assert settings.node_names == ("n1", "n2")
    assert [settings.endpoint(node) for node in settings.node_names] == ["tcp://10.9.8.1:2376", "tcp://10.9.8.2:2376"]
    assert settings.hub_address == "10.9.8.254"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (Settings(name="My Lab"), 'bad lab name "My Lab"'),
        (Settings(nodes=0), "a lab can't have 0 nodes"),
        (Settings(nodes=6, subnet="10.9.8.0/29"), "subnet 10.9.8.0/29 is too small for 6 nodes"),
        (Settings(subnet="10.9.8.1/24"), 'bad subnet "10.9.8.1/24"'),
        (Settings(subnet="fd00::/64"), 'bad subnet "fd00::/64"'),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_way_out(settings: Settings, what: str) -> None:
    with pytest.raises(LabError) as raised:
        checked(settings)

    assert raised.value.what == what
    assert raised.value.fix


def test_a_full_subnet_has_room_for_its_nodes() -> None:
    assert checked(Settings(nodes=5, subnet="10.9.8.0/29")).node_names[-1] == "n5"


def test_an_unknown_node_is_answered_with_those_there_are() -> None:
    with pytest.raises(NoSuchThing, match='no node "n4"') as raised:
        Settings(nodes=2).require("n4")

    assert raised.value.fix == "there are: n1, n2"


@pytest.mark.parametrize("root", ["/etc/lab", "/run/lab", "/usr", "/tmp/" + "x" * 100, "/no/such/directory/lab"])
def test_a_root_where_engines_cannot_work_is_refused(root: str) -> None:
    with pytest.raises(LabError) as raised:
        Place(Path(root)).require_usable()

    assert root in raised.value.what or "/no/such" in raised.value.what
    assert raised.value.fix


def test_settings_outlive_the_process_and_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.save(Settings(nodes=7, tls=True))
    assert place.load() == Settings(nodes=7, tls=True)

    place.state.write_text('{"nodes": ')
    assert place.load() is None


def test_a_lab_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="there is no lab in") as raised:
        Lab(tmp_path).env("n1")

    assert "orch lab up" in raised.value.fix


def test_the_name_server_refuses_each_name_with_the_question_it_was_asked() -> None:
    question = b"\x03web\x07example\x00\x00\x01\x00\x01"
    query = (
        b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" + question + b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"
    )

    answer = resolver.refusal(query)

    assert answer == b"\xab\xcd\x81\x83\x00\x01\x00\x00\x00\x00\x00\x00" + question
    with pytest.raises(ValueError, match="subsection not found"):
        resolver.refusal(b"\xab\xcd\x01\x00")
