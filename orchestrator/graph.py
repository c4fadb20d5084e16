"""ServiceGraph: which service waits for which; networkx finds the loop if there is one (decision 0009).

It knows order, waves, dependents and the loop if there is one. What a condition means is the planner's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import msgspec

from orchestrator.errors import DependencyCycle
from orchestrator.model.names import ServiceName
from orchestrator.model.spec import Dependency, StackSpec

if TYPE_CHECKING:
    import networkx as nx


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """`dependent` waits for `dependency`."""

    dependent: ServiceName
    dependency: ServiceName
    how: Dependency


class ServiceGraph(msgspec.Struct, frozen=True, kw_only=True):
    """The services of one stack and what they wait for; acyclic.

    order: dependencies before their dependents, names where that leaves a choice.
    waves: services that wait for nothing, then those that wait only for these, and so on.
    """

    order: tuple[ServiceName, ...]
    waves: tuple[tuple[ServiceName, ...], ...]
    edges: tuple[Edge, ...]
    dependencies: Mapping[ServiceName, Mapping[ServiceName, Dependency]]
    dependents: Mapping[ServiceName, tuple[ServiceName, ...]]

    @staticmethod
    def of(stack: StackSpec) -> ServiceGraph:
        """The graph of the stack's `depends_on`; optional edges to absent services are left out.

        raises DependencyCycle, with every edge of the loop and its place
        """
        edges = tuple(_edges(stack))
        waves = _waves(stack, edges) if edges else ((tuple(sorted(stack.services)),) if stack.services else ())
        dependents: dict[ServiceName, list[ServiceName]] = {name: [] for name in stack.services}
        dependencies: dict[ServiceName, dict[ServiceName, Dependency]] = {name: {} for name in stack.services}
        for edge in edges:
            dependents[edge.dependency].append(edge.dependent)
            dependencies[edge.dependent][edge.dependency] = edge.how
        return ServiceGraph(
            order=tuple(name for wave in waves for name in wave),
            waves=waves,
            edges=edges,
            dependencies=dependencies,
            dependents={name: tuple(sorted(names)) for name, names in dependents.items()},
        )

    def with_dependencies(self, services: Iterable[ServiceName]) -> tuple[ServiceName, ...]:
        """These services and all that they wait for, directly or not, in order."""
        return self._closure(services, self.dependencies)

    def with_dependents(self, services: Iterable[ServiceName]) -> tuple[ServiceName, ...]:
        """These services and all that wait for them, directly or not, in order."""
        return self._closure(services, self.dependents)

    def _closure(
        self, services: Iterable[ServiceName], next_of: Mapping[ServiceName, Iterable[ServiceName]]
    ) -> tuple[ServiceName, ...]:
        found: set[ServiceName] = set()
        todo = list(services)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(next_of[name])
        return tuple(name for name in self.order if name in found)


def _edges(stack: StackSpec) -> Iterable[Edge]:
    for name, service in sorted(stack.services.items()):
        for dependency, how in sorted(service.depends_on.items()):
            if dependency in stack.services:
                yield Edge(dependent=name, dependency=dependency, how=how)


def _waves(stack: StackSpec, edges: tuple[Edge, ...]) -> tuple[tuple[ServiceName, ...], ...]:
    """The standard library sorts, each pass anew; networkx (110 ms to import) is asked only when there is a loop."""
    sorter: TopologicalSorter[ServiceName] = TopologicalSorter(dict.fromkeys(stack.services, ()))
    for edge in edges:
        sorter.add(edge.dependent, edge.dependency)
    try:
        sorter.prepare()
    except CycleError as error:
        raise _cycle(stack, edges) from error
    waves: list[tuple[ServiceName, ...]] = []
    while sorter.is_active():
        waves.append(tuple(sorted(sorter.get_ready())))
        sorter.done(*waves[-1])
    return tuple(waves)


def _cycle(stack: StackSpec, edges: tuple[Edge, ...]) -> DependencyCycle:
    import networkx as nx

    graph: nx.DiGraph[ServiceName] = nx.DiGraph((edge.dependency, edge.dependent) for edge in edges)
    start = min(min(part) for part in nx.strongly_connected_components(graph) if _loops(graph, part))
    # networkx follows dependency -> dependent; people read it the other way round
    loop = [(edge[1], edge[0]) for edge in reversed(nx.find_cycle(graph, start))]
    first = next((at for at, (dependent, _) in enumerate(loop) if dependent == start), 0)
    loop = loop[first:] + loop[:first]
    names = [loop[0][0], *(dependency for _, dependency in loop)]
    places = [stack.place("services", a, "depends_on", b) for a, b in loop]
    return DependencyCycle(
        "services wait for each other: " + " -> ".join(f'"{name}"' for name in names),
        where=places[0],
        why="; ".join(f'"{a}" depends on "{b}" at {place}' for (a, b), place in zip(loop, places, strict=True)),
        fix="remove one of these dependencies",
    )


def _loops(graph: nx.DiGraph[ServiceName], part: set[ServiceName]) -> bool:
    return len(part) > 1 or graph.has_edge(*(tuple(part) * 2))
