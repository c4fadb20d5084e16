"""Several processes at the same time on one stack."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from orchestrator.errors import (
    LeaseLost,
    RevisionConflict,
)
from orchestrator.service.request import UpRequest
from orchestrator.store import Owner, Put, Stacks, hold
from tests.reconciler.cluster import N1, SHOP, Cluster, eventually, made
from tests.service.shop import counted, pair


async def test_of_two_that_declare_at_the_same_time_one_is_told() -> None:
    cluster = Cluster()
    async with cluster.control() as one, cluster.control() as two:
        results = await asyncio.gather(
            one.up(UpRequest(stack=pair("1"))), two.up(UpRequest(stack=pair("2"))), return_exceptions=True
        )

    losers = [result for result in results if isinstance(result, BaseException)]
    assert [type(loser) for loser in losers] == [RevisionConflict]
    assert "was changed by somebody else meanwhile" in str(losers[0])


async def test_the_loser_gives_up_no_volume() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as one, cluster.control() as two:
        lose = UpRequest(stack=pair("2"), new_volumes=("shop_data",))
        results = await asyncio.gather(one.up(UpRequest(stack=pair("3"))), two.up(lose), return_exceptions=True)

    assert isinstance(results[1], RevisionConflict)
    assert await cluster.homes() == {"shop_data": N1}


async def test_a_run_that_is_superseded_ends_and_the_other_goes_on() -> None:
    cluster = Cluster()
    cluster.behaves("web", healthy_after_s=60.0)
    slow = made({"web": {"healthcheck": {"test": "check", "interval": "60s"}}})
    async with cluster.control() as one, cluster.control() as two:
        await one.up(UpRequest(stack=slow))
        waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append))
        await eventually(lambda: cluster.began())
        await two.up(UpRequest(stack=pair("2")))
        second = await two.converge(SHOP, cluster.events.append, wait_timeout_s=5)
        first = await waiting

    assert (first.converged, first.revision, first.superseded_by) == (False, 1, 2)
    assert (second.converged, second.revision) == (True, 2)
    assert await cluster.names() == ["shop-db-1", "shop-web-1"]


async def test_what_was_superseded_while_it_waited_for_the_lock_is_not_begun() -> None:
    cluster = Cluster()
    async with cluster.control() as one, cluster.control() as two:
        await one.up(UpRequest(stack=pair("1")))
        async with hold(cluster.store, "locks/shop", owner="orch other"):
            waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append, wait_timeout_s=5))
            await asyncio.sleep(0.05)
            await two.up(UpRequest(stack=pair("2")))
        outcome = await waiting

    assert (outcome.converged, outcome.superseded_by) == (False, 2)
    assert await counted(cluster) == 0


async def test_a_stack_that_was_taken_down_while_we_waited_for_the_lock_is_not_begun() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as one:
        async with hold(cluster.store, "locks/shop", owner="orch other"):
            waiting = asyncio.create_task(one.converge(SHOP, cluster.events.append, wait_timeout_s=5))
            await asyncio.sleep(0.05)
            stored = await Stacks(cluster.store).get(SHOP)
            assert stored is not None
            await Stacks(cluster.store).forget(SHOP, replaces=stored)
        outcome = await waiting

    assert (outcome.converged, outcome.superseded_by) == (False, 1)


async def test_a_lock_of_a_process_that_lives_is_waited_for_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(UpRequest(stack=pair()))
        async with hold(cluster.store, "locks/shop", owner="orch serve"):
            monkeypatch.setattr("orchestrator.service.converge.hold", lambda *a, **k: hold(*a, **{**k, "wait_s": 0.05}))
            with pytest.raises(LeaseLost) as caught:
                await control.converge(SHOP, cluster.events.append)

    assert '"orch serve" (process ' in caught.value.why
    assert await counted(cluster) == 0


async def test_a_lock_of_a_process_that_was_killed_is_free_at_once() -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(UpRequest(stack=pair()))
    async with hold(cluster.store, "locks/shop", owner="orch up"):
        entry = await cluster.store.get("locks/shop")
        assert entry is not None
        dead = msgspec.structs.replace(msgspec.json.decode(entry.value, type=Owner), started="before")
        await cluster.store.write(Put(key=entry.key, value=msgspec.json.encode(dead)))
        async with asyncio.timeout(1):
            assert (await cluster.converge()).converged
