"""The helper on real engines: it holds, asks, reads routes, and is a door to volumes without ever running."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import IPAMConfig, IPAMPool, Mount

from orchestrator.engine.helper import image
from orchestrator.engine.helper.reach import parse_reach, reach_arguments
from orchestrator.engine.helper.routes import COMMAND, parse_routes
from tests.labs import BUSYBOX

pytestmark = pytest.mark.real
SUBNET = "10.211.7.0/24"


@pytest.fixture
def engine(engine_socket: Path) -> Iterator[Any]:
    """A client of one engine that was given the helper, and has the network "bed"."""
    client = docker.DockerClient(base_url=f"unix://{engine_socket}", timeout=30)
    client.images.load(image.archive(client.version()["Arch"]))
    client.networks.create("bed", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=SUBNET)]))
    yield client
    client.close()


def holder(engine: Any, **more: Any) -> Any:
    container = engine.containers.run(image.REF, detach=True, network="bed", **more)
    container.reload()
    return container


def address_of(container: Any) -> str:
    return str(container.attrs["NetworkSettings"]["Networks"]["bed"]["IPAddress"])


def ask(container: Any, *addresses: str, within_s: float) -> dict[str, str]:
    told = container.exec_run([image.PROGRAM, *reach_arguments(addresses, within_s=within_s)])
    found = dict(parse_reach(told.output.decode()))
    assert told.exit_code == (0 if set(found.values()) == {"ok"} else 1)
    return found


def test_the_engine_knows_the_image_by_our_name_and_id(engine: Any) -> None:
    loaded, arch = engine.images.get(image.REF), engine.version()["Arch"]

    assert loaded.id == image.image_id(arch)
    assert loaded.attrs["Architecture"] == arch
    assert loaded.attrs["Size"] < 8192


def test_holders_reach_each_other_and_tell_who_they_do_not(engine: Any) -> None:
    one, two = holder(engine), holder(engine, read_only=True, cap_drop=["ALL"], mem_limit="16m", pids_limit=2)
    silent = engine.containers.run(BUSYBOX, ["sleep", "60"], detach=True, network="bed")
    silent.reload()
    frozen = holder(engine)
    frozen.pause()
    nobody = "10.211.7.200"
    began = time.monotonic()
    found = ask(one, *map(address_of, (two, silent, frozen)), nobody, within_s=0.3)
    took_s = time.monotonic() - began
    frozen.unpause()

    assert list(found.values()) == ["ok", "refused", "stalled", "timeout"]
    assert took_s < 3.0
    assert ask(two, address_of(one), address_of(frozen), within_s=5.0) == {
        address_of(one): "ok",
        address_of(frozen): "ok",
    }


def test_without_a_route_an_address_is_unreachable(engine: Any) -> None:
    alone = engine.containers.run(image.REF, detach=True, network_mode="none")

    assert ask(alone, "198.51.100.1", within_s=0.3) == {"198.51.100.1": "unreachable"}


def test_a_holder_answers_many_and_is_not_held_up_by_one_that_reads_nothing(engine: Any) -> None:
    one, two = holder(engine), holder(engine)
    script = f"for i in $(seq 20); do sleep 60 | nc {address_of(one)} {image.PORT} | sleep 60 & done; sleep 60"
    engine.containers.run(BUSYBOX, ["sh", "-c", script], detach=True, network="bed")
    time.sleep(1.0)
    many = [image.PROGRAM, *reach_arguments([address_of(one)] * 300, within_s=10.0)]
    told = two.exec_run(many)

    assert told.output.decode().splitlines() == [f"{address_of(one)} ok"] * 300
    assert told.exit_code == 0


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_holder_at_once(engine: Any, signal: str) -> None:
    container = holder(engine)
    began = time.monotonic()
    container.kill(signal)
    code = container.wait(timeout=10)["StatusCode"]

    assert code == 0
    assert time.monotonic() - began < 1.0


def test_stop_needs_no_grace(engine: Any) -> None:
    container = holder(engine)
    began = time.monotonic()
    container.stop(timeout=10)

    assert time.monotonic() - began < 1.5
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


def test_with_the_hosts_network_it_reads_the_hosts_routes(engine: Any) -> None:
    told = engine.containers.run(image.REF, list(COMMAND), network_mode="host", remove=True)
    networks = parse_routes(told.decode())

    assert SUBNET in networks
    assert {pool["Subnet"] for pool in engine.networks.get("bridge").attrs["IPAM"]["Config"]} <= set(networks)
    assert "0.0.0.0/0" not in networks


# A door to volumes


def door(engine: Any, volume: str) -> Any:
    """Not started, and without `no_copy`: the image has nothing at /data that an empty volume could take over."""
    return engine.containers.create(image.REF, mounts=[Mount("/data", volume, type="volume")])


def fetch(container: Any, path: str) -> list[tuple[tarfile.TarInfo, bytes]]:
    pieces, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        return [(m, tar.extractfile(m).read() if m.isreg() else b"") for m in tar]  # type: ignore[union-attr]


def pack(*members: tuple[str, bytes | None, int, int]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content, owner, mode in members:
            member = tarfile.TarInfo(name)
            member.uid = member.gid = owner
            member.mode = mode
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return out.getvalue()


def test_a_container_that_never_ran_gives_and_takes_a_volumes_files(engine: Any) -> None:
    engine.volumes.create("home")
    writer = door(engine, "home")
    assert writer.put_archive("/", pack(("data", None, 1000, 0o700), ("data/big", b"x" * 300_000, 1001, 0o640)))
    writer.remove()
    reader = door(engine, "home")
    found = {member.name: (member.uid, member.mode & 0o7777, content) for member, content in fetch(reader, "/data")}

    assert reader.status == "created"
    assert found == {"data": (1000, 0o700, b""), "data/big": (1001, 0o640, b"x" * 300_000)}
    seen = engine.containers.run(BUSYBOX, ["stat", "-c", "%u %a %s", "/v", "/v/big"], volumes=["home:/v"], remove=True)
    assert seen.decode().splitlines()[0].split()[:2] == ["1000", "700"]
    assert seen.decode().splitlines()[1] == "1001 640 300000"


def test_an_empty_volume_keeps_its_owner_when_it_is_looked_at(engine: Any) -> None:
    engine.volumes.create("empty")
    door(engine, "empty").put_archive("/", pack(("data", None, 1000, 0o700)))
    ((member, _),) = fetch(door(engine, "empty"), "/data")

    assert (member.uid, member.mode & 0o7777) == (1000, 0o700)
    seen = engine.containers.run(BUSYBOX, ["stat", "-c", "%u %a", "/v"], volumes=["empty:/v:nocopy"], remove=True)
    assert seen.decode() == "1000 700\n"
