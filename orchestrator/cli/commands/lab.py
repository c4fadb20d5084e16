"""`orch lab`: a throw-away cluster of real Docker engines on this machine, as kind and k3d are for Kubernetes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.group import Verb, noun, verb
from orchestrator.cli.options import format_option

if TYPE_CHECKING:
    from orchestrator.lab import Lab, NodeReport

COLUMNS = ("NODE", "ADDRESS", "ENGINE", "CONTAINERS", "LINK", "SOCKET")


@dataclass
class Which:
    """Which lab is meant; empty is the lab room's own default. A dataclass, as `options.Project` is."""

    root: str = ""
    name: str = ""

    def lab(self) -> Lab:
        from orchestrator.lab import Lab
        from orchestrator.lab.settings import DEFAULT_NAME, DEFAULT_ROOT

        return Lab(Path(self.root) if self.root else DEFAULT_ROOT, self.name or DEFAULT_NAME)


pass_which = click.make_pass_decorator(Which, ensure=True)


def _collect(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value:
        setattr(ctx.ensure_object(Which), str(param.name), value)


def _which_options(function: Any) -> Any:
    root_help = "the lab's folder  [env: ORCH_LAB_ROOT; default: /var/lib/orch-lab]"
    name_help = "tells several labs on one machine apart  [default: orch]"
    for names, text in ((("--name", "name"), name_help), (("--root", "root"), root_help)):
        function = click.option(*names, metavar=names[1].upper(), help=text, expose_value=False, callback=_collect)(
            function
        )
    return function


@noun(
    "lab",
    ("orch lab up --nodes 3", "three real engines, in about three seconds"),
    ('eval "$(orch lab env)"', "the orch of this shell works on them"),
    ("orch lab kill n2", "see what a power cut does"),
    ("orch lab down", "nothing is left"),
)
@_which_options
def command() -> None:
    """Run a throw-away cluster of real Docker engines on this machine.

    Needs root, and the packages docker.io, iptables and iproute2. Nothing in it reaches the outside.
    """


def _say(text: str) -> None:
    from orchestrator.cli import output

    output.note(text)


@verb("up", ("orch lab up", "three nodes"), ("orch lab up --nodes 5 --engine 26.1 --tls", "five, newer, over TLS"))
@_which_options
@click.option("--nodes", type=click.IntRange(min=1), default=3, show_default=True, help="how many hosts")
@click.option(
    "--engine", default="20.10", show_default=True, metavar="VERSION", help="20.10 (Debian 12's) or 26.1 (Debian 13's)"
)
@click.option("--tls", is_flag=True, help="engines on TCP want and show certificates")
@click.option("--subnet", default="10.87.0.0/24", show_default=True, metavar="CIDR", help="addresses of the hosts")
@click.option(
    "--load", "archives", multiple=True, metavar="IMAGE", help="load it on all nodes: an archive, or a recipe's name"
)
@pass_which
def up(which: Which, nodes: int, engine: str, tls: bool, subnet: str, archives: tuple[str, ...]) -> None:
    """Make it so that these engines run and answer.

    Again: what is missing is added, what was killed, frozen or cut off is brought back.
    """
    from orchestrator.cli import interrupt, output

    lab = which.lab()
    with interrupt.leaves("part of the lab may be up: orch lab up goes on, orch lab down removes it"):
        made = lab.up(nodes, engine, tls=tls, subnet=subnet, load=_archives(archives), progress=_say)
    started = f", {len(made.started)} started" if made.started else ", all up already"
    output.line(f"lab: {output.plural(len(made.nodes), 'node')}{started} in {output.seconds(made.seconds)}")
    output.note(f'next: eval "$(orch lab{_options(which)} env)"')


def _options(which: Which) -> str:
    given = (("--root", which.root), ("--name", which.name))
    return "".join(f" {name} {value}" for name, value in given if value)


@verb("down", ("orch lab down", "engines, containers, data: all of it"))
@_which_options
@pass_which
def down(which: Which) -> None:
    """Remove the lab with all that is in it."""
    from orchestrator.cli import interrupt, output

    with interrupt.leaves("part of the lab is left; orch lab down removes the rest"):
        which.lab().down()
    output.line("lab: removed")


@verb("status", ("orch lab status", "a line for each node"), ("orch lab status --format json", "for programs"))
@_which_options
@format_option
@pass_which
def status(which: Which, form: str) -> None:
    """Show how each node is."""
    from orchestrator.cli import output

    reports = which.lab().status()
    output.listing(form, COLUMNS, [_row(each) for each in reports], [_fields(each) for each in reports])


def _row(node: NodeReport) -> tuple[str, ...]:
    containers = "-" if node.containers is None else str(node.containers)
    return node.node, node.address, node.engine, containers, node.link, str(node.socket)


def _fields(node: NodeReport) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node.__struct_fields__} | {"socket": str(node.socket)}


