"""Commands that a stack runs in its containers: `post_start` after the start, `pre_stop` before the stop.

Each runs once for each start or stop that orch makes: not when the engine restarts a container by itself, and not
again after orch was killed in the middle. Source: Docker Compose, lifecycle hooks.
"""

from __future__ import annotations

from orchestrator.engine.protocol import Engine, ExecResult
from orchestrator.errors import EngineError, HookFailed
from orchestrator.model.names import ContainerId
from orchestrator.model.spec import Hook

DEADLINE_S = 600.0
"""A hook that takes longer has failed."""
TOLD = 400
"""How many of the last characters of its output an error repeats."""


async def run_hooks(engine: Engine, container: ContainerId, name: str, kind: str, hooks: tuple[Hook, ...]) -> None:
    """Runs them in their order; raises HookFailed with the first that does not succeed.

    name: the slot's, for the error.
    kind: `post_start` or `pre_stop`.
    """
    for hook in hooks:
        what, fix = f'the {kind} hook "{" ".join(hook.command)}" of {name} failed', f"repair {kind}"
        try:
            result = await _run(engine, container, hook)
        except EngineError as error:
            raise HookFailed(what, where=engine.node, why=error.why or error.what, fix=fix) from error
        if result.exit_code:
            told = result.output.strip()[-TOLD:]
            why = f"it exited with {result.exit_code}{': ' if told else ''}{told}"
            raise HookFailed(what, where=engine.node, why=why, fix=fix)


async def _run(engine: Engine, container: ContainerId, hook: Hook) -> ExecResult:
    return await engine.exec(
        container,
        hook.command,
        user=hook.user,
        env=[name if value is None else f"{name}={value}" for name, value in hook.environment.items()],
        workdir=hook.working_dir,
        privileged=hook.privileged,
        timeout_s=DEADLINE_S,
    )
