"""Which volumes there are, and what may be destroyed: never what a container holds, or what can't be seen."""

from __future__ import annotations

import pytest

from orchestrator.errors import Conflict, NoSuchThing, Unreachable
from orchestrator.model.names import COMPOSE_PROJECT, COMPOSE_VOLUME, StackName
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import StackSpec
from orchestrator.service.volumes import VolumeSummary
from orchestrator.store import Stacks
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, made

APART = {"network_mode": "none"}


def slots() -> StackSpec:
    """db has a volume for each of its two slots."""
    db = {"volumes": ["data:/data"], "deploy": {"replicas": 2}, **APART}
    return made({"db": db}, volumes={"data": {"name": "shop_data-{{.Task.Slot}}"}})


async def shop(*, is_down: bool = False) -> Cluster:
    cluster = Cluster(N1, N2)
    assert (await cluster.up(slots())).converged
    if is_down:
        await cluster.run(lambda control: control.down(SHOP))
    return cluster


def there(cluster: Cluster) -> set[str]:
    return {f"{node}/{name}" for node, engine in cluster.engines.items() for name in engine._volumes}


async def test_a_volume_is_listed_with_its_home_and_its_users() -> None:
    cluster = await shop()
    async with cluster.control() as control:
        first, second = await control.volumes.list()
        assert await control.volumes.list(StackName("other")) == ()

    assert first == VolumeSummary(name="shop_data-1", stack=SHOP, home=N1, nodes=(N1,), used_by=("shop/db.1",))
    assert (second.home, second.used_by) == (N2, ("shop/db.2",))


async def test_a_volume_whose_home_is_away_is_listed_all_the_same() -> None:
    cluster = await shop()
    cluster.n2.unplug()
    async with cluster.control() as control:
        _, second = await control.volumes.list()

    assert second == VolumeSummary(name="shop_data-2", stack=SHOP, home=N2, nodes=(), used_by=("shop/db.2",))


async def test_inspect_has_what_the_engine_says_and_who_was_silent() -> None:
    cluster = await shop()
    cluster.n2.unplug()
    async with cluster.control() as control:
        report = await control.volumes.inspect("shop_data-1")
        with pytest.raises(NoSuchThing, match='there is no volume "shop_dat"'):
            await control.volumes.inspect("shop_dat")

    assert report.details[N1].references == 1
    assert report.details[N1].labels[COMPOSE_VOLUME] == "data"
    assert report.trouble == {N2: "no route to host"}


async def test_what_a_container_holds_is_not_removed_running_or_not() -> None:
    cluster = await shop()
    await cluster.run(lambda control: control.stop(SHOP))
    async with cluster.control() as control:
        with pytest.raises(Conflict) as caught:
            await control.volumes.removable(["shop_data-1"])

    assert caught.value.why == "shop-db-1 on n1 holds it"
    assert caught.value.fix == "orch -p shop rm -fs db, or orch -p shop down"


async def test_a_volume_goes_and_its_home_is_forgotten() -> None:
    cluster = await shop(is_down=True)
    async with cluster.control() as control:
        doomed = await control.volumes.removable(["shop_data-1"])
        await control.volumes.remove(doomed)

    assert [str(each) for each in doomed] == ['volume "shop_data-1" on n1: stack shop']
    assert there(cluster) == {"n2/shop_data-2"}
    assert await cluster.homes() == {"shop_data-2": N2}


async def test_a_removal_that_was_killed_halfway_ends_with_the_next() -> None:
    """The volume is gone, its home is not forgotten."""
    cluster = await shop(is_down=True)
    await cluster.n1.remove_volume("shop_data-1")
    async with cluster.control() as control:
        doomed = await control.volumes.removable(["shop_data-1"])
        await control.volumes.remove(doomed)

    assert [(each.exists, each.is_home) for each in doomed] == [(False, True)]
    assert await cluster.homes() == {"shop_data-2": N2}


