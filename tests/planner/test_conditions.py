"""`depends_on`, condition by condition: what a container may be so that another one starts."""

from __future__ import annotations

import pytest

from orchestrator.model.operations import StartContainer
from orchestrator.model.plan import Plan, Severity
from orchestrator.planner import plan
from tests.planner.worlds import NOW, cluster_of, intent_of, stack_of

OK = ""


def decide(condition: str, db: str, *, required: bool = True, **intent: object) -> Plan:
    """The plan for a web that has been made, and waits for a db in the given state."""
    stack = stack_of(
        {
            "services": {
                "web": {"image": "nginx", "depends_on": {"db": {"condition": condition, "required": required}}},
                "db": {"image": "pg", "healthcheck": {"test": ["CMD", "ready"]}},
            }
        }
    )
    world = cluster_of(stack, {"containers": {"web.1": "created", "db.1": db}})
    return plan(intent_of(stack, intent), world, now=NOW)


def starts_web(decided: Plan) -> bool:
    return any(isinstance(o, StartContainer) and o.service == "web" for o in decided.operations)


TABLE = [
    ("service_started", "created", "db.1 has to start first (it has not been started)"),
    ("service_started", "running starting", OK),
    ("service_started", "running unhealthy", OK),
    ("service_started", "restarting", OK),
    ("service_started", "paused healthy", OK),
    ("service_started", "exited code=1", OK),
    ("service_started", "exited", OK),
    ("service_started", "removing", "db.1 has to start first (the engine is removing it)"),
    ("service_started", "running outdated", "db.1 is being replaced"),
    ("service_healthy", "running healthy", OK),
    ("service_healthy", "running starting", "db.1 is not healthy yet"),
    ("service_healthy", "restarting starting", "db.1 is not healthy yet"),
    ("service_healthy", "paused healthy", "db.1 is not healthy yet"),
    ("service_healthy", "running unhealthy", "db.1 is unhealthy"),
    ("service_healthy", "running none", "db.1 has no health check to wait for"),
    ("service_healthy", "exited code=3", "db.1 exited with 3"),
    ("service_healthy", "exited", "db.1 exited with 0"),
    ("service_healthy", "running healthy outdated", "db.1 is being replaced"),
    ("service_completed_successfully", "exited", OK),
    ("service_completed_successfully", "running healthy", "db.1 has not finished yet"),
    ("service_completed_successfully", "exited code=1", "db.1 exited with 1"),
    ("service_completed_successfully", "exited error=no_such_file", "db.1 exited with 0"),
    ("service_completed_successfully", "exited outdated", "db.1 is being replaced"),
]


@pytest.mark.parametrize(("condition", "db", "reason"), TABLE)
def test_a_container_starts_exactly_when_its_condition_holds(condition: str, db: str, reason: str) -> None:
    decided = decide(condition, db)
    web = next(entry for entry in decided.blocked if entry.subject == "web.1")

    assert starts_web(decided) is (reason == OK)
    assert web.reason == (reason or "is being started")
    assert web.causes == (("db.1",) if reason else ())


VAIN = {"unhealthy", "exited"}


@pytest.mark.parametrize(
    ("condition", "db"),
    [(condition, db) for condition, db, reason in TABLE if reason and VAIN & set(db.split()) and "outdated" not in db],
)
def test_an_optional_dependency_that_can_never_hold_is_not_waited_for(condition: str, db: str) -> None:
    assert starts_web(decide(condition, db, required=False))


@pytest.mark.parametrize(("condition", "db"), [("service_healthy", "running starting"), ("service_started", "created")])
def test_an_optional_dependency_that_may_still_hold_is_waited_for(condition: str, db: str) -> None:
    assert not starts_web(decide(condition, db, required=False))


@pytest.mark.parametrize("db", ["created", "exited code=1", "running unhealthy", "running starting"])
def test_nobody_waits_for_what_was_stopped_by_request(db: str) -> None:
    assert starts_web(decide("service_healthy", db, stopped=["db"]))


@pytest.mark.parametrize(("db", "severity"), [("exited", Severity.FAILED), ("exited code=1", Severity.WAITING)])
def test_a_wait_in_vain_is_a_failure_only_where_no_other_failure_explains_it(db: str, severity: Severity) -> None:
    """db that has ended with 0 is done and no failure of its own; with 1 it is, and web only follows from it."""
    blocked = {entry.subject: entry for entry in decide("service_healthy", db).blocked}

    assert blocked["web.1"].severity is severity
    assert ("db.1" in blocked) is (severity is Severity.WAITING)
