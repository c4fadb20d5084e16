"""What holds of every plan, in every world that the strategies can think of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.model.cluster import ClusterState
from orchestrator.model.plan import Plan
from orchestrator.model.spec import Intent
from orchestrator.planner import plan, preview, settle, simulate
from tests.planner.referee import Game, is_at_rest
from tests.strategies import NOW, clusters, intents, shuffled

seeds = st.integers(0, 2**32 - 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Intent, ClusterState]:
    intent = draw(intents())
    return intent, draw(clusters(intent.stack))


@given(cases(), seeds)
def test_each_step_is_safe_and_the_way_ends_whatever_finishes_first(
    case: tuple[Intent, ClusterState], seed: int
) -> None:
    game = Game(*case, seed)

    last = game.play()

    assert is_at_rest(last), f"{last.blocked}\n" + "\n".join(game.log)
    assert last.operations == ()


@given(cases(), seeds)
def test_engines_that_often_fail_only_make_it_slower(case: tuple[Intent, ClusterState], seed: int) -> None:
    game = Game(*case, seed, failing=0.2)

    last = game.play()

    assert is_at_rest(last), f"{last.blocked}\n" + "\n".join(game.log)
    assert last.operations == ()


@given(cases(), seeds, st.integers(0, 30))
def test_a_crash_at_any_point_changes_nothing_about_the_end(
    case: tuple[Intent, ClusterState], seed: int, steps: int
) -> None:
    """What is under way at a crash never happens; the next run goes on from what is there."""
    intent, cluster = case
    game = Game(intent, cluster, seed)
    game.play_for(steps)

    again = Game(intent, replace(game.cluster, fresh_images=frozenset()), seed + 1)
    last = again.play()

    assert is_at_rest(last), f"{last.blocked}\n" + "\n".join(again.log)
    assert last.operations == ()
    smooth = Game(intent, cluster, seed)
    if smooth.play().is_converged:
        assert last.is_converged, "\n".join([*game.log, "-- crash", *again.log, "-- no crash", *smooth.log])
        assert end_of(again) == end_of(smooth)


def end_of(game: Game) -> Counter[tuple[str, bool, str]]:
    """What people see of an end: how many containers of each kind. Which numbers a global service has may differ."""
    return Counter((c.service, c.is_running, c.config) for c in game.cluster.containers)


@given(cases())
def test_what_has_converged_plans_nothing(case: tuple[Intent, ClusterState]) -> None:
    intent, cluster = case
    cluster, last = folded(intent, cluster)

    assert plan(intent, cluster, now=NOW) == last
    assert settle(intent, cluster, NOW) == cluster
    assert last.operations == ()


@given(cases(), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_the_order_of_what_is_seen_is_irrelevant(case: tuple[Intent, ClusterState], order: list[int]) -> None:
    intent, cluster = case

    assert plan(*shuffled(cluster, intent, order), now=NOW) == plan(intent, cluster, now=NOW)


@given(cases())
def test_a_preview_is_the_plan_followed_to_its_end(case: tuple[Intent, ClusterState]) -> None:
    intent, cluster = case
    operations = []
    while True:
        decided = plan(intent, cluster, now=NOW)
        operations += decided.operations
        later = simulate(intent, cluster, decided.operations, NOW) or cluster
        later = later if decided.operations else settle(intent, cluster, NOW)
        if later == cluster:
            break
        cluster = later

    shown = preview(*case, now=NOW)

    assert [step.operation for step in shown.steps] == operations
    assert shown.blocked == decided.blocked
    assert [step.number for step in shown.steps] == list(range(1, len(operations) + 1))
    assert all(after < step.number for step in shown.steps for after in step.after)
    waves = {step.number: step.wave for step in shown.steps}
    assert all(waves[after] < step.wave for step in shown.steps for after in step.after)


def folded(intent: Intent, cluster: ClusterState) -> tuple[ClusterState, Plan]:
    for _ in range(200):
        decided = plan(intent, cluster, now=NOW)
        later = simulate(intent, cluster, decided.operations, NOW)
        if not decided.operations:
            later = settle(intent, cluster, NOW)
        if later == cluster:
            return cluster, decided
        cluster = later
    raise AssertionError("no end in sight")
