"""A second `orch up`, in a process that kills itself at a chosen operation: run by test_killed.py.

    python killed.py STACK_FILE < lines of "MOMENT NUMBER"

For each line it declares the stack and converges, in a child of its own that dies by SIGKILL

    at NUMBER      when the NUMBERth event of an operation comes (it begins, or it is done)
    during NUMBER  a moment after the NUMBERth operation has begun, when its call is with the engine
    stored 0       when the stack is stored and nothing is done
    never 0        not at all

and answers with a line: the events that it saw, and the signal that ended it (0: none). A child is a fork, so that
the imports are paid for once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from orchestrator import spec
from orchestrator.engine import connect  # noqa: F401  # the child shall find it imported
from orchestrator.reconciler.events import Event, OperationDone, OperationStarted
from orchestrator.service.local import open_control
from orchestrator.service.request import UpRequest

MID_CALL_S = 0.015


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # nothing may happen between the signal and the end


class Watch:
    """Counts events of operations into a pipe, and dies at the right one."""

    def __init__(self, moment: str, number: int, pipe: int) -> None:
        self._moment, self._number, self._pipe = moment, number, pipe
        self._events = self._begun = 0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, OperationStarted | OperationDone):
            return
        self._events += 1
        self._begun += isinstance(event, OperationStarted)
        os.write(self._pipe, b".")
        if (self._moment, self._number) == ("at", self._events):
            die()
        is_start = isinstance(event, OperationStarted)
        if is_start and (self._moment, self._number) == ("during", self._begun):
            threading.Timer(MID_CALL_S, die).start()


async def up(path: str, moment: str, emit: Callable[[Event], None]) -> None:
    request = spec.Request(files=(path,), env=dict(os.environ), cwd=os.getcwd())
    loaded = spec.load(request)
    async with open_control(os.environ, "orch up") as control:
        await control.up(UpRequest(stack=loaded.stack, contents=loaded.contents))
        if moment == "stored":
            die()
        outcome = await control.converge(loaded.stack.name, emit)
        assert outcome.converged, outcome


def run(path: str, moment: str, number: int) -> tuple[int, int]:
    """(events that it saw, the signal that ended it)"""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = 1
        try:
            asyncio.run(up(path, moment, Watch(moment, number, writer)))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    events = 0
    while piece := os.read(reader, 4096):
        events += len(piece)
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"{moment} {number}: exit code {status >> 8}"
    return events, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


if __name__ == "__main__":
    for line in sys.stdin:
        chosen, _, count = line.partition(" ")
        print(*run(sys.argv[1], chosen, int(count)), flush=True)
