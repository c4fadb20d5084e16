"""What every engine promises of contents of volumes, and of the images that lie on a host."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from orchestrator.errors import NotFound, Refused
from orchestrator.model.spec import Mount, MountType

Case = Any

ROOT = "data"


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


ROWS = {"mode": 0o600, "uid": 999, "gid": 998, "mtime": 1_700_000_000}
TREE: list[tuple[tarfile.TarInfo, bytes]] = [
    (entry(ROOT, type=tarfile.DIRTYPE, mode=0o700, uid=999, gid=998), b""),
    (entry(f"{ROOT}/base", type=tarfile.DIRTYPE, mode=0o2750, uid=999, gid=998), b""),
    (entry(f"{ROOT}/base/rows", **ROWS), b"rows" * 100_000),
    (entry(f"{ROOT}/base/same", **ROWS, type=tarfile.LNKTYPE, linkname=f"{ROOT}/base/rows"), b""),
    (entry(f"{ROOT}/now", type=tarfile.SYMTYPE, linkname="base/rows", mode=0o777), b""),
    (entry(f"{ROOT}/out", type=tarfile.SYMTYPE, linkname="../../etc/passwd", mode=0o777), b""),
    (entry(f"{ROOT}/run", mode=0o4755), b"#!/bin/sh\n"),
    (entry(f"{ROOT}/täglich 1", mode=0o644), b""),
]


def tree() -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for made, content in TREE:
            made.size = len(content)
            tar.addfile(made, io.BytesIO(content))
    return whole.getvalue()


async def pieces(whole: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for begin in range(0, len(whole), size):
        yield whole[begin : begin + size]


def told(whole: bytes) -> Iterator[tuple[Any, ...]]:
    """All of an archive that matters, hard links by what they share."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        for found in sorted(tar, key=lambda found: found.name):
            data = tar.extractfile(found) if found.isreg() or found.islnk() else None
            link = found.linkname if found.issym() else ""
            yield found.name.rstrip("/"), found.mode & 0o7777, found.uid, found.gid, link, data.read() if data else b""


async def content_of(case: Case, name: str) -> bytes:
    return b"".join([piece async for piece in case.engine.read_volume(name)])


async def test_a_volume_comes_back_as_it_was_written(case: Case) -> None:
    name = await case.volume("data")
    await case.engine.write_volume(name, pieces(tree()))

    found = await content_of(case, name)
    assert list(told(found)) == list(told(tree()))
    with tarfile.open(fileobj=io.BytesIO(found)) as tar:
        names = {member.name: member for member in tar}
        assert sum(member.islnk() for member in names.values()) == 1
        assert names[f"{ROOT}/base/rows"].mtime == ROWS["mtime"]


async def test_what_one_volume_gives_another_takes(case: Case) -> None:
    one, two = await case.volume("one"), await case.volume("two")
    await case.engine.write_volume(one, pieces(tree()))
    await case.engine.write_volume(two, case.engine.read_volume(one))

    assert list(told(await content_of(case, two))) == list(told(tree()))


async def test_an_empty_volume_is_a_folder_and_nothing_else(case: Case) -> None:
    found = [name for name, *_ in told(await content_of(case, await case.volume("data")))]

    assert found == [ROOT]


async def test_a_volume_that_is_not_there_is_neither_read_nor_made(case: Case) -> None:
    with pytest.raises(NotFound):
        await content_of(case, "conf_nowhere")
    with pytest.raises(NotFound):
        await case.engine.write_volume("conf_nowhere", pieces(tree()))
    assert "conf_nowhere" not in {volume.name for volume in await case.engine.volumes()}


async def test_what_is_no_archive_is_refused(case: Case) -> None:
    name = await case.volume("data")

    with pytest.raises(Refused):
        await case.engine.write_volume(name, pieces(b"no archive at all" * 1000))
    await case.engine.remove_volume(name)


async def test_nothing_holds_a_volume_after_it_was_read_or_written(case: Case) -> None:
    name = await case.volume("data")
    await case.engine.write_volume(name, pieces(tree()))
    await content_of(case, name)

    await case.engine.remove_volume(name)
    assert name not in {volume.name for volume in await case.engine.volumes()}
    again = await case.volume("data")
    assert [path for path, *_ in told(await content_of(case, again))] == [ROOT]


async def test_a_copy_that_is_given_up_holds_nothing(case: Case) -> None:
    name = await case.volume("data")
    is_under_way = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield tree()[:5000]
        is_under_way.set()
        await asyncio.sleep(3600)

    writing = asyncio.ensure_future(case.engine.write_volume(name, endless()))
    await asyncio.wait_for(is_under_way.wait(), 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await _is_free(case, name)
    again = await case.volume("data")
    await case.engine.write_volume(again, pieces(tree()))
    reading = case.engine.read_volume(again)
    assert await anext(reading)
    await reading.aclose()

    await _is_free(case, again)


async def _is_free(case: Case, name: str) -> None:
    await case.engine.remove_volume(name)
    assert name not in {volume.name for volume in await case.engine.volumes()}


async def test_a_volume_is_read_while_a_container_has_it(case: Case) -> None:
    name = await case.volume("data")
    await case.engine.write_volume(name, pieces(tree()))
    mounts = (Mount(type=MountType.VOLUME, source="data", target="/var/lib/db"),)
    await case.run("db", mounts=mounts, volumes={"data": name})

    assert list(told(await content_of(case, name))) == list(told(tree()))
    assert [c.service for c in await case.engine.containers(case.stack)] == ["db"]


async def test_images_are_listed_by_all_their_names(case: Case) -> None:
    known = await case.engine.image("orch/busybox:1")
    for _ in range(2):
        await case.engine.tag("orch/busybox:1", f"{case.stack}:3")
    await case.engine.tag("orch/busybox:1", f"{case.stack}/plain")

    listed = {image.ref: image for image in await case.engine.images()}
    assert list(listed) == sorted(listed)
    for ref in ("orch/busybox:1", f"{case.stack}:3", f"{case.stack}/plain:latest"):
        found = listed[ref]
        assert (found.ref, found.id, found.node, found.size_bytes) == (ref, known.id, "n1", known.size_bytes)
        assert found.repo_digest == ""  # it never came from a registry
    assert known.size_bytes > 100_000
    assert (await case.engine.image(f"{case.stack}:3")).ref == f"{case.stack}:3"
    for ref in (f"{case.stack}:3", f"{case.stack}/plain:latest"):
        await case.engine.remove_image(ref)
    assert f"{case.stack}:3" not in {image.ref for image in await case.engine.images()}


async def test_what_is_not_there_gets_no_name(case: Case) -> None:
    with pytest.raises(NotFound):
        await case.engine.tag("orch/nobody-has-this:1", "orch/never:1")


async def test_an_image_that_no_registry_has_has_no_digest(case: Case) -> None:
    with pytest.raises((NotFound, Refused)) as caught:
        await case.engine.digest("orch/nobody-has-this:1")
    assert caught.value.what == 'can\'t ask the registry for image "orch/nobody-has-this:1"'
    assert caught.value.why
    assert caught.value.fix
