"""The registry of nodes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from orchestrator.errors import NoSuchThing, StoreError
from orchestrator.model.cluster import Availability, Node, NodeStatus
from orchestrator.model.names import NodeName
from orchestrator.store import MemoryStore, Nodes, SqliteStore


def node(name: str, endpoint: str = "", availability: Availability = Availability.ACTIVE) -> Node:
    return Node(name=NodeName(name), endpoint=endpoint or f"unix:///run/{name}.sock", availability=availability)


@pytest.fixture
def nodes() -> Nodes:
    return Nodes(MemoryStore())


async def names(nodes: Nodes) -> list[str]:
    return [node.name for node in await nodes.list()]


async def test_nodes_are_listed_by_name_without_what_is_observed(nodes: Nodes) -> None:
    await nodes.add(Node(name=NodeName("n2"), endpoint="tcp://b", status=NodeStatus.DOWN, trouble="cut off"))
    await nodes.add(Node(name=NodeName("n1"), endpoint="tcp://a", labels={"disk": "ssd"}))

    assert await nodes.list() == (
        Node(name=NodeName("n1"), endpoint="tcp://a", labels={"disk": "ssd"}),
        Node(name=NodeName("n2"), endpoint="tcp://b"),
    )


async def test_a_name_or_an_endpoint_is_taken_once(nodes: Nodes) -> None:
    await nodes.add(node("n1", "tcp://a"))

    with pytest.raises(StoreError, match='there is a node "n1" already'):
        await nodes.add(node("n1", "tcp://b"))
    with pytest.raises(StoreError, match='node "n1" has that endpoint already'):
        await nodes.add(node("n2", "tcp://a"))
    assert await names(nodes) == ["n1"]


async def test_an_update_takes_the_place_of_the_old(nodes: Nodes) -> None:
    await nodes.add(node("n1", "tcp://a"))
    await nodes.add(node("n2", "tcp://b"))
    await nodes.update(node("n1", "tcp://c", Availability.DRAIN))

    with pytest.raises(StoreError, match='node "n2" has that endpoint already'):
        await nodes.update(node("n1", "tcp://b"))
    with pytest.raises(NoSuchThing, match="there is no node"):
        await nodes.update(node("n3"))
    assert await nodes.list() == (node("n1", "tcp://c", Availability.DRAIN), node("n2", "tcp://b"))


async def test_a_removed_node_is_gone_and_an_unknown_one_is_named(nodes: Nodes) -> None:
    await nodes.add(node("n1"))
    await nodes.add(node("n2"))
    await nodes.remove(NodeName("n1"))

    with pytest.raises(NoSuchThing) as error:
        await nodes.remove(NodeName("n1"))

    assert error.value.what == 'there is no node "n1"'
    assert error.value.why == 'nodes that are there: "n2"'
    assert await names(nodes) == ["n2"]


async def test_of_two_that_add_one_endpoint_at_once_one_is_refused(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "orch.db") for _ in range(2)]
    results = await asyncio.gather(
        *(Nodes(store).add(node(f"n{number}", "tcp://a")) for number, store in enumerate(stores)),
        return_exceptions=True,
    )
    kept = await names(Nodes(stores[0]))
    for store in stores:
        await store.close()

    assert sorted(type(result).__name__ for result in results) == ["NoneType", "StoreError"]
    assert len(kept) == 1


async def test_a_list_of_nodes_is_adopted_where_it_is_new(nodes: Nodes, tmp_path: Path) -> None:
    await nodes.add(node("n1", "tcp://mine"))
    await nodes.add(node("mine", "tcp://c"))
    listed = [
        {"name": "n1", "endpoint": "tcp://a"},
        {"name": "n2", "endpoint": "tcp://b", "more": 1},
        {"name": "n3", "endpoint": "tcp://c"},
        {"name": "n4", "endpoint": "tcp://d", "labels": {"zone": "x"}},
        {"name": "n4", "endpoint": "tcp://e"},
    ]
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps(listed))
    taken = await nodes.adopt(path)

    assert taken == ("n2", "n4")
    assert await nodes.adopt(path) == ()
    assert {one.name: (one.endpoint, one.labels) for one in await nodes.list()} == {
        "n1": ("tcp://mine", {}),
        "mine": ("tcp://c", {}),
        "n2": ("tcp://b", {}),
        "n4": ("tcp://d", {"zone": "x"}),
    }


async def test_no_list_is_no_error_and_a_broken_one_names_itself(nodes: Nodes, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    nothing = await nodes.adopt(path)
    path.write_text('[{"name": "n1"}]')

    with pytest.raises(StoreError) as error:
        await nodes.adopt(path)

    assert nothing == ()
    assert error.value.where == str(path)
    assert "endpoint" in error.value.why
