"""Where the data of volumes is, and that no empty volume takes its place."""

from __future__ import annotations

import pytest

from orchestrator.errors import (
    Unreachable,
)
from orchestrator.model.names import (
    COMPOSE_VOLUME,
    STACK,
)
from orchestrator.model.shared import VolumeSpec
from orchestrator.reconciler.events import Noticed
from orchestrator.service.request import UpRequest
from orchestrator.store import MemoryStore, Stacks
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, only
from tests.service.shop import counted, pair

# -- homes ------------------------------------------------------------------------------------------------------------


async def test_of_two_volumes_of_one_name_the_one_that_is_held_is_the_home() -> None:
    """The store was lost; an empty volume of the same name stands on the node that answers first."""
    cluster = Cluster(N1, N2)
    volume = VolumeSpec(key="data", name="shop_data")
    cluster.n1.hang("containers", "volumes")
    cluster.n1.unhang()
    await cluster.n2.create_volume(volume, {STACK: SHOP, COMPOSE_VOLUME: "data"})
    async with cluster.control({N2: cluster.n2}) as control:
        await control.up(UpRequest(stack=pair()))
        assert (await control.converge(SHOP, cluster.events.append)).converged
    await cluster.n1.create_volume(volume, {STACK: SHOP, COMPOSE_VOLUME: "data"})
    cluster.store = MemoryStore()
    assert (await cluster.up(pair())).converged

    assert await cluster.homes() == {"shop_data": N2}
    assert {c.node for c in await cluster.containers()} == {N2}


async def test_a_volume_whose_home_is_down_is_not_made_anew_elsewhere() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    cluster.n1.unplug()
    outcome = await cluster.up(pair("2"), wait_s=2)

    assert not outcome.converged
    assert "shop_data" not in cluster.n2._volumes
    assert any("the data of volume shop_data is on n1" in b.reason for b in outcome.blocked)


async def test_a_volume_that_was_removed_by_hand_is_made_anew_only_by_name() -> None:
    """Decision 0006."""
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.down(SHOP))
    await cluster.n1.remove_volume("shop_data")
    outcome = await cluster.up(pair())
    assert any("volume shop_data had its data on n1 and is gone from there" in b.reason for b in outcome.blocked)

    assert (await cluster.up(pair(), new_volumes=("shop_data",))).converged
    assert await cluster.homes() == {"shop_data": N1}


async def test_a_preview_with_a_volume_given_up_is_not_blocked_by_it() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    await cluster.run(lambda control: control.down(SHOP))
    await cluster.n1.remove_volume("shop_data")
    async with cluster.control() as control:
        blocked = await control.preview_up(UpRequest(stack=pair()))
        free = await control.preview_up(UpRequest(stack=pair(), new_volumes=("shop_data",)))

    assert blocked.blocked != ()
    assert free.blocked == ()
    assert await cluster.homes() == {"shop_data": N1}


# -- preview ----------------------------------------------------------------------------------------------------------


async def test_a_preview_makes_no_change_and_says_what_would_be_done() -> None:
    cluster = Cluster(N1, N2)
    async with cluster.control() as control:
        preview = await control.preview_up(UpRequest(stack=pair()))

    assert [step.operation.title for step in preview.steps][-1] == "start web.1 on n1"
    assert await counted(cluster) == 0
    assert await Stacks(cluster.store).names() == ()
    assert await cluster.store.revision() == 0


async def test_the_preview_of_what_is_true_is_empty() -> None:
    cluster = Cluster()
    await cluster.up(pair())
    async with cluster.control() as control:
        preview = await control.preview_up(UpRequest(stack=pair()))

    assert (preview.steps, preview.blocked) == ((), ())


# -- silence ----------------------------------------------------------------------------------------------------------


async def test_when_no_node_answers_it_is_the_node_that_says_why() -> None:
    cluster = Cluster(N1, N2)
    await cluster.up(pair())
    for engine in cluster.engines.values():
        engine.unplug()
    async with cluster.control() as control:
        for ask in (
            control.up(UpRequest(stack=pair())),
            control.preview_up(UpRequest(stack=pair())),
            control.converge(SHOP, cluster.events.append),
            control.containers(SHOP),
            control.stacks(),
        ):
            with pytest.raises(Unreachable) as caught:
                await ask
            assert caught.value.why == "no route to host"


async def test_a_silent_node_among_others_is_told_and_holds_up_nothing() -> None:
    cluster = Cluster(N1, N2)
    cluster.n2.unplug()
    outcome = await cluster.up(pair())

    assert outcome.converged
    assert [e.text for e in only(cluster.events, Noticed)] == ['node "n2" does not answer: no route to host']
