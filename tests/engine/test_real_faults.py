"""Real engines that hang, die, have no room or demand certificates."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import connect
from orchestrator.engine.docker import DockerEngine
from orchestrator.engine.protocol import ContainerRequest
from orchestrator.errors import Refused, Unreachable
from orchestrator.lab import Lab, build_images
from orchestrator.model.names import Digest, NodeName, ServiceName, SlotNumber, StackName, container_labels
from orchestrator.model.spec import ServiceSpec
from tests.labs import BUSYBOX

pytestmark = pytest.mark.real
STACK = StackName("faults")


@pytest.fixture(params=["20.10", "26.1"])
def one(labs: Any, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab of one node, whole again afterwards."""
    lab: Lab = labs(f"e{request.param.replace('.', '')}", engine=request.param)
    yield lab
    lab.unpause("n1")
    if not Path(lab.socket("n1")).exists() or lab.status()[0].containers is None:
        lab.restart("n1")


def engine_of(lab: Lab, deadline_s: float = 20.0) -> DockerEngine:
    return connect(NodeName("n1"), f"unix://{lab.socket('n1')}", deadline_s=deadline_s)


def request(number: int) -> ContainerRequest:
    service = ServiceSpec(name=ServiceName("web"), image=BUSYBOX, command=("sleep", "60"))
    labels = container_labels(STACK, service.name, SlotNumber(number), 1, Digest("h"))
    return ContainerRequest(name=f"faults-web-{number}", service=service, labels=labels, network_mode="none")


async def test_a_hung_engine_is_given_up_in_time_and_works_again_after(one: Lab) -> None:
    engine = engine_of(one, deadline_s=1.0)
    await engine.facts()
    following = asyncio.ensure_future(anext(engine.events()))
    await asyncio.sleep(0.2)
    one.pause("n1", engine=True)
    took_s = []
    for call in (engine.containers, engine.networks, engine.facts, lambda: engine.ping(timeout_s=1.0)):
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            await call()
        took_s.append(time.monotonic() - begun)
    assert not following.done()  # a frozen host says nothing: ping tells
    one.unpause("n1")

    assert all(0.9 < span_s < 1.5 for span_s in took_s), took_s
    await engine.ping()
    assert await engine.containers(STACK) == ()
    following.cancel()
    await engine.close()


async def test_a_dead_engine_breaks_the_event_stream_and_refuses_at_once(one: Lab) -> None:
    engine = engine_of(one)
    await engine.facts()
    following = asyncio.ensure_future(anext(engine.events()))
    await asyncio.sleep(0.2)
    one.kill("n1", engine=True)
    with pytest.raises(Unreachable):
        await asyncio.wait_for(following, 5)
    begun = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        await engine.networks()
    assert time.monotonic() - begun < 1
    assert "is dockerd running?" in caught.value.fix
    one.restart("n1")

    assert "bridge" in {network.name for network in await engine.networks()}
    await engine.close()


TLS = """
import asyncio, sys
from orchestrator.engine import connect
from orchestrator.errors import EngineError

async def ask(endpoint):
    engine = connect("n1", endpoint, deadline_s=5)
    try:
        await engine.ping()
        return (await engine.facts()).hostname
    except EngineError as error:
        return f"{type(error).__name__}: {error.fix}"
    finally:
        await engine.close()

for endpoint in sys.argv[1:]:
    print(asyncio.run(ask(endpoint)))
"""


def test_certificates_are_asked_for_and_verified(one: Lab, tmp_path: Path) -> None:
    env = one.env("n1", tcp=True)
    certs, host = Path(env["DOCKER_CERT_PATH"]), env["DOCKER_HOST"]
    (tmp_path / "none").mkdir()
    (tmp_path / "none/ca.pem").write_bytes((certs / "ca.pem").read_bytes())
    (tmp_path / "strange").mkdir()
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "strange" / name).write_bytes((certs / name).read_bytes())
    authority = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "strange/ca.pem"), "-subj", "/CN=strange"]
    subprocess.run([*authority, *files], check=True, capture_output=True)
    endpoints = [f"{host}?certs={certs}", f"{host}?certs={tmp_path}/none", f"{host}?certs={tmp_path}/strange", host]
    command = one.enter("hub", sys.executable, "-c", TLS, *endpoints)
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()

    assert told[0] == "n1"
    assert told[1].startswith("Refused: the engine wants a client certificate")
    assert told[2].startswith("Refused: the engine's certificate is not from the CA in ca.pem")
    assert told[3].startswith("Refused: the engine wants TLS")


@pytest.fixture
def small_lab() -> Iterator[Lab]:
    """A lab whose disk has 40 MB."""
    with tempfile.TemporaryDirectory(prefix="orch-small-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=True)
        lab = Lab(Path(folder) / "lab", f"t{os.getpid()}-small")
        try:
            lab.up(1, load=build_images(["busybox"]))
            yield lab
        finally:
            lab.down()
            subprocess.run(["umount", folder], check=True)


async def _create_many(engine: DockerEngine, count: int) -> None:
    for number in range(1, count):
        await engine.create_container(request(number))


async def test_a_full_disk_is_named(small_lab: Lab) -> None:
    engine = engine_of(small_lab)
    await engine.facts()
    filler = small_lab.root / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)  # noqa: ASYNC221 (until it is full)

    with pytest.raises(Refused) as caught:
        await _create_many(engine, 50)
    filler.unlink()
    assert "no space left on device" in caught.value.why
    assert caught.value.what.startswith("can't create container \"faults-web-")
    assert "docker system prune" in caught.value.fix
    await engine.close()
