"""What an operation would have made of the cluster, and what time alone makes of it."""

from __future__ import annotations

from typing import Any

from orchestrator.model.cluster import ClusterState, ContainerState, Health
from orchestrator.model.operations import CreateContainer
from orchestrator.model.spec import Intent
from orchestrator.planner import plan, settle, simulate
from tests.planner.worlds import NOW, cluster_of, intent_of, stack_of


def case(services: dict[str, Any], **world: Any) -> tuple[Intent, ClusterState]:
    stack = stack_of({"services": services})
    return intent_of(stack, {}), cluster_of(stack, world)


def test_containers_made_one_after_the_other_have_ids_of_their_own() -> None:
    intent, cluster = case({"a": {"image": "tool", "network_mode": "none", "scale": 3}}, nodes={"n1": "", "n2": ""})
    first = [o for o in plan(intent, cluster, now=NOW).operations if isinstance(o, CreateContainer)]
    cluster = simulate(intent, cluster, [*first, *first], NOW)

    assert len({c.id for c in cluster.containers}) == len(cluster.containers) == 6


def test_an_image_that_is_copied_stays_the_same_image() -> None:
    services = {"a": {"image": "tool", "network_mode": "none", "scale": 2}}
    intent, cluster = case(services, nodes={"n1": "", "n2": ""}, images={"n2": ["tool"]})
    cluster = simulate(intent, cluster, plan(intent, cluster, now=NOW).operations, NOW)

    assert {(image.node, image.id) for image in cluster.images} == {("n1", "sha256:tool"), ("n2", "sha256:tool")}


def test_time_lets_checks_pass_and_jobs_end_but_not_what_starts_again() -> None:
    job = {"condition": "service_completed_successfully"}
    intent, cluster = case(
        {
            "web": {"image": "nginx", "depends_on": {"job": job, "loop": job}},
            "job": {"image": "app"},
            "loop": {"image": "app", "restart": "always"},
        },
        containers={
            "web.1": "running starting",
            "web.2": "removing",
            "web.3": "restarting",
            "web.4": "paused starting",
            "job.1": "running",
            "loop.1": "running",
        },
    )
    later = {c.id: (c.state, c.health) for c in settle(intent, cluster, NOW).containers}

    assert later == {
        "web-1": (ContainerState.RUNNING, Health.HEALTHY),
        "web-3": (ContainerState.RUNNING, Health.NONE),
        "web-4": (ContainerState.PAUSED, Health.STARTING),
        "job-1": (ContainerState.EXITED, Health.NONE),
        "loop-1": (ContainerState.RUNNING, Health.NONE),
    }


def test_other_stacks_are_none_of_its_business() -> None:
    intent, cluster = case({"web": {"image": "nginx"}}, containers={"web.1": "running starting"})
    other = Intent(stack=type(intent.stack)(name=type(intent.stack.name)("other")))

    assert settle(other, cluster, NOW) == cluster
    assert plan(other, cluster, now=NOW).is_converged