async def test_a_volume_whose_home_is_away_is_not_removed() -> None:
    cluster = await shop(is_down=True)
    cluster.n2.unplug()
    async with cluster.control() as control:
        with pytest.raises(Unreachable) as caught:
            await control.volumes.removable(["shop_data-2"])

    assert caught.value.why == "its data is on n2, which does not answer (no route to host)"
    assert await cluster.homes() == {"shop_data-1": N1, "shop_data-2": N2}


async def test_of_two_of_one_name_the_one_that_is_no_data_goes_alone() -> None:
    cluster = await shop()
    details = await cluster.n1.volume("shop_data-1")
    await cluster.n2.create_volume(VolumeSpec(key="data", name="shop_data-1"), details.labels)
    async with cluster.control() as control:
        await control.volumes.remove(await control.volumes.removable(["shop_data-1"], N2))

    assert there(cluster) == {"n1/shop_data-1", "n2/shop_data-2"}
    assert (await cluster.homes())["shop_data-1"] == N1


async def test_a_volume_that_is_moving_is_not_removed() -> None:
    cluster = await shop(is_down=True)
    await Stacks(cluster.store).ask_move("shop_data-1", N2)
    async with cluster.control() as control:
        with pytest.raises(Conflict, match="is moving to n2"):
            await control.volumes.removable(["shop_data-1"])


async def test_prune_takes_what_nobody_declares_and_nothing_else() -> None:
    """Not what a project of Docker Compose has left, not what another stack has as external, not what can't be seen."""
    cluster = await shop(is_down=True)
    other = {COMPOSE_PROJECT: "blog", COMPOSE_VOLUME: "posts"}
    await cluster.n1.create_volume(VolumeSpec(key="posts", name="blog_posts"), other)
    async with cluster.control() as control:
        doomed, kept = await control.volumes.prunable()
        assert ([each.name for each in doomed], kept) == (["shop_data-1", "shop_data-2"], ())

        cluster.n2.unplug()
        doomed, kept = await control.volumes.prunable()
        assert [each.name for each in doomed] == ["shop_data-1"]
        assert "its data is on n2, which does not answer" in kept[0]
        await control.volumes.remove(doomed)

    assert there(cluster) == {"n1/blog_posts", "n2/shop_data-2"}


async def test_prune_leaves_what_is_declared() -> None:
    cluster = await shop()
    await cluster.run(lambda control: control.scale(SHOP, dict.fromkeys(["db"], 0)))  # type: ignore[arg-type]
    async with cluster.control() as control:
        assert await control.volumes.prunable() == ((), ())


async def test_a_stack_that_was_scaled_down_and_up_again_has_its_data() -> None:
    cluster = await shop()
    await cluster.run(lambda control: control.scale(SHOP, dict.fromkeys(["db"], 1)))  # type: ignore[arg-type]
    assert there(cluster) == {"n1/shop_data-1", "n2/shop_data-2"}
    await cluster.run(lambda control: control.scale(SHOP, dict.fromkeys(["db"], 2)))  # type: ignore[arg-type]

    assert (await cluster.container("shop-db-2")).node == N2


async def test_a_new_process_knows_a_home_that_is_away_and_makes_no_empty_volume() -> None:
    """Issue 4: killed home, new controller, up; then the home is back with its data."""
    cluster = await shop()
    await cluster.run(lambda control: control.down(SHOP))
    cluster.n2.unplug()
    outcome = await cluster.up(slots(), wait_s=1)

    assert not outcome.converged
    assert [b.reason for b in outcome.blocked if b.subject == "db.2"] == [
        "the data of volume shop_data-2 is on n2, which does not answer (no route to host)"
    ]
    assert (await cluster.container("shop-db-1")).is_running
    assert there(cluster) == {"n1/shop_data-1", "n2/shop_data-2"}

    cluster.n2.plug()
    assert (await cluster.up(slots())).converged
    assert (await cluster.container("shop-db-2")).node == N2
