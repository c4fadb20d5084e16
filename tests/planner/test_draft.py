"""What becomes of operations that failed, and which reason is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.model.cluster import ClusterState, Failure
from orchestrator.model.names import NodeName, ServiceName, StackName
from orchestrator.model.operations import BuildImage, PullImage
from orchestrator.model.plan import Severity
from orchestrator.model.spec import Intent, StackSpec
from orchestrator.planner.draft import Draft, retry_pause_s
from orchestrator.planner.world import World
from tests.planner.worlds import NOW

N1, N2, WEB = NodeName("n1"), NodeName("n2"), ServiceName("web")
PULL = PullImage(node=N1, ref="nginx", service=WEB, cause="no node has it")


def draft(**failures: Failure) -> Draft:
    cluster = ClusterState(failures={failure.target: failure for failure in failures.values()})
    return Draft(World(Intent(stack=StackSpec(name=StackName("shop"))), cluster, NOW))


def failed(*, age_s: float, count: int = 1, temporary: bool = True) -> Failure:
    at = NOW - timedelta(seconds=age_s)
    return Failure(target=PULL.target, node=N1, what="no", why="so", fix="do", temporary=temporary, at=at, count=count)


@pytest.mark.parametrize(("count", "pause_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (5000, 60)])
def test_pauses_double_up_to_a_minute(count: int, pause_s: float) -> None:
    assert retry_pause_s(count) == pause_s


def test_a_temporary_failure_is_tried_again_after_its_pause_only() -> None:
    early, late = draft(pull=failed(age_s=3.9, count=3)), draft(pull=failed(age_s=4, count=3))
    early.add(PULL)
    late.add(PULL)

    assert early.plan().operations == ()
    assert early.plan().wake_at == NOW + timedelta(seconds=0.1)
    assert [(b.subject, b.reason, b.severity) for b in early.plan().blocked] == [
        ("image nginx", "no: so", Severity.WAITING)
    ]
    assert late.plan().operations == (PULL,)
    assert late.plan().wake_at is None


def test_a_failure_that_needs_a_person_is_not_tried_again() -> None:
    made = draft(pull=failed(age_s=10**6, temporary=False))
    made.add(PULL)

    (told,) = made.plan().blocked
    assert (told.severity, told.fix, told.node) == (Severity.FAILED, "do", "n1")
    assert made.plan().operations == ()
    assert made.plan().wake_at is None


def test_the_first_moment_is_when_to_wake() -> None:
    made = draft()
    for seconds in (9, 3, 5):
        made.wake(NOW + timedelta(seconds=seconds))

    assert made.plan().wake_at == NOW + timedelta(seconds=3)


def test_the_first_reason_counts_but_a_failure_outranks_a_wait() -> None:
    made = draft()
    made.block("web.1", "first")
    made.block("web.1", "second")
    made.block("db.1", "waits")
    made.block("db.1", "fails", severity=Severity.FAILED)
    made.block("db.1", "fails again", severity=Severity.FAILED)

    assert [(b.subject, b.reason) for b in made.plan().blocked] == [("db.1", "fails"), ("web.1", "first")]


def test_who_waits_for_a_failure_has_failed() -> None:
    made = draft()
    made.block("image nginx", "gone", severity=Severity.FAILED)
    made.block("web.1", "needs it", causes=("image nginx",))
    made.block("proxy.1", "needs web", causes=("cache.1", "web.1"))
    made.block("cache.1", "is being made")

    assert [name for name in ("image nginx", "web.1", "proxy.1", "cache.1") if made.has_failed(name)] == [
        "image nginx",
        "web.1",
        "proxy.1",
    ]


def test_an_image_is_built_on_one_node_at_a_time() -> None:
    made = draft()
    for node in (N1, N2):
        made.add(BuildImage(node=node, ref="shop-web", service=WEB, cause="no node has it built"))

    assert [operation.node for operation in made.plan().operations] == ["n1"]


def test_one_target_has_one_operation_and_all_are_in_order() -> None:
    made = draft()
    other = PullImage(node=N1, ref="app", service=WEB, cause="no node has it")
    for operation in (PULL, other, PULL):
        made.add(operation)

    assert made.plan().operations == (other, PULL)
