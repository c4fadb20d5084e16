"""`DockerEngine`, the part on what runs in containers: commands and logs (`execio.py`, `logs.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from functools import partial

from orchestrator.engine.connected import Connected, short
from orchestrator.engine.logs import Lines, log_params, read_logs
from orchestrator.engine.protocol import ExecResult, ExecSession, LogLine
from orchestrator.model.names import ContainerId


class DockerRuns(Connected):
    async def exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        user: str = "",
        env: Sequence[str] = (),
        workdir: str = "",
        privileged: bool = False,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        """At the deadline the command is left alone: the engine has no way to end it."""
        from orchestrator.engine.execio import run_command

        doing = f'run a command in container "{short(container)}"'
        options = {"user": user, "environment": list(env), "workdir": workdir or None, "privileged": privileged}
        work = partial(run_command, container, command, options)
        return await self._client.call(doing, work, timeout_s=timeout_s, alone=True)

    async def open_exec(
        self,
        container: ContainerId,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        env: Sequence[str] = (),
        user: str = "",
        workdir: str = "",
        privileged: bool = False,
    ) -> ExecSession:
        from orchestrator.engine.execio import DockerExec

        body = {
            "Cmd": list(command),
            "Tty": tty,
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Env": list(env),
            "User": user,
            "WorkingDir": workdir,
            "Privileged": privileged,
        }
        doing = f'run a command in container "{short(container)}"'
        made = await self._client.call(doing, lambda api: api.ask("POST", f"/containers/{container}/exec", body=body))
        return DockerExec(self._client, made["Id"], has_terminal=tty, has_stdin=stdin, doing=doing)

    async def logs(
        self,
        container: ContainerId,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        timestamps: bool = False,
    ) -> AsyncGenerator[LogLine]:
        offset_s = await self._clock_offset_s()
        params = log_params(
            follow=follow, tail=tail, since=since, until=until, timestamps=timestamps, clock_offset_s=offset_s
        )
        work = partial(read_logs, container, params, Lines(has_times=timestamps, clock_offset_s=offset_s))
        idle_s = None if follow else self._slow_s
        async for line in self._client.stream(f'read the logs of "{short(container)}"', work, idle_s=idle_s):
            yield line
