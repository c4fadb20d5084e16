"""The verbs of `orch secret` and `orch configs`. A content comes from a file or stdin, never from the command line.

A secret's content is never printed; neither is a word that was given in place of a file, which may be one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import VerbGroup, noun, verb
from orchestrator.cli.options import Assignment, format_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.model.names import StackName
    from orchestrator.model.spec import Intent
    from orchestrator.service.control import Control
    from orchestrator.service.files import Found, Rotation, Use
    from orchestrator.store import NamedFile

COLUMNS = ("NAME", "VERSION", "CREATED", "CHANGED", "USED BY", "LABELS")


def group(noun_: str, kind: str) -> VerbGroup:
    """The commands `orch NOUN ...` about each `kind`: "secret" or "config"."""
    name = "db-password" if kind == "secret" else "nginx.conf"
    orch = f"orch {noun_}"

    @noun(
        noun_,
        (f"{orch} create {name} ./{name}", f"keep the content of a file as {kind} {name}"),
        (f"{orch} ls", f"which {kind}s there are, and who uses them"),
        help=f"Keep {kind}s for stacks that name them as external.\n\n"
        f"`{kind}s: {{{name}: {{external: true}}}}` in a stack file takes the content from here, at `orch up`.",
    )
    def command() -> None:
        pass

    for make in (_create, _ls, _inspect, _rotate, _rm):
        command.add_command(make(orch, kind, name))
    return command


_file = click.argument("file", required=False)


def _source_help(kind: str) -> str:
    prompt = " Without FILE, a terminal is asked for it, and shows nothing of it." if kind == "secret" else ""
    return f"The content is that of FILE, or of stdin (-).{prompt}"


def _create(orch: str, kind: str, example: str) -> click.Command:
    @verb(
        "create",
        (f"{orch} create {example} ./{example}", "the content of a file, as it is"),
        (f"cat it | {orch} create {example} - --label a=b", "from stdin, with a label"),
        help=f"Keep a {kind} in the store, encrypted.\n\n{_source_help(kind)}",
    )
    @click.argument("name")
    @_file
    @click.option("--label", "labels", type=Assignment(), multiple=True, help="a label")
    @format_option
    def create(name: str, file: str | None, labels: tuple[tuple[str, str], ...], form: str) -> None:
        from orchestrator.cli import output, session
        from orchestrator.model.shared import FileKind

        content = _content(kind, name, file)

        async def work(control: Control) -> NamedFile:
            return await control.files.create(FileKind(kind), name, content, dict(labels))

        made = session.run(work)
        if form == "json":
            output.json(made)
        else:
            output.line(f"{name} created")

    return create


def _ls(orch: str, kind: str, _example: str) -> click.Command:
    @verb(
        "ls",
        (f"{orch} ls", f"a line for each {kind}"),
        (f"{orch} ls --format json", "for programs"),
        help=f"List the {kind}s of the store, and the stacks that use them.",
    )
    @format_option
    @click.option("-q", "--quiet", is_flag=True, help="only names")
    def ls(form: str, quiet: bool) -> None:
        from orchestrator.cli import output, session
        from orchestrator.model.shared import FileKind

        async def work(control: Control) -> tuple[Found, ...]:
            return await control.files.list(FileKind(kind))

        found = session.run(work)
        output.listing(form, COLUMNS, [_row(each) for each in found], found, quiet=quiet)

    return ls


def _inspect(orch: str, kind: str, example: str) -> click.Command:
    shows = "its content" if kind == "config" else "never its content"

    @verb(
        "inspect",
        (f"{orch} inspect {example}", f"what is known of it, {shows}"),
        (f"{orch} inspect {example} --format json", "for programs"),
        help=f"Show what is known of a {kind}: {shows}.",
    )
    @click.argument("name")
    @format_option
    def inspect(name: str, form: str) -> None:
        from orchestrator.cli import output, session
        from orchestrator.model.shared import FileKind

        async def work(control: Control) -> tuple[Found, bytes]:
            found = await control.files.get(FileKind(kind), name)
            return found, await control.files.content(found.kind, name) if kind == "config" else b""

        found, content = session.run(work)
        shown = {"content": content.decode(errors="replace")} if kind == "config" else {}
        if form == "json":
            output.json(_fields(found) | shown)
            return
        for label, text in zip(COLUMNS, _row(found), strict=True):
            output.line(f"{label.lower()}: {text}")
        for text in shown.values():
            output.line(f"\n{text}".rstrip("\n"))

    return inspect


def _rotate(orch: str, kind: str, example: str) -> click.Command:
    @verb(
        "rotate",
        (f"{orch} rotate {example} ./{example}", "another content; stacks that use it follow"),
        (f"{orch} rotate -d {example} ./{example}", "they follow with their next change"),
        help=f"Give a {kind} another content, and the stacks that use it new containers.\n\n{_source_help(kind)} "
        "Containers are replaced as in any update: start-first where two may live side by side.",
    )
    @click.argument("name")
    @_file
    @click.option("-d", "--detach", is_flag=True, help="only store it: containers follow with the stack's next change")
    def rotate(name: str, file: str | None, detach: bool) -> None:
        from orchestrator.cli import output, session
        from orchestrator.model.shared import FileKind

        content = _content(kind, name, file)

        async def work(control: Control) -> None:
            rotation = await control.files.rotate(FileKind(kind), name, content)
            output.line(f"{name}: version {rotation.file.version}{'' if rotation.used_by else ', no stack uses it'}")
            for use in rotation.used_by:
                output.line(f"{use.stack}: {_services(use)}" + (" keep the old one until its next change" * detach))
            output.flush()
            if not detach:
                await _follow(control, rotation)

        session.run(work)

    return rotate


def _rm(orch: str, kind: str, example: str) -> click.Command:
    @verb(
        "rm",
        (f"{orch} rm {example}", "only when no stack uses it"),
        help=f"Remove {kind}s from the store. One that a stack uses is refused.",
    )
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    def rm(names: tuple[str, ...]) -> None:
        from orchestrator.cli import output, session
        from orchestrator.model.shared import FileKind

        async def work(control: Control) -> None:
            for name in names:
                await control.files.remove(FileKind(kind), name)
                output.line(f"{name} removed")

        session.run(work)

    return rm


async def _follow(control: Control, rotation: Rotation) -> None:
    """Each stack that uses it gets its containers; one that fails does not keep the others waiting."""
    from orchestrator.cli import steering
    from orchestrator.errors import OrchError

    failed: list[OrchError] = []
    for intent in rotation.intents:
        try:
            await steering.converge(control, intent, again=_again(intent))
        except OrchError as error:
            failed.append(error)
    if failed:
        raise failed[0] if len(failed) == 1 else ExceptionGroup("stacks", failed)


def _again(intent: Intent) -> str:
    stack: StackName = intent.stack.name
    return f'"orch up" of {stack}, or the same command,'


def _content(kind: str, name: str, file: str | None) -> bytes:
    """What FILE, stdin or a person at the terminal gives; of what is too long, only the beginning.

    raises FileMissing, UsageError
    """
    from orchestrator.errors import FileMissing, UsageError
    from orchestrator.model.shared import FileKind
    from orchestrator.service.files import MAX_BYTES

    limit = MAX_BYTES[FileKind(kind)] + 1
    if file is None and sys.stdin.isatty():
        if kind == "secret":
            return _asked(f'content of secret "{name}"')
        raise UsageError(f'no content for {kind} "{name}"', fix="name a file, or - for stdin")
    if file is None or file == "-":
        return sys.stdin.buffer.read(limit)
    try:
        with open(file, "rb") as opened:
            return opened.read(limit)
    except (OSError, ValueError) as error:
        raise FileMissing(
            f'the file for {kind} "{name}" can\'t be read', why=getattr(error, "strerror", None) or "no such file",
            fix="name a file that holds the content, or - to give it on stdin",
        ) from None  # fmt: skip  # the word that was given may be the secret itself


def _asked(question: str) -> bytes:
    """What a person types twice, unseen."""
    from orchestrator.cli import interrupt

    try:
        return str(click.prompt(question, hide_input=True, confirmation_prompt=True, err=True)).encode()
    except click.Abort:
        raise interrupt.interrupted(interrupt.CTRL_C) from None


def _fields(found: Found) -> dict[str, object]:
    import msgspec

    return msgspec.structs.asdict(found)


def _row(found: Found) -> tuple[str, ...]:
    labels = ",".join(f"{key}={value}" for key, value in sorted(found.labels.items()))
    created, changed = (f"{moment:%Y-%m-%d %H:%M:%SZ}" for moment in (found.created_at, found.changed_at))
    return found.name, str(found.version), created, changed, _users(found.used_by), labels or "-"


def _users(used_by: Sequence[Use]) -> str:
    return "; ".join(f"{use.stack}: {_services(use)}" for use in used_by) or "-"


def _services(use: Use) -> str:
    return ", ".join(use.services) or "no service"
