"""Stacks by revision, and the homes of volumes."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from orchestrator.errors import NoSuchThing, RevisionConflict, StoreError
from orchestrator.model.cluster import Move
from orchestrator.model.names import NodeName, ServiceName, StackName
from orchestrator.model.spec import Incarnation, Intent, Place, ServiceSpec, StackSpec
from orchestrator.store import MemoryStore, Put, Stacks, Stored

SHOP = StackName("shop")
WEB = ServiceName("web")


def shop(replicas: int = 1, name: StackName = SHOP) -> Intent:
    return Intent(stack=StackSpec(name=name, services={WEB: ServiceSpec(name=WEB, image="web", replicas=replicas)}))


def replicas(intent: Intent) -> int:
    return intent.stack.services[WEB].replicas


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def stacks(store: MemoryStore) -> Stacks:
    return Stacks(store)


async def put_revisions(stacks: Stacks, last: int) -> Stored:
    stored = await stacks.put(shop(1), replaces=None)
    for number in range(2, last + 1):
        stored = await stacks.put(shop(number), replaces=stored)
    return stored


async def test_a_stack_that_nobody_declared_is_none(stacks: Stacks) -> None:
    assert await stacks.get(SHOP) is None
    assert await stacks.names() == ()
    assert await stacks.revisions(SHOP) == ()


async def test_a_new_stack_is_revision_1_and_comes_back_as_it_was_put(stacks: Stacks) -> None:
    intent = msgspec.structs.replace(
        shop(2),
        stopped=frozenset({WEB}),
        again=frozenset({Incarnation(container="c1", started_at="2026-01-01T00:00:00.123456789Z")}),
        recreate=frozenset({"c2"}),
        stop_timeout_s=0.0,
    )
    stored = await stacks.put(intent, replaces=None)

    assert stored.intent == msgspec.structs.replace(intent, revision=1)
    assert await stacks.get(SHOP) == stored
    assert await stacks.revisions(SHOP) == (stored.intent,)


async def test_another_spec_is_another_revision(stacks: Stacks) -> None:
    first = await stacks.put(shop(1), replaces=None)
    second = await stacks.put(shop(3), replaces=first)

    assert second.intent.revision == 2
    assert second.stored_at_revision > first.stored_at_revision
    assert [(kept.revision, replicas(kept)) for kept in await stacks.revisions(SHOP)] == [(1, 1), (2, 3)]


async def test_the_same_spec_read_from_other_places_is_the_same_revision(stacks: Stacks) -> None:
    first = await stacks.put(shop(2), replaces=None)
    moved = msgspec.structs.replace(shop(2).stack, places={"services/web": Place("stack.yml:9:3")})
    second = await stacks.put(Intent(stack=moved), replaces=first)

    assert second.intent.revision == 1
    assert second.intent.stack.place("services", "web", "image") == "stack.yml:9:3"


async def test_a_whole_number_of_seconds_is_the_same_spec_as_a_float(stacks: Stacks) -> None:
    web = ServiceSpec(name=WEB, image="web", stop_grace_period_s=10)
    first = await stacks.put(Intent(stack=StackSpec(name=SHOP, services={WEB: web})), replaces=None)
    second = await stacks.put(Intent(stack=StackSpec(name=SHOP, services={WEB: web})), replaces=await stacks.get(SHOP))

    assert (first.intent.revision, second.intent.revision) == (1, 1)


async def test_an_intent_alone_changes_what_is_current_and_no_revision(stacks: Stacks) -> None:
    first = await stacks.put(shop(2), replaces=None)
    stopped = await stacks.put(msgspec.structs.replace(first.intent, stopped=frozenset({WEB})), replaces=first)

    assert stopped.intent.revision == 1
    assert await stacks.get(SHOP) == stopped
    assert stopped.stored_at_revision > first.stored_at_revision
    assert await stacks.revisions(SHOP) == (first.intent,)


async def test_the_last_ten_revisions_are_kept(stacks: Stacks) -> None:
    stored = await put_revisions(stacks, 13)

    assert stored.intent.revision == 13
    assert [(kept.revision, replicas(kept)) for kept in await stacks.revisions(SHOP)] == [(n, n) for n in range(4, 14)]


async def test_a_change_for_an_older_revision_is_refused_in_words_for_people(stacks: Stacks) -> None:
    seen = await put_revisions(stacks, 7)
    await stacks.put(shop(80), replaces=seen)

    with pytest.raises(RevisionConflict) as error:
        await stacks.put(shop(90), replaces=seen)

    assert str(error.value) == (
        'stack "shop" was changed by somebody else meanwhile\n'
        "  why: revision 8 is there, this change was made for 7\n"
        "  fix: look at it again, then run the command again"
    )
    assert [replicas(kept) for kept in await stacks.revisions(SHOP)] == [1, 2, 3, 4, 5, 6, 7, 80]


async def test_a_change_for_an_older_intent_of_the_same_revision_is_refused(stacks: Stacks) -> None:
    seen = await stacks.put(shop(), replaces=None)
    await stacks.put(msgspec.structs.replace(seen.intent, stopped=frozenset({WEB})), replaces=seen)

    with pytest.raises(RevisionConflict) as error:
        await stacks.put(shop(5), replaces=seen)

    assert error.value.why == "its spec is the same, but it was started, stopped, restarted or taken down"


async def test_a_new_stack_that_is_there_by_now_is_refused(stacks: Stacks) -> None:
    await stacks.put(shop(), replaces=None)

    with pytest.raises(RevisionConflict, match="revision 1 is there, this change was made for a new stack"):
        await stacks.put(shop(5), replaces=None)


async def test_a_change_of_a_stack_that_was_forgotten_is_refused(stacks: Stacks) -> None:
    seen = await stacks.put(shop(), replaces=None)
    await stacks.forget(SHOP, replaces=seen)

    with pytest.raises(RevisionConflict, match='stack "shop" was removed by somebody else meanwhile'):
        await stacks.put(shop(5), replaces=seen)


async def test_names_are_those_of_the_declared_stacks_in_order(stacks: Stacks) -> None:
    for name in ("shop", "blog", "shop-2"):
        await stacks.put(shop(name=StackName(name)), replaces=None)

    assert await stacks.names() == ("blog", "shop", "shop-2")


async def test_a_forgotten_stack_leaves_its_neighbours_and_the_homes(stacks: Stacks, store: MemoryStore) -> None:
    other = await stacks.put(shop(name=StackName("shop2")), replaces=None)
    await stacks.set_home("shop_data", NodeName("n1"))
    stored = await put_revisions(stacks, 12)
    await stacks.forget(SHOP, replaces=stored)
    await stacks.forget(SHOP, replaces=stored)

    assert await stacks.get(SHOP) is None
    assert await store.keys("") == ("homes/shop_data", "stacks/shop2/current", "stacks/shop2/revisions/000001")
    assert await stacks.get(StackName("shop2")) == other
    assert await stacks.homes() == {"shop_data": "n1"}


async def test_a_stack_that_was_changed_is_not_forgotten(stacks: Stacks) -> None:
    seen = await stacks.put(shop(), replaces=None)
    changed = await stacks.put(shop(5), replaces=seen)

    with pytest.raises(RevisionConflict, match="revision 2 is there, this change was made for 1"):
        await stacks.forget(SHOP, replaces=seen)

    assert await stacks.get(SHOP) == changed


async def test_of_two_changes_at_the_same_time_one_wins(stacks: Stacks) -> None:
    seen = await stacks.put(shop(), replaces=None)
    results = await asyncio.gather(
        *(stacks.put(shop(count), replaces=seen) for count in (2, 3, 4)), return_exceptions=True
    )

    assert [type(result).__name__ for result in results] == ["Stored", "RevisionConflict", "RevisionConflict"]


async def test_a_watch_tells_the_changes_of_its_stack_only(stacks: Stacks) -> None:
    first = await stacks.put(shop(), replaces=None)
    second = await stacks.put(shop(2), replaces=first)
    await stacks.put(shop(name=StackName("other")), replaces=None)
    await stacks.forget(SHOP, replaces=second)

    async with aclosing(stacks.watch(SHOP, after=first.stored_at_revision)) as changes:
        assert [await anext(changes), await anext(changes)] == [second, None]


async def test_a_stack_that_cannot_be_read_is_said_to_be_so(stacks: Stacks, store: MemoryStore) -> None:
    await store.write(Put(key="stacks/shop/current", value=b'{"stack": 7}'))

    with pytest.raises(StoreError) as error:
        await stacks.get(SHOP)

    assert error.value.where == "stacks/shop/current"
    assert "Expected `object`" in error.value.why


async def test_a_home_is_remembered_until_it_is_forgotten(stacks: Stacks, store: MemoryStore) -> None:
    await stacks.set_home("shop_data", NodeName("n1"))
    written = await store.revision()
    await stacks.set_home("shop_data", NodeName("n1"))
    unchanged = await store.revision()
    with pytest.raises(RevisionConflict, match='volume "shop_data" has its home on "n1", not on "n2"'):
        await stacks.set_home("shop_data", NodeName("n2"))
    before = await stacks.homes()
    await stacks.forget_home("shop_data")
    await stacks.forget_home("shop_data")
    await stacks.set_home("shop_data", NodeName("n2"))

    assert written == unchanged
    assert before == {"shop_data": "n1"}
    assert await stacks.homes() == {"shop_data": "n2"}


# -- moves ------------------------------------------------------------------------------------------------------------

N1, N2, N3 = map(NodeName, ("n1", "n2", "n3"))


async def test_the_home_moves_when_the_data_has_arrived_and_not_before(stacks: Stacks) -> None:
    await stacks.set_home("shop_data", N1)
    move = await stacks.ask_move("shop_data", N2)
    assert move == Move(source=N1, target=N2)
    assert await stacks.homes() == {"shop_data": N1}
    with pytest.raises(RevisionConflict):
        await stacks.check_copy("shop_data", move)

    await stacks.arrive("shop_data", move)
    await stacks.arrive("shop_data", move)
    assert await stacks.homes() == {"shop_data": N2}
    await stacks.check_copy("shop_data", move)
    await stacks.end_move("shop_data", move)
    assert await stacks.moves() == {}


async def test_a_move_to_the_home_gives_up_the_one_before_and_names_what_it_left(stacks: Stacks) -> None:
    await stacks.set_home("shop_data", N1)
    before = await stacks.ask_move("shop_data", N2)
    assert before is not None
    back = await stacks.ask_move("shop_data", N1)
    assert back == Move(source=N2, target=N1)

    with pytest.raises(RevisionConflict, match="not asked for any more"):
        await stacks.arrive("shop_data", before)
    await stacks.end_move("shop_data", before)
    assert await stacks.moves() == {"shop_data": back}
    assert await stacks.ask_move("shop_data", N1) == back
    assert await stacks.homes() == {"shop_data": N1}


async def test_a_volume_that_stays_leaves_no_copy_that_could_be_taken_for_one(stacks: Stacks) -> None:
    await stacks.set_home("shop_data", N1)

    assert await stacks.ask_move("shop_data", N1) is None
    assert await stacks.moves() == {}
    with pytest.raises(NoSuchThing):
        await stacks.ask_move("shop_files", N1)


async def test_a_volume_that_is_given_up_does_not_move(stacks: Stacks) -> None:
    await stacks.set_home("shop_data", N1)
    await stacks.ask_move("shop_data", N2)
    await stacks.forget_home("shop_data")

    assert (await stacks.homes(), await stacks.moves()) == ({}, {})
