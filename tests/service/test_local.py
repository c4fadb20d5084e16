"""Where the service of this process keeps its state, and which hosts it finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.engine import MemoryEngine
from orchestrator.errors import StoreError
from orchestrator.model.names import NodeName
from orchestrator.reconciler.clock import utc_now
from orchestrator.service import local
from orchestrator.service.local import home, open_control
from orchestrator.service.request import UpRequest
from tests.reconciler.cluster import N1, N2, SHOP, made


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryEngine]:
    """By endpoint; each is made when it is first connected to."""
    made_engines: dict[str, MemoryEngine] = {}

    def connect(name: NodeName, endpoint: str) -> MemoryEngine:
        if endpoint not in made_engines:
            made_engines[endpoint] = MemoryEngine(name, utc_now)
            made_engines[endpoint].has("web:1")
        return made_engines[endpoint]

    monkeypatch.setattr(local, "connect", connect)
    return made_engines


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"ORCH_HOME": "/o", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/o"),
        ({"ORCH_HOME": "", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/orch"),
        ({"XDG_STATE_HOME": "", "HOME": "/h"}, "/h/.local/state/orch"),
        ({}, "/root/.local/state/orch"),
    ],
)
def test_the_folder_of_the_state_is_found_as_other_programs_do(env: Mapping[str, str], expected: str) -> None:
    assert home(env) == Path(expected)


async def test_without_registered_nodes_the_engine_of_docker_is_the_cluster(
    tmp_path: Path, engines: dict[str, MemoryEngine]
) -> None:
    env = {"ORCH_HOME": str(tmp_path), "DOCKER_HOST": "unix:///run/one.sock"}
    async with open_control(env) as control:
        assert [(n.name, n.endpoint) for n in await control.nodes()] == [("local", "unix:///run/one.sock")]
        await control.up(UpRequest(stack=made({"web": None})))
        assert (await control.converge(SHOP, lambda _: None)).converged

    assert list(engines) == ["unix:///run/one.sock"]


async def test_each_engine_that_nobody_registered_has_a_store_of_its_own(tmp_path: Path) -> None:
    one, two = ({"ORCH_HOME": str(tmp_path), "DOCKER_HOST": f"unix:///run/{name}.sock"} for name in ("one", "two"))
    async with open_control(one) as control:
        await control.up(UpRequest(stack=made({"web": None})))
    async with open_control(two) as control:
        assert await control.stack_names() == ()
    async with open_control(one) as control:
        assert await control.stack_names() == (SHOP,)


async def test_the_first_node_can_be_added_though_none_is_registered_yet(tmp_path: Path) -> None:
    env = {"ORCH_HOME": str(tmp_path), "DOCKER_HOST": "unix:///run/one.sock"}
    async with open_control(env) as control:
        await control.add_node(N1, "tcp://n1:2376", {"zone": "a"})
    async with open_control(env) as control:
        assert [(n.name, n.endpoint, n.labels) for n in await control.nodes()] == [(N1, "tcp://n1:2376", {"zone": "a"})]
        await control.remove_node(N1)
    async with open_control(env) as control:
        assert [n.name for n in await control.nodes()] == ["local"]


async def test_a_list_of_nodes_beside_the_store_is_adopted(tmp_path: Path) -> None:
    nodes = [{"name": "n1", "endpoint": "unix:///run/n1.sock"}, {"name": "n2", "endpoint": "unix:///run/n2.sock"}]
    (tmp_path / "nodes.json").write_text(json.dumps(nodes))
    async with open_control({"ORCH_HOME": str(tmp_path)}) as control:
        assert [n.name for n in await control.nodes()] == [N1, N2]


async def test_a_list_of_nodes_that_cannot_be_read_is_an_error_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "nodes.json").write_text("{")
    with pytest.raises(StoreError, match=r"the list of nodes can't be read"):
        async with open_control({"ORCH_HOME": str(tmp_path)}):
            pass
