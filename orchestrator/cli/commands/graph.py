"""`orch graph`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.group import verb
from orchestrator.cli.options import Project, pass_project, project_options

if TYPE_CHECKING:
    from orchestrator.graph import ServiceGraph
    from orchestrator.model.names import StackName


@verb(
    "graph",
    ("orch graph", "waves, and what each service waits for"),
    ("orch graph --format dot | dot -Tsvg", "a picture"),
)
@project_options()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid", "json"]),
    default="text",
    show_default=True,
    help="how to draw",
)
@pass_project
def command(project: Project, form: str) -> None:
    """Show which service waits for which.

    Services of one wave start at the same time.
    """
    from orchestrator.cli import output, selection
    from orchestrator.graph import ServiceGraph

    stack = selection.load(project).stack
    graph = ServiceGraph.of(stack)
    if form == "json":
        output.json(fields(graph))
    else:
        for text in DRAWINGS[form](graph, stack.name):
            output.line(text)


def text(graph: ServiceGraph, stack: StackName) -> Iterator[str]:  # noqa: ARG001  a drawing takes both
    """`wave 2: web (after db healthy, cache started)`, one service a line."""
    width = len(f"wave {len(graph.waves)}")
    for number, wave in enumerate(graph.waves, start=1):
        for place, service in enumerate(wave):
            title = f"wave {number}" if place == 0 else ""
            yield f"{title:<{width}}  {service}{_after(graph, service)}"


def _after(graph: ServiceGraph, service: Any) -> str:
    waits = [f"{name} {_word(how.condition)}" for name, how in graph.dependencies[service].items()]
    return f"  after {', '.join(waits)}" if waits else ""


def _word(condition: str) -> str:
    """`service_completed_successfully` as `completed successfully`."""
    return condition.removeprefix("service_").replace("_", " ")


def dot(graph: ServiceGraph, stack: StackName) -> Iterator[str]:
    """For Graphviz; an arrow goes from a service to what it waits for."""
    yield f'digraph "{stack}" {{'
    yield "  rankdir=LR; node [shape=box];"
    yield from (f'  "{service}";' for service in graph.order)
    for edge in graph.edges:
        style = "" if edge.how.required else ", style=dashed"
        yield f'  "{edge.dependent}" -> "{edge.dependency}" [label="{_word(edge.how.condition)}"{style}];'
    yield "}"


def mermaid(graph: ServiceGraph, stack: StackName) -> Iterator[str]:  # noqa: ARG001  a drawing takes both
    """For Markdown pages that draw Mermaid. Services get numbers, because names may hold what Mermaid reserves."""
    number = {service: f"s{place}" for place, service in enumerate(graph.order)}
    yield "flowchart LR"
    yield from (f'  {number[service]}["{service}"]' for service in graph.order)
    for edge in graph.edges:
        arrow = "-->" if edge.how.required else "-.->"
        yield f"  {number[edge.dependent]} {arrow}|{_word(edge.how.condition)}| {number[edge.dependency]}"


DRAWINGS: Mapping[str, Callable[[ServiceGraph, StackName], Iterator[str]]] = {
    "text": text,
    "dot": dot,
    "mermaid": mermaid,
}


def fields(graph: ServiceGraph) -> dict[str, Any]:
    """What `--format json` gives: waves, and edges with their conditions."""
    edges = [
        {
            "dependent": edge.dependent,
            "dependency": edge.dependency,
            "condition": edge.how.condition,
            "required": edge.how.required,
            "restart": edge.how.restart,
        }
        for edge in graph.edges
    ]
    return {"waves": graph.waves, "edges": edges}
