"""Order, waves, closures and the loop."""

import pytest

from orchestrator.errors import DependencyCycle
from orchestrator.graph import ServiceGraph
from orchestrator.model.names import ServiceName, StackName
from orchestrator.model.spec import Dependency, Place, ServiceSpec, StackSpec


def stack(places: dict[str, str] | None = None, **edges: list[str]) -> StackSpec:
    services = {
        ServiceName(name): ServiceSpec(
            name=ServiceName(name), image="i", depends_on={ServiceName(d): Dependency() for d in needs}
        )
        for name, needs in edges.items()
    }
    return StackSpec(name=StackName("s"), services=services, places={k: Place(v) for k, v in (places or {}).items()})


def test_dependencies_come_before_their_dependents() -> None:
    graph = ServiceGraph.of(stack(web=["api", "cache"], api=["db"], db=[], cache=[]))

    assert graph.order == ("cache", "db", "api", "web")
    assert graph.waves == (("cache", "db"), ("api",), ("web",))


def test_services_without_dependencies_are_one_wave() -> None:
    assert ServiceGraph.of(stack(b=[], a=[])).waves == (("a", "b"),)


def test_closures_follow_both_directions() -> None:
    graph = ServiceGraph.of(stack(web=["api"], api=["db"], db=[], other=["db"]))

    assert graph.with_dependencies([ServiceName("api")]) == ("db", "api")
    assert graph.with_dependents([ServiceName("api")]) == ("api", "web")


def test_a_dependency_that_is_not_there_is_no_edge() -> None:
    assert ServiceGraph.of(stack(web=["gone"])).edges == ()


def test_a_cycle_spells_the_loop_with_the_place_of_each_edge() -> None:
    places = {
        "services/a/depends_on/b": "s.yml:3:9",
        "services/b/depends_on/c": "s.yml:6:9",
        "services/c/depends_on/a": "s.yml:9:9",
    }

    with pytest.raises(DependencyCycle) as caught:
        ServiceGraph.of(stack(places, a=["b"], b=["c"], c=["a"], d=["a"]))

    assert str(caught.value) == (
        's.yml:3:9: services wait for each other: "a" -> "b" -> "c" -> "a"\n'
        '  why: "a" depends on "b" at s.yml:3:9; "b" depends on "c" at s.yml:6:9; "c" depends on "a" at s.yml:9:9\n'
        "  fix: remove one of these dependencies"
    )


def test_a_service_that_waits_for_itself_is_a_loop() -> None:
    with pytest.raises(DependencyCycle, match='"a" -> "a"'):
        ServiceGraph.of(stack(a=["a"]))
