"""From arguments to an exit code. The one place where an error becomes a message.

Exit codes: 0 done, 1 an error of the world, 2 a wrong command line or file, 130 and 143 interrupted; `orch plan` and
`orch exec` have their own, and say so in their help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import click

from orchestrator.cli import hints, interrupt, output
from orchestrator.cli.root import cli
from orchestrator.errors import OrchError, SeveralErrors

SIGPIPE_CODE = 141
"""What a shell reports of a program that wrote to a closed pipe (128 + SIGPIPE)."""


COMPLETION_VARIABLE = "_ORCH_COMPLETE"
"""Set by a shell that asks for the next word. Source: Click's documentation, "Shell Completion"."""


def run(args: Sequence[str]) -> int:
    """The exit code of `orch ARGS`. Prints what went wrong; never a traceback, unless ORCH_DEBUG=1."""
    try:
        code = cli.main(list(args), prog_name="orch", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return _clicks_own_end(stop)
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        return _report(error)
    except KeyboardInterrupt as stop:
        return _interrupted(stop)


def _report(error: Exception) -> int:
    """Prints `error`; its exit code."""
    if isinstance(error, click.Abort):
        return _interrupted(error.__cause__)
    if isinstance(error, click.ClickException):
        return _wrong_usage(error)
    problems = list(_problems(error))
    if problems and all(isinstance(problem, OrchError) for problem in problems):
        return _orch_errors([problem for problem in problems if isinstance(problem, OrchError)])
    from orchestrator.cli import crash

    return crash.report(error)


def _problems(error: BaseException) -> Iterator[BaseException]:
    """The single errors in `error`: those of a group of tasks, or of a whole file, one by one."""
    inner: Sequence[BaseException] = ()
    if isinstance(error, BaseExceptionGroup):
        inner = error.exceptions
    elif isinstance(error, SeveralErrors):
        inner = error.errors
    if not inner:
        yield error
    for each in inner:
        yield from _problems(each)


def _orch_errors(errors: Sequence[OrchError]) -> int:
    for error in errors:
        output.failure(error)
        if os.environ.get("ORCH_DEBUG") == "1":
            output.traceback_of(error)
    return max(error.exit_code for error in errors)


def _wrong_usage(error: click.ClickException) -> int:
    """Prints what is wrong with the command line. A group without a verb is no mistake, but a question."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        output.note(error.format_message())
        return error.exit_code
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "orch"
    hint = hints.for_usage(error)
    message = error.message if hint else error.format_message()
    output.failure(OrchError(hints.wording(message), fix=hint or f"{path} --help tells what it takes"))
    return error.exit_code


def _interrupted(cause: BaseException | None) -> int:
    """Says what an interruption leaves, if anything was under way."""
    if not isinstance(cause, KeyboardInterrupt):
        output.note("orch: no yes, so nothing was done")
        return 1
    stop = cause if isinstance(cause, interrupt.Interrupted) else interrupt.interrupted(interrupt.CTRL_C)
    if stop.left:
        output.note(f"orch: interrupted; {stop.left}")
    return stop.code


def _closed_pipe() -> int:
    """Nobody reads our output any more. Python must not complain about it at its own end, either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return SIGPIPE_CODE


def _clicks_own_end(stop: SystemExit) -> int:
    """Click ends the process itself after answering a shell's TAB, and when it finds the output closed."""
    answered = COMPLETION_VARIABLE in os.environ or not stop.code
    return int(stop.code or 0) if answered else _closed_pipe()
