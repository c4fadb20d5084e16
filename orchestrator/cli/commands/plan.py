"""`orch plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.completers import services as complete_services
from orchestrator.cli.group import Verb, verb
from orchestrator.cli.options import Project, ReplicaCount, format_option, pass_project, project_options
from orchestrator.errors import OrchError

if TYPE_CHECKING:
    from orchestrator.model.plan import Blocked, Preview, Step
    from orchestrator.service.control import Control

NOTHING, FAILED, CHANGES = 0, 1, 2


class _FailsWithOne(Verb):
    """2 means "there are changes" here, so a wrong file or command line ends with 1."""

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        try:
            return super().make_context(*args, **settings)
        except click.UsageError as error:
            raise _with_code(error, FAILED) from error.__cause__

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (OrchError, click.UsageError) as error:
            raise _with_code(error, FAILED) from error.__cause__


def _with_code(error: Exception, code: int) -> Exception:
    error.exit_code = code  # type: ignore[attr-defined]  # each class has its own, this one instance another
    return error


@verb(
    "plan",
    ("orch plan -f stack.yml", "what up would do, wave by wave"),
    ("orch plan --format json", "for programs"),
    cls=_FailsWithOne,
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete_services)
@project_options()
@click.option("--scale", "scales", type=ReplicaCount(), multiple=True, help="as orch up takes it")
@click.option("--force-recreate", is_flag=True, help="as orch up takes it")
@click.option("--no-deps", is_flag=True, help="as orch up takes it")
@click.option("--remove-orphans", is_flag=True, help="as orch up takes it")
@format_option
@pass_project
def command(
    project: Project,
    services: tuple[str, ...],
    scales: tuple[tuple[str, int], ...],
    force_recreate: bool,
    no_deps: bool,
    remove_orphans: bool,
    form: str,
) -> int:
    """Show what `orch up` would do, and change nothing.

    Steps of one wave may run at the same time. Exit code 0: nothing to do, 2: there are changes, 1: an error,
    or something that can't become true.
    """
    from orchestrator.cli import output, selection, session
    from orchestrator.cli.commands.up import asked

    request = asked(
        selection.load(project, services), services, scales,
        force_recreate=force_recreate, no_deps=no_deps, remove_orphans=remove_orphans,
    )  # fmt: skip

    async def work(control: Control) -> Preview:
        return await control.preview_up(request)

    preview = session.run(work)
    if form == "json":
        output.json(fields(preview))
    else:
        for text in lines(preview) or ["nothing to do"]:
            output.line(text)
    return exit_code(preview)


def exit_code(preview: Preview) -> int:
    if any(each.severity == "failed" for each in preview.blocked):
        return FAILED
    return CHANGES if preview.steps else NOTHING


def lines(preview: Preview) -> list[str]:
    """The preview as people read it: `#3 [1,2] start web.1 on n1, because ...` under each wave's title."""
    text: list[str] = []
    wave = 0
    for step in preview.steps:
        if step.wave != wave:
            wave = step.wave
            text.append(f"wave {wave}")
        text.append(f"  {_step(step)}")
    return text + [_blocked(each) for each in preview.blocked]


def _step(step: Step) -> str:
    after = f" [{','.join(map(str, step.after))}]" if step.after else ""
    return f"#{step.number}{after} {step.operation.title}, because {step.operation.cause}"


def _blocked(blocked: Blocked) -> str:
    fix = f" (fix: {blocked.fix})" if blocked.fix else ""
    return f"{blocked.severity}: {blocked.subject}: {blocked.reason}{fix}"


def fields(preview: Preview) -> dict[str, Any]:
    """What `--format json` gives; the operation's own fields are under `operation`."""
    steps = [
        {
            "number": step.number,
            "wave": step.wave,
            "after": step.after,
            "title": step.operation.title,
            "cause": step.operation.cause,
            "operation": step.operation,
        }
        for step in preview.steps
    ]
    return {"steps": steps, "blocked": preview.blocked}
