"""The data of a volume goes to another node whole or not at all, and what uses it goes after it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from orchestrator.errors import (
    Conflict,
    LeaseLost,
    NoSuchThing,
    Refused,
    Unreachable,
    UsageError,
)
from orchestrator.model.names import NodeName
from orchestrator.model.operations import MoveVolume
from orchestrator.model.shared import VolumeSpec
from orchestrator.model.spec import StackSpec
from orchestrator.reconciler.events import Noticed, OperationProgressed
from orchestrator.store import Delete, Stacks, hold
from tests.reconciler.cluster import N1, N2, N3, SHOP, Cluster, changes, eventually, made, only
from tests.reconciler.test_crash import Crash, MortalEngine, MortalStore
from tests.service.shelf import DATA, Entry, Shelved

APART = {"network_mode": "none"}
DISK_FULL = Refused('can\'t write volume "shop_data"', why="no space left on device", fix="free space on the host")


def db(version: str = "1", **more: Any) -> StackSpec:
    """One service with data."""
    return made(
        {"db": {"volumes": ["data:/data"], "environment": {"V": version}, **APART, **more}}, volumes={"data": {}}
    )


async def shop() -> Shelved:
    """It is up on n1, with data."""
    cluster = Shelved()
    assert (await cluster.up(db())).converged
    cluster.shelf(N1).contents["shop_data"] = DATA
    cluster.events.clear()
    for engine in cluster.engines.values():
        engine.calls.clear()
    return cluster


async def move(cluster: Cluster, *names: str, to: NodeName = N2) -> Any:
    async with cluster.control(command="orch volume move") as control:
        return await control.move_volumes(names or ("shop_data",), to, cluster.events.append)


async def where(cluster: Cluster) -> dict[str, tuple[NodeName, str]]:
    return {c.name: (c.node, c.state.value) for c in await cluster.containers()}


async def test_a_move_takes_the_data_and_its_users_and_leaves_nothing() -> None:
    cluster = await shop()
    outcome = await move(cluster)

    assert outcome.converged
    assert cluster.places("shop_data") == {N2: DATA}
    assert await cluster.homes() == {"shop_data": N2}
    assert await Stacks(cluster.store).moves() == {}
    assert await where(cluster) == {"shop-db-1": (N2, "running")}


async def test_nothing_is_copied_while_a_container_uses_it_and_nothing_is_removed_before_it_is_equal() -> None:
    cluster = await shop()
    await move(cluster)
    source = [call for call, _ in cluster.n1.calls if call in ("stop", "remove", "read_volume", "remove_volume")]
    target = [call for call, _ in cluster.n2.calls if call in ("create_volume", "write_volume", "read_volume", "start")]

    assert source == ["stop", "remove", "read_volume", "remove_volume"]
    assert target == ["create_volume", "write_volume", "read_volume", "start"]
    titles = cluster.done()
    assert titles.index("move volume shop_data from n1 to n2") < titles.index(
        "remove the copy of volume shop_data on n1"
    )


async def test_progress_says_how_much_was_copied_and_compared() -> None:
    cluster = await shop()
    await move(cluster)

    told = [e.text for e in only(cluster.events, OperationProgressed) if isinstance(e.operation, MoveVolume)]
    assert [text.split(" MB ")[1] for text in told] == ["copied", "compared"]


async def test_a_move_to_where_it_is_does_nothing() -> None:
    cluster = await shop()
    assert (await move(cluster, to=N1)).converged

    assert [changes(engine) for engine in cluster.engines.values()] == [[], []]


async def test_the_disk_of_the_target_is_full() -> None:
    cluster = await shop()
    cluster.shelf(N2).torn = DISK_FULL
    with pytest.raises(Refused, match='"shop_data" was not moved to n2') as caught:
        await move(cluster)

    assert "no space left on device" in caught.value.why
    assert cluster.places("shop_data") == {N1: DATA}
    assert await cluster.homes() == {"shop_data": N1}
    assert await Stacks(cluster.store).moves() == {}
    assert await where(cluster) == {"shop-db-1": (N1, "running")}


async def test_a_copy_that_is_not_equal_is_no_copy() -> None:
    cluster = await shop()
    cluster.shelf(N2).alters = True
    with pytest.raises(Refused) as caught:
        await move(cluster)

    assert "is not equal to what is on n1" in caught.value.why
    assert cluster.places("shop_data") == {N1: DATA}
    assert await where(cluster) == {"shop-db-1": (N1, "running")}


async def test_the_target_dies_while_it_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.reconciler.observe.DOWN_AFTER", timedelta(seconds=0.1))
    cluster = await shop()
    cluster.shelf(N2).torn = Unreachable("can't write", why="the connection broke")
    moving = asyncio.create_task(move(cluster))
    await eventually(lambda: ("write_volume", "shop_data") in cluster.n2.calls)
    cluster.n2.unplug()
    with pytest.raises(Refused, match="was not moved"):
        await asyncio.wait_for(moving, 10)

    assert cluster.places("shop_data")[N1] == DATA
    assert await cluster.homes() == {"shop_data": N1}
    assert await where(cluster) == {"shop-db-1": (N1, "running")}

    cluster.n2.plug()
    cluster.shelf(N2).torn = None
    assert (await cluster.up(db())).converged
    assert cluster.places("shop_data") == {N1: DATA}
    assert await Stacks(cluster.store).moves() == {}


async def test_what_runs_elsewhere_is_left_alone() -> None:
    cluster = Shelved()
    stack = made(
        {"db": {"image": "db:1", "volumes": ["data:/data"], **APART}, "web": {**APART, "deploy": {"replicas": 3}}},
        volumes={"data": {}},
    )
    await cluster.up(stack)
    kept = {c.id for c in await cluster.containers() if c.service == "web"}
    await move(cluster)

    assert {c.id for c in await cluster.containers() if c.service == "web"} == kept
    assert (await where(cluster))["shop-db-1"] == (N2, "running")


async def test_a_stopped_service_goes_along_and_stays_at_rest() -> None:
    cluster = await shop()
    await cluster.run(lambda control: control.stop(SHOP))
    await move(cluster)
    assert cluster.places("shop_data") == {N2: DATA}
    await cluster.run(lambda control: control.start(SHOP))

    assert await where(cluster) == {"shop-db-1": (N2, "running")}


async def test_volumes_that_have_to_stay_together_move_together() -> None:
    cluster = Shelved()
    stack = made({"db": {"volumes": ["data:/data", "wal:/wal"], **APART}}, volumes={"data": {}, "wal": {}})
    await cluster.up(stack)
    cluster.shelf(N1).contents |= {"shop_data": DATA, "shop_wal": {".": Entry(mode=0o711)}}
    with pytest.raises(Conflict) as caught:
        await move(cluster)
    assert caught.value.fix == "orch volume move shop_data shop_wal n2"

    await move(cluster, "shop_data", "shop_wal")
    assert await cluster.homes() == {"shop_data": N2, "shop_wal": N2}
    assert cluster.places("shop_data") == {N2: DATA}
    assert cluster.places("shop_wal") == {N2: {".": Entry(mode=0o711)}}


async def test_the_volume_of_one_slot_moves_alone() -> None:
    cluster = Shelved(N1, N2, N3)
    stack = made(
        {"db": {"volumes": ["data:/data"], "deploy": {"replicas": 2}, **APART}},
        volumes={"data": {"name": "shop_data-{{.Task.Slot}}"}},
    )
    await cluster.up(stack)
    assert await cluster.homes() == {"shop_data-1": N1, "shop_data-2": N2}
    kept = (await cluster.container("shop-db-1")).id
    await move(cluster, "shop_data-2", to=N3)

    assert (await cluster.container("shop-db-1")).id == kept
    assert await where(cluster) == {"shop-db-1": (N1, "running"), "shop-db-2": (N3, "running")}


async def test_the_volume_of_a_stack_that_is_gone_moves_all_the_same() -> None:
    cluster = await shop()
    await cluster.run(lambda control: control.down(SHOP))
    assert await move(cluster) is None
    assert cluster.places("shop_data") == {N2: DATA}
    await cluster.up(db())

    assert await where(cluster) == {"shop-db-1": (N2, "running")}


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "to", "kind", "words"),
    [
        (("shop_dat",), N2, NoSuchThing, "there is no volume"),
        (("shop_data",), NodeName("n9"), NoSuchThing, "there is no node"),
        (("shop_nfs",), N2, Conflict, "its driver or its options name a server"),
        (("shop_ext",), N2, Conflict, "it is external"),
        (("shop_data", "other_x"), N2, UsageError, "several stacks"),
    ],
)
async def test_what_can_t_move_says_why(names: tuple[str, ...], to: NodeName, kind: Any, words: str) -> None:
    cluster = Shelved()
    nfs = {"driver_opts": {"type": "nfs", "o": "addr=10.0.0.9", "device": ":/x"}}
    db = {"volumes": ["data:/data", "nfs:/nfs", "ext:/ext"], **APART}
    for node in (N1, N2):
        await cluster.engines[node].create_volume(VolumeSpec(key="ext", name="shop_ext"), {})
    other = {"dev.orch.stack": "other", "dev.orch.hash": "x"}
    await cluster.n1.create_volume(VolumeSpec(key="x", name="other_x"), other)
    external = {"external": True, "name": "shop_ext"}
    await cluster.up(made({"db": db}, volumes={"data": {}, "nfs": nfs, "ext": external}))
    with pytest.raises(kind) as caught:
        await move(cluster, *names, to=to)

    assert words in str(caught.value)
    assert await Stacks(cluster.store).moves() == {}


async def test_a_target_that_does_not_answer_or_has_one_of_that_name_is_refused() -> None:
    cluster = await shop()
    cluster.n2.unplug()
    with pytest.raises(Unreachable, match="n2 does not answer"):
        await move(cluster)
    cluster.n2.plug()
    details = await cluster.n1.volume("shop_data")
    await cluster.n2.create_volume(VolumeSpec(key="data", name="shop_data"), details.labels)
    with pytest.raises(Conflict, match='there is a volume "shop_data" on n2 already'):
        await move(cluster)

    assert cluster.places("shop_data")[N1] == DATA


async def test_a_home_that_does_not_answer_is_refused() -> None:
    cluster = await shop()
    cluster.n1.unplug()

    with pytest.raises(Unreachable, match="can't be moved"):
        await move(cluster)


async def test_where_a_slot_could_not_run_its_data_does_not_go() -> None:
    cluster = Shelved()
    await cluster.up(
        made(
            {"db": {"volumes": ["data:/data"], "image": "web:2", "pull_policy": "never", **APART}}, volumes={"data": {}}
        )
    )
    del cluster.n2.held_images["web:2"]
    with pytest.raises(Conflict, match=r"db\.1 could not run on n2") as caught:
        await move(cluster)

    assert "pull_policy is never" in caught.value.why
    assert (await where(cluster))["shop-db-1"] == (N1, "running")


async def test_while_another_command_works_on_the_stack_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.service.converge.hold", partial(hold, wait_s=0.1))
    cluster = await shop()
    async with hold(cluster.store, f"locks/{SHOP}", owner="orch up"):
        with pytest.raises(LeaseLost):
            await move(cluster)
    assert (await cluster.up(db())).converged

    assert cluster.places("shop_data") == {N1: DATA}
    assert await Stacks(cluster.store).moves() == {}


# -- crashes ----------------------------------------------------------------------------------------------------------


class Mortal(MortalEngine):
    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name) if name == "read_volume" else super().__getattr__(name)


async def crashed(cluster: Shelved, at: int, *, is_carried_out: bool) -> Crash:
    """A move in a process that ends at its `at`-th change."""
    crash = Crash(at, is_carried_out)
    engines = {node: Mortal(engine, crash, Counter()) for node, engine in cluster.engines.items()}
    async with cluster.control(engines, MortalStore(cluster.store, crash)) as control:
        moving = asyncio.create_task(control.move_volumes(("shop_data",), N2, cluster.events.append))
        ended = asyncio.create_task(crash.happened.wait())
        await asyncio.wait({moving, ended}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        for task in (moving, ended):
            task.cancel()
        await asyncio.gather(moving, ended, return_exceptions=True)
    for key in await cluster.store.keys("locks/"):
        await cluster.store.write(Delete(key=key))
    return crash


@pytest.mark.parametrize("is_carried_out", [False, True])
@pytest.mark.parametrize("verb", ["up", "move"])
async def test_killed_at_any_change_a_move_loses_nothing_and_the_next_command_mends(
    verb: str, is_carried_out: bool
) -> None:
    """At no moment is there an empty or a half volume where the home is."""
    total = (await crashed(await shop(), 0, is_carried_out=True)).count
    assert total >= 11
    for at in range(1, total + 1):
        cluster = await shop()
        await crashed(cluster, at, is_carried_out=is_carried_out)
        homes = await cluster.homes()
        assert cluster.places("shop_data")[homes["shop_data"]] == DATA, f"killed at change {at}"
        outcome = await (cluster.up(db()) if verb == "up" else move(cluster))

        assert outcome is None or outcome.converged
        homes = await cluster.homes()
        assert cluster.places("shop_data") == {homes["shop_data"]: DATA}, f"killed at change {at}"
        assert verb == "up" or homes == {"shop_data": N2}
        assert await Stacks(cluster.store).moves() == {}
        assert {node for node, _ in (await where(cluster)).values()} == {homes["shop_data"]}
        assert {state for _, state in (await where(cluster)).values()} == {"running"}


# -- homes ------------------------------------------------------------------------------------------------------------


async def test_two_of_one_name_are_told_and_the_recorded_one_counts() -> None:
    cluster = await shop()
    details = await cluster.n1.volume("shop_data")
    await cluster.n2.create_volume(VolumeSpec(key="data", name="shop_data"), details.labels)
    assert (await cluster.up(db("2"))).converged

    told = [e.text for e in only(cluster.events, Noticed)]
    assert told == [
        "the data of volume shop_data is on n1; that on n2 is not used (orch volume rm --node n2 shop_data removes it)"
    ]
    assert await where(cluster) == {"shop-db-1": (N1, "running")}


async def test_a_shared_volume_has_no_home_and_is_made_on_each_node() -> None:
    cluster = Shelved()
    nfs = {"driver_opts": {"type": "nfs", "o": "addr=10.0.0.9", "device": ":/x"}}
    await cluster.up(
        made({"web": {"volumes": ["files:/srv"], "deploy": {"replicas": 2}, **APART}}, volumes={"files": nfs})
    )

    assert await cluster.homes() == {}
    assert set(cluster.places("shop_files")) == {N1, N2}
    assert await where(cluster) == {"shop-web-1": (N1, "running"), "shop-web-2": (N2, "running")}
    assert (
        await cluster.up(
            made({"web": {"volumes": ["files:/srv"], "deploy": {"replicas": 2}, **APART}}, volumes={"files": nfs})
        )
    ).converged
    assert await cluster.homes() == {}