@verb("env", ('eval "$(orch lab env)"', "orch on the whole lab"), ('eval "$(orch lab env n1)"', "docker on one node"))
@_which_options
@click.argument("node", required=False)
@click.option("--tcp", is_flag=True, help="the address inside the lab's network, for what runs in it")
@pass_which
def env(which: Which, node: str | None, tcp: bool) -> None:
    """Print variables for a shell: of orch for the whole lab, of docker for one node."""
    import shlex

    from orchestrator.cli import output

    for name, value in which.lab().env(node, tcp=tcp).items():
        output.line(f"export {name}={shlex.quote(value)}")


@verb(
    "exec",
    ("orch lab exec n1 docker ps", "with the host's files, processes and network"),
    ("orch lab exec --network hub curl http://10.87.0.1:8080", "only in its network, with your own files"),
    context_settings={"allow_interspersed_args": False},
)
@_which_options
@click.option("--network", is_flag=True, help="only in the node's network; hub is the outside that all nodes see")
@click.argument("node")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG]...")
@pass_which
def execute(which: Which, network: bool, node: str, words: tuple[str, ...]) -> None:
    """Run a command on a node of the lab; the exit code is the command's own."""
    import sys

    lab = which.lab()
    argv = lab.enter(node, *words) if network else lab.inside(node, *words)
    sys.stdout.flush()
    os.execvp(argv[0], argv)


@noun(
    "images",
    ("orch lab images build redis", "an archive"),
    ("orch lab images load redis", "built if need be, on all nodes"),
)
def images() -> None:
    """Make small images from Debian packages, and load them; no registry is needed."""


@verb("build", ("orch lab images build", "all recipes"), ("orch lab images build httpd redis -o .", "two, here"))
@click.argument("names", nargs=-1, metavar="[RECIPE]...")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), help="where to put the archives  [default: a cache]"
)
def build(names: tuple[str, ...], folder: Path | None) -> None:
    """Build images from recipes, as archives for `docker load`; prints their paths."""
    from orchestrator.cli import output
    from orchestrator.lab.build import build_images

    for path in build_images(names, folder, progress=_say):
        output.line(str(path))


@verb(
    "load",
    ("orch lab images load web.tar", "an archive of docker save"),
    ("orch lab images load redis --node n1", "a recipe"),
)
@_which_options
@click.argument("names", nargs=-1, required=True, metavar="ARCHIVE|RECIPE...")
@click.option("--node", "nodes", multiple=True, help="only on this node")
@pass_which
def load(which: Which, names: tuple[str, ...], nodes: tuple[str, ...]) -> None:
    """Load images on the nodes of the lab; what a node has already is left out."""
    from orchestrator.cli import output

    lab = which.lab()
    lab.load_images(_archives(names), nodes or None)
    output.line(f"{output.plural(len(names), 'image')} on {output.plural(len(nodes or lab.nodes()), 'node')}")


def _archives(names: tuple[str, ...]) -> list[Path]:
    """Files as they are, names of recipes as the archives that they make."""
    from orchestrator.lab.build import build_images

    return [Path(name) if Path(name).is_file() else build_images([name], progress=_say)[0] for name in names]


def _fault(
    name: str, done: str, help_text: str, *examples: tuple[str, str], flag: tuple[str, str] | None = None
) -> Verb:
    """A verb that does one thing to one node, by the lab's method of that name."""

    def act(which: Which, /, node: str, **flags: bool) -> None:
        from orchestrator.cli import output

        getattr(which.lab(), name)(node, **flags)
        output.line(f"{node}: {done}")

    wrapped: Any = click.argument("node")(pass_which(act))
    if flag:
        wrapped = click.option(f"--{flag[0]}", is_flag=True, help=flag[1])(wrapped)
    return verb(name, *examples, help=help_text)(_which_options(wrapped))


FAULTS = (
    _fault(
        "kill", "killed", "Cut a node's power.",
        ("orch lab kill n2", "host, engine and containers at once"),
        ("orch lab kill n2 --engine", "the engine alone crashes; containers go on"),
        flag=("engine", "only the engine crashes; containers go on"),
    ),
    _fault(
        "restart", "restarted", "Boot a node again, or restart its engine when it runs.",
        ("orch lab restart n2", "after kill, or just so"),
    ),
    _fault(
        "pause", "paused", "Freeze a node: it takes connections and never answers.",
        ("orch lab pause n2", "the whole host"),
        ("orch lab pause n2 --engine", "the engine alone hangs"),
        flag=("engine", "only the engine hangs; containers go on"),
    ),
    _fault("unpause", "goes on", "Let a frozen node go on.", ("orch lab unpause n2", "as if nothing had been")),
    _fault(
        "partition", "cut off", "Cut a node off the lab's network; its socket still answers.",
        ("orch lab partition n2", "as if the cable were pulled"),
        ("orch lab partition n2 --drop", "packets vanish without a word"),
        flag=("drop", "packets vanish silently, as behind a broken switch"),
    ),
    _fault("heal", "connected", "Connect a node that was cut off.", ("orch lab heal n2", "the cable is back")),
)  # fmt: skip

for _each in (build, load):
    images.add_command(_each)
for _verb in (up, down, status, env, *FAULTS, execute, images):
    command.add_command(_verb)
