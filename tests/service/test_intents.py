"""How each verb changes what is wanted: pure, the intent before and the containers in, the intent after out."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import NoSuchThing, UsageError
from orchestrator.model.cluster import ClusterState, Container, ContainerState
from orchestrator.model.names import ContainerId, NodeName, ServiceName, SlotNumber, StackName
from orchestrator.model.spec import Incarnation, Intent, PullPolicy, StackSpec
from orchestrator.service import intents
from orchestrator.service.request import UpRequest
from tests.reconciler.cluster import made

WEB, DB, JOB, PROXY = (ServiceName(name) for name in ("web", "db", "job", "proxy"))
EXITED, RUNNING, CREATED = ContainerState.EXITED, ContainerState.RUNNING, ContainerState.CREATED


def shop(**top: Any) -> StackSpec:
    return made(
        {
            "proxy": {"depends_on": {"web": {"condition": "service_started", "restart": True}}},
            "web": {"depends_on": {"db": {"condition": "service_started", "restart": True}, "job": COMPLETED}},
            "db": None,
            "job": {"image": "job:1"},
        },
        **top,
    )


COMPLETED = {"condition": "service_completed_successfully"}


def container(service: ServiceName, state: ContainerState = RUNNING, slot: int = 1, **fields: Any) -> Container:
    fields = {"exit_code": 0, "started_mark": f"{service}-{slot}@1", **fields}
    return Container(
        id=ContainerId(f"{service}-{slot}"),
        name=f"shop-{service}-{slot}",
        node=NodeName("n1"),
        stack=StackName("shop"),
        service=service,
        slot=SlotNumber(slot),
        state=state,
        **fields,
    )


def runs(*services: ServiceName) -> frozenset[Incarnation]:
    return frozenset(Incarnation(container=f"{service}-1", started_at=f"{service}-1@1") for service in services)


def up(before: Intent | None = None, containers: tuple[Container, ...] = (), **request: Any) -> Intent:
    return intents.after_up(before, UpRequest(**{"stack": shop(), **request}), ClusterState(containers=containers))


def declared(**fields: Any) -> Intent:
    return Intent(**{"stack": shop(), "revision": 4, **fields})


# -- up ------------------------------------------------------------------------------------------------------------


def test_up_declares_the_file() -> None:
    assert up() == Intent(stack=shop())


def test_up_keeps_the_revision_that_it_replaces_and_asks_for_nothing_that_was_asked_once() -> None:
    before = declared(recreate=frozenset({"x"}), again=runs(DB), remove_orphans=True, stop_timeout_s=3.0)

    assert up(before) == Intent(stack=shop(), revision=4)


def test_up_runs_ended_containers_again_but_no_finished_job() -> None:
    """Decision 0005."""
    ended = tuple(container(name, EXITED) for name in (WEB, DB, JOB))

    assert up(declared(), ended).again == runs(WEB, DB)


def test_up_runs_a_failed_job_again() -> None:
    assert up(declared(), (container(JOB, EXITED, exit_code=3),)).again == runs(JOB)


def test_up_leaves_alone_what_runs_and_what_was_never_started() -> None:
    assert up(declared(), (container(WEB), container(DB, CREATED))).again == frozenset()


def test_up_of_services_takes_what_they_depend_on_along() -> None:
    assert sorted(up(services=(WEB,)).stack.services) == [DB, JOB, WEB]


def test_up_of_services_without_dependencies_is_just_that() -> None:
    assert sorted(up(services=(WEB,), no_deps=True).stack.services) == [WEB]


def test_up_of_services_leaves_the_others_as_they_were_declared() -> None:
    old = made({"web": {"environment": {"V": "old"}}, "cache": {"image": "db:1"}})
    new = made({"web": {"environment": {"V": "new"}}, "db": None})

    stack = up(declared(stack=old), stack=new, services=(WEB,)).stack
    assert sorted(stack.services) == ["cache", "web"]
    assert stack.services[WEB].environment == {"V": "new"}


def test_up_of_services_after_a_down_declares_only_these() -> None:
    assert sorted(up(declared(removed=True), services=(DB,)).stack.services) == [DB]


def test_up_ends_a_down_and_wakes_what_was_stopped() -> None:
    before = declared(removed=True, remove_volumes=True, stopped=frozenset({WEB}))

    assert up(before) == Intent(stack=shop(), revision=4)


def test_up_of_services_lets_the_others_rest() -> None:
    assert up(declared(stopped=frozenset({WEB, PROXY})), services=(WEB,)).stopped == {PROXY}


def test_what_rests_is_forgotten_with_its_service() -> None:
    before = declared(stack=made({"gone": None, "web": None}), stopped=frozenset({ServiceName("gone")}))

    assert up(before).stopped == frozenset()


def test_force_recreate_names_the_containers_of_the_chosen_services() -> None:
    there = (container(WEB), container(DB), container(PROXY))

    assert up(declared(), there, force_recreate=True).recreate == {"web-1", "db-1", "proxy-1"}
    assert up(declared(), there, force_recreate=True, services=(WEB,), no_deps=True).recreate == {"web-1"}


def test_orphans_go_only_when_it_is_said() -> None:
    assert not up().remove_orphans
    assert up(remove_orphans=True).remove_orphans


def test_up_with_scale_changes_the_number_of_slots() -> None:
    assert up(scale={WEB: 3, DB: 0}).stack.services[WEB].replicas == 3
    assert up(scale={WEB: 3, DB: 0}).stack.services[DB].replicas == 0


def test_build_and_pull_change_the_policy_of_those_that_they_concern() -> None:
    stack = made({"web": {"build": {"context": "."}}, "db": None})

    built = up(stack=stack, build=True).stack.services
    assert (built[WEB].pull_policy, built[DB].pull_policy) == (PullPolicy.BUILD, PullPolicy.MISSING)
    pulled = up(stack=stack, pull="always").stack.services
    assert pulled[DB].pull_policy is PullPolicy.ALWAYS
    assert pulled[WEB].pull_policy is not PullPolicy.ALWAYS


@pytest.mark.parametrize("request_fields", [{"services": ("nope",)}, {"scale": {"nope": 1}}])
def test_an_unknown_service_is_refused_with_those_that_there_are(request_fields: dict[str, Any]) -> None:
    with pytest.raises(NoSuchThing) as caught:
        up(**request_fields)

    assert caught.value.what == 'stack "shop" has no service "nope"'
    assert caught.value.fix == "one of: db, job, proxy, web"


# -- scale ---------------------------------------------------------------------------------------------------------


def test_scale_changes_one_number_and_wakes_the_service() -> None:
    after = intents.after_scale(declared(stopped=frozenset({WEB, DB})), {WEB: 5})

    assert after.stack.services[WEB].replicas == 5
    assert after.stopped == {DB}
    assert (after.again, after.recreate, after.revision) == (frozenset(), frozenset(), 4)


@pytest.mark.parametrize(
    ("service", "replicas", "why"),
    [
        ({}, -1, "can't have -1 replicas"),
        ({"deploy": {"mode": "global"}}, 2, "has one container on each node"),
        ({"container_name": "solo"}, 2, "can't have 2 replicas"),
    ],
)
def test_a_number_that_a_service_cannot_have_is_refused(service: dict[str, Any], replicas: int, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        intents.after_scale(declared(stack=made({"web": service})), {WEB: replicas})


def test_a_service_with_a_name_of_its_own_can_have_one_or_none() -> None:
    stack = made({"web": {"container_name": "solo"}})

    assert intents.after_scale(declared(stack=stack), {WEB: 0}).stack.services[WEB].replicas == 0


# -- start, stop, restart, rm, down --------------------------------------------------------------------------------


def test_stop_without_services_is_all_of_them() -> None:
    assert intents.after_stop(declared(), (), 2.0).stopped == {WEB, DB, JOB, PROXY}
    assert intents.after_stop(declared(), (), 2.0).stop_timeout_s == 2.0


def test_stop_adds_to_what_rests() -> None:
    assert intents.after_stop(declared(stopped=frozenset({DB})), (WEB,), None).stopped == {DB, WEB}


def test_start_wakes_and_runs_again_what_has_ended() -> None:
    there = (container(WEB, EXITED), container(DB, EXITED), container(PROXY))
    after = intents.after_start(declared(stopped=frozenset({WEB, DB})), (WEB,), there)

    assert (after.stopped, after.again) == ({DB}, runs(WEB))


def test_restart_names_the_runs_that_shall_not_stand_and_those_that_follow() -> None:
    there = tuple(container(name) for name in (WEB, DB, JOB, PROXY))

    assert intents.after_restart(declared(), (DB,), there, None, no_deps=False).again == runs(DB, WEB, PROXY)
    assert intents.after_restart(declared(), (DB,), there, None, no_deps=True).again == runs(DB)
    assert intents.after_restart(declared(), (JOB,), there, None, no_deps=False).again == runs(JOB)
    assert intents.after_restart(declared(), (), there, None, no_deps=False).again == runs(WEB, DB, JOB, PROXY)


def test_restart_wakes_what_rested() -> None:
    after = intents.after_restart(declared(stopped=frozenset({DB, JOB})), (DB,), (), 5.0, no_deps=True)

    assert (after.stopped, after.stop_timeout_s) == ({JOB}, 5.0)


def test_after_rm_a_service_rests_only_when_nothing_of_it_is_left() -> None:
    """web.2 has crashed and is removed: web.1 goes on."""
    dead, alive, done = container(WEB, EXITED, slot=2), container(WEB), container(JOB, EXITED)
    after = intents.after_rest(declared(), (dead, done), (dead, alive, done))

    assert after.stopped == {JOB}


def test_down_keeps_the_stack_so_that_it_goes_in_order() -> None:
    before = declared(stopped=frozenset({WEB}), again=runs(DB))
    after = intents.after_down(before, before.stack.name, volumes=True, timeout_s=1.0, remove_orphans=False)

    assert after == Intent(stack=shop(), revision=4, removed=True, remove_volumes=True, stop_timeout_s=1.0)


def test_down_of_a_stack_that_nobody_declared_takes_all_its_containers_for_orphans() -> None:
    after = intents.after_down(None, StackName("alien"), volumes=False, timeout_s=None, remove_orphans=False)

    assert after == Intent(stack=StackSpec(name=StackName("alien")), removed=True, remove_orphans=True)


@pytest.mark.parametrize("verb", ["stop", "start", "restart"])
def test_each_verb_refuses_a_service_that_there_is_not(verb: str) -> None:
    verbs = {
        "stop": lambda: intents.after_stop(declared(), (ServiceName("nope"),), None),
        "start": lambda: intents.after_start(declared(), (ServiceName("nope"),), ()),
        "restart": lambda: intents.after_restart(declared(), (ServiceName("nope"),), (), None, no_deps=False),
    }
    with pytest.raises(NoSuchThing):
        verbs[verb]()
