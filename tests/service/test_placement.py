"""Placement from the file to the engines: what the loop makes of constraints and of volumes for single slots."""

from __future__ import annotations

from typing import Any

from orchestrator.model.spec import StackSpec
from tests.reconciler.cluster import N1, N2, N3, Cluster, made


def _alone(constraint: str = "", version: str = "1", **more: Any) -> StackSpec:
    placement = {"constraints": [constraint]} if constraint else {}
    web = {"network_mode": "none", "environment": {"V": version}, "deploy": {"placement": placement}, **more}
    return made({"web": web})


async def _places(cluster: Cluster) -> list[tuple[int, str]]:
    return sorted((c.slot, c.node) for c in await cluster.containers())


async def test_a_constraint_on_what_the_engine_says_of_itself_decides_the_node() -> None:
    cluster = Cluster(N1, N2, N3)

    assert (await cluster.up(_alone("node.id == engine-of-n3"))).converged
    assert await _places(cluster) == [(1, N3)]


async def test_a_file_that_asks_for_another_node_moves_the_container() -> None:
    cluster = Cluster(N1, N2)
    assert (await cluster.up(_alone("node.hostname == n2"))).converged

    assert (await cluster.up(_alone("node.hostname != n2"))).converged
    assert await _places(cluster) == [(1, N1)]


async def test_what_fits_nowhere_is_told_with_numbers_and_what_runs_goes_on() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(_alone())
    reserving = {
        "placement": {"constraints": ["node.hostname == n2"]},
        "resources": {"reservations": {"memory": "64G"}},
    }
    outcome = await cluster.up(_alone(deploy=reserving), wait_s=2)

    assert [b.reason for b in outcome.blocked] == [
        "no node can take it: n1: node.hostname is n1, and has to be n2; n2: needs 64 GiB of memory, 16 GiB are free"
    ]
    assert await _places(cluster) == [(1, N1)]


async def test_each_replica_keeps_a_volume_of_its_own_through_an_update() -> None:
    cluster = Cluster(N1, N2)

    def stack(version: str) -> StackSpec:
        web = {"network_mode": "none", "scale": 2, "volumes": ["data:/d"], "environment": {"V": version}}
        return made({"web": web}, volumes={"data": {"x-orch": {"per_replica": True}}})

    assert (await cluster.up(stack("1"))).converged
    assert (await cluster.up(stack("2"))).converged

    assert await cluster.homes() == {"shop_data-1": N1, "shop_data-2": N2}
    held = {(c.slot, c.node): [v.name for v in c.volumes] for c in await cluster.containers()}
    assert held == {(1, N1): ["shop_data-1"], (2, N2): ["shop_data-2"]}
