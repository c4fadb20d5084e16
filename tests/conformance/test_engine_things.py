"""What every engine promises of networks, volumes, images and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.engine.protocol import UploadedFile
from orchestrator.errors import Conflict, NotFound, Refused, TooOld
from orchestrator.model.names import COMPOSE_VOLUME, Digest
from orchestrator.model.options import HostOptions
from orchestrator.model.shared import NetworkSpec
from orchestrator.model.spec import Build, FileGrant, Mount, MountType

Case = Any


async def test_facts_name_the_engine(case: Case) -> None:
    facts = await case.engine.facts()

    assert facts.engine_id
    assert facts.api_version in ((1, 41), (1, 45))
    assert (facts.os, facts.arch) == ("linux", facts.arch)
    assert facts.cpus > 0
    assert facts.memory_bytes > 2**28
    assert "runc" in facts.runtimes
    assert abs(facts.clock_offset_s) < 1.0
    await case.engine.ping()


async def test_a_network_is_made_once_and_says_whose_it_is(case: Case) -> None:
    name = await case.network("front")
    await case.network("front")

    (found,) = [n for n in await case.engine.networks() if n.name == name]
    assert (found.stack, found.key, found.config, found.driver) == (case.stack, "front", Digest("beef"), "bridge")


async def test_networks_of_nobody_are_listed_without_a_stack(case: Case) -> None:
    listed = {n.name: n for n in await case.engine.networks()}

    assert listed["bridge"].stack == ""


async def test_a_network_is_removed_once_it_is_empty(case: Case) -> None:
    name = await case.network("front")
    id = await case.run("web", networks=(name,))

    with pytest.raises(Conflict, match="has active endpoints"):
        await case.engine.remove_network(name)
    await case.engine.remove(id, force=True)
    await case.engine.remove_network(name)
    await case.engine.remove_network(name)
    assert name not in {n.name for n in await case.engine.networks()}


async def test_a_network_without_ipv4_is_refused_by_an_engine_that_does_not_know_it(case: Case) -> None:
    network = NetworkSpec(key="six", name=f"{case.stack}_six", enable_ipv4=False)

    with pytest.raises(TooOld, match='network "six" has "enable_ipv4: false"'):
        await case.engine.create_network(network, {})


async def test_an_older_engine_creates_on_one_network_and_takes_the_others_after(case: Case) -> None:
    front, back = await case.network("front"), await case.network("back")
    id = await case.engine.create_container(case.request("web", networks=(front, back)))
    takes_all = (await case.engine.facts()).api_version >= (1, 44)

    assert (await case.engine.container(id)).networks == ({front, back} if takes_all else {front})
    await case.engine.connect(id, case.join(back, "web"))
    await case.engine.connect(id, case.join(back, "web"))
    assert (await case.engine.container(id)).networks == {front, back}
    await case.engine.start(id)
    await case.engine.connect(id, case.join(back, "web"))
    assert (await case.engine.container(id)).networks == {front, back}


async def test_a_running_container_has_an_address(case: Case) -> None:
    id = await case.run("web", networks=(await case.network("front"),))

    assert (await case.engine.container(id)).address.count(".") == 3


async def test_a_running_container_is_not_connected_to_what_is_not_there(case: Case) -> None:
    id = await case.run("web", networks=(await case.network("front"),))

    with pytest.raises(NotFound, match="network conf_nowhere not found"):
        await case.engine.connect(id, case.join("conf_nowhere"))


async def test_a_volume_is_made_once_and_says_whose_it_is(case: Case) -> None:
    name = await case.volume("data")
    await case.volume("data")

    (found,) = [v for v in await case.engine.volumes() if v.name == name]
    assert (found.stack, found.key, found.config, found.driver) == (case.stack, "data", Digest("beef"), "local")


async def test_a_volume_says_what_it_is_made_of_and_who_holds_it(case: Case) -> None:
    name = await case.volume("data")
    mounts = (Mount(type=MountType.VOLUME, source="data", target="/data"),)
    id = await case.engine.create_container(case.request("db", mounts=mounts, volumes={"data": name}))
    plain = await case.engine.volume(name)
    sized = await case.engine.volume(name, is_sized=True)
    await case.engine.remove(id)

    assert (plain.name, plain.driver, plain.labels[COMPOSE_VOLUME], plain.references) == (name, "local", "data", None)
    assert plain.created_at is not None
    assert sized.references == 1
    with pytest.raises(NotFound):
        await case.engine.volume(f"{name}x")


async def test_a_volume_in_use_is_kept(case: Case) -> None:
    name = await case.volume("data")
    mounts = (Mount(type=MountType.VOLUME, source="data", target="/data"),)
    id = await case.engine.create_container(case.request("db", mounts=mounts, volumes={"data": name}))

    with pytest.raises(Conflict, match="volume is in use"):
        await case.engine.remove_volume(name)
    await case.engine.remove(id)
    await case.engine.remove_volume(name)
    await case.engine.remove_volume(name)
    assert name not in {v.name for v in await case.engine.volumes()}


async def test_an_image_is_there_or_not(case: Case) -> None:
    found = await case.engine.image("orch/busybox:1")

    assert (found.ref, found.node) == ("orch/busybox:1", "n1")
    assert found.id.startswith("sha256:")
    assert await case.engine.image("orch/nobody-has-this:1") is None


async def test_a_pull_that_finds_nothing_says_so(case: Case) -> None:
    with pytest.raises((NotFound, Refused)) as caught:
        await case.engine.pull("orch/nobody-has-this:1")
    assert caught.value.what == 'can\'t pull image "orch/nobody-has-this:1"'
    assert caught.value.why
    assert caught.value.fix


async def test_an_image_is_built_from_nothing_and_removed(case: Case, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY hello /hello\nHEALTHCHECK CMD ["/hello"]\nVOLUME /data\n')
    (tmp_path / "hello").write_text("hi\n")
    ref, told = f"{case.stack}:1", []
    await case.engine.build(ref, Build(context=str(tmp_path), tags=(f"{case.stack}:2",)), progress=told.append)

    first, second = await case.engine.image(ref), await case.engine.image(f"{case.stack}:2")
    assert told
    assert second is not None
    if case.is_real:
        assert first.id == second.id
        assert (first.has_check, first.volumes) == (True, ("/data",))
    for tag in (ref, f"{case.stack}:2", ref):
        await case.engine.remove_image(tag)
    assert await case.engine.image(ref) is None


async def test_an_image_in_use_is_kept(case: Case) -> None:
    await case.engine.create_container(case.request("web"))

    with pytest.raises(Conflict, match="unable to remove"):
        await case.engine.remove_image("orch/busybox:1")
    assert await case.engine.image("orch/busybox:1") is not None


async def test_an_image_is_copied_from_engine_to_engine(case: Case, tmp_path: Path) -> None:
    """On real engines, the other one is the same daemon: the image is removed between the two steps."""
    ref = f"{case.stack}:copy"
    (tmp_path / "hello").write_text("hi")
    await case.engine.build(ref, Build(context=str(tmp_path), dockerfile_inline="FROM scratch\nCOPY hello /\n"))
    before = await case.engine.image(ref)
    pieces = [piece async for piece in case.engine.save(ref)]
    await case.engine.remove_image(ref)

    async def archive() -> Any:
        for piece in pieces:
            yield piece

    await case.other.load(archive())
    after = await case.other.image(ref)
    assert after == msgspec.structs.replace(before, node="n2", fetched_at=after.fetched_at)
    await case.other.remove_image(ref)


async def test_saving_what_is_not_there_is_not_found(case: Case) -> None:
    with pytest.raises(NotFound):
        await case.other.load(case.engine.save("orch/nobody-has-this:1"))


async def test_files_are_in_place_before_the_start(case: Case) -> None:
    command = ("sh", "-c", "stat -c '%u:%g %a %n' /run/secrets/key /etc/app/conf; cat /run/secrets/key; exec sleep 9")
    id = await case.engine.create_container(case.request("web", command=command))
    await case.engine.put_files(
        id,
        [
            UploadedFile(path="/run/secrets/key", content=b"hush\n", uid=1000, gid=1001, mode=0o440),
            UploadedFile(path="/etc/app/conf", content=b"x"),
        ],
    )
    if not case.is_real:
        assert case.engine.files(f"{case.stack}-web-1")["/run/secrets/key"].content == b"hush\n"
        return
    await case.engine.start(id)

    told = [line.text async for line in _first(case.engine.logs(id, follow=True), 3)]
    assert told == ["1000:1001 440 /run/secrets/key", "0:0 444 /etc/app/conf", "hush"]


async def test_files_reach_a_read_only_container(case: Case) -> None:
    grants = (FileGrant(source="key", target="/run/secrets/key"),)
    request = case.request("web", secrets=grants, host=HostOptions(read_only=True))
    id = await case.engine.create_container(request)
    await case.engine.put_files(id, [UploadedFile(path="/run/secrets/key", content=b"hush", mode=0o400)])
    await case.engine.start(id)

    if case.is_real:
        seen = await case.engine.exec(id, ["sh", "-c", "stat -c %a /run/secrets/key; cat /run/secrets/key"])
        assert seen.output == "400\nhush"
        assert "Read-only file system" in (await case.engine.exec(id, ["touch", "/x"])).output


async def test_files_for_a_container_that_is_gone_are_not_found(case: Case) -> None:
    with pytest.raises(NotFound):
        await case.engine.put_files("f" * 64, [UploadedFile(path="/a", content=b"")])


async def _first(lines: Any, count: int) -> Any:
    async for line in lines:
        yield line
        count -= 1
        if not count:
            break
    await lines.aclose()
