"""Real engines for tests: fixtures over `orchestrator.lab`, one set of labs per pytest worker.

    from tests.labs import engine_socket, lab, lab3, labs  # in the conftest.py of a folder

    lab3           three nodes on the machine's own engine, TLS, `orch/busybox:1` loaded; clean before each test
    engine_socket  the unix socket of a single node, once on engine 20.10 and once on 26.1; clean before each test
    lab            the cluster of lab3 as it is, for a whole session
    labs           makes others: labs("two", nodes=2, engine="26.1")

"Clean" is made after each test: nodes killed, frozen or cut off are brought back; containers, volumes, networks and
images that the test left are removed. Labs go when the session ends; what a killed session left goes at the next start.
Every lab is an island (its hub has no uplink), so all may have the same subnet. Without root or dockerd these fixtures
raise LabError, so the tests fail: they are not skipped.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from orchestrator.errors import LabError
from orchestrator.lab import Lab, api, build_images, cgroups, host

BUSYBOX = "orch/busybox:1"
ENGINES = ("20.10", "26.1")
FAREWELL_S = 1.5
"""Between hosts that leave a swarm: at once, they would hold on to port 7946 and carry no traffic ever after."""
_NAME = re.compile(r"t(\d+)-[a-z0-9]+")


class Labs(Protocol):
    """Makes the session's lab called `key`, or gives it again."""

    def __call__(self, key: str, *, nodes: int = 1, engine: str = "20.10") -> Lab: ...


def root_of(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"orch-{name}"


def sweep() -> None:
    """Take down the labs of test sessions that are no more."""
    present = {path.name.removeprefix("orch-") for path in Path(tempfile.gettempdir()).glob("orch-t*")}
    for name in sorted(present | set(cgroups.labs())):
        found = _NAME.fullmatch(name)
        if found and not Path(f"/proc/{found[1]}").exists():
            Lab(root_of(name), name).down()


def clean(lab: Lab, nodes: int, engine: str, *, images: bool = True) -> None:
    """Bring every node back, and remove all that is on the engines but the image of busybox.

    images: False leaves all images.
    """
    lab.up(nodes, engine, tls=True)
    sockets = [lab.socket(node) for node in lab.nodes()]
    for socket in sockets:
        _leave(socket)
    for node in lab.nodes():
        _shut_the_gossip_port(lab, node)
    for socket in sockets:
        _empty(socket, images=images)


def _leave(socket: Path) -> None:
    """One host after the other: see FAREWELL_S."""
    try:
        api.ask(socket, "POST", "/swarm/leave?force=1", timeout_s=60)
        time.sleep(FAREWELL_S)
    except LabError as error:
        if "not part of a swarm" not in error.why:
            raise


def _shut_the_gossip_port(lab: Lab, node: str) -> None:
    """An engine that has left may go on listening on 7946, for ever; joined again, it carries no traffic (measured)."""
    pid, deadline = host.holder(lab.root.name.removeprefix("orch-"), node), time.monotonic() + 1
    while pid and any(_listens(Path(f"/proc/{pid}/net/{table}"), "1F0A") for table in ("tcp", "tcp6")):
        if time.monotonic() > deadline:
            lab.restart(node)
            return
        time.sleep(0.05)


def _listens(table: Path, port: str) -> bool:
    """Source: proc(5), /proc/net/tcp: local address, then state 0A, which is LISTEN."""
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port}") and row[3] == "0A" for row in rows)


def _empty(socket: Path, *, images: bool) -> None:
    for container in _list(socket, "/containers/json?all=1"):
        _delete(socket, f"/containers/{container['Id']}?force=1&v=1")
    for volume in _list(socket, "/volumes")["Volumes"] or ():
        _delete(socket, f"/volumes/{volume['Name']}?force=1")
    for network in _list(socket, "/networks"):
        if network["Name"] not in ("bridge", "host", "none"):
            _delete(socket, f"/networks/{network['Id']}")
    for image in _list(socket, "/images/json?all=1") if images else ():
        if BUSYBOX not in (image["RepoTags"] or ()):
            _delete(socket, f"/images/{image['Id']}?force=1")


def _list(socket: Path, url: str) -> Any:
    return json.loads(api.ask(socket, "GET", url))


def _delete(socket: Path, url: str) -> None:
    """What is gone already, or goes at this moment, is fine."""
    try:
        api.ask(socket, "DELETE", url)
    except LabError as error:
        if not re.search("no such|already in progress|not found|has dependent", error.why, re.IGNORECASE):
            raise


@pytest.fixture(scope="session")
def labs() -> Iterator[Labs]:
    sweep()
    made: dict[str, Lab] = {}

    def make(key: str, *, nodes: int = 1, engine: str = "20.10") -> Lab:
        if key not in made:
            name = f"t{os.getpid()}-{key}"
            made[key] = Lab(root_of(name), name)
            made[key].up(nodes, engine, tls=True, load=build_images(["busybox"]))
        return made[key]

    yield make
    for lab in made.values():
        lab.down()


@pytest.fixture(scope="session")
def lab(labs: Labs) -> Lab:
    return labs("three", nodes=3)


@pytest.fixture
def lab3(lab: Lab) -> Iterator[Lab]:
    yield lab
    clean(lab, 3, ENGINES[0])


@pytest.fixture(params=ENGINES)
def engine_socket(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Path]:
    version: str = request.param
    one = labs(f"e{version.replace('.', '')}", engine=version)
    yield one.socket("n1")
    clean(one, 1, version)
