"""The digest of an archive changes with all that a volume is, and with nothing else."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.reconciler.inventory import HELD, Inventory

Members = list[tuple[tarfile.TarInfo, bytes]]


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in {"mode": 0o640, "uid": 999, "gid": 999, "size": len(content), **fields}.items():
        setattr(info, key, value)
    return info, content


def volume() -> Members:
    return [
        member("./", type=tarfile.DIRTYPE, mode=0o700),
        member("./a", b"one" * 300_000),
        member("./b", type=tarfile.LNKTYPE, linkname="./a"),
        member("./caf\udce9", b"\0" * 10),
        member("./s", type=tarfile.SYMTYPE, linkname="../caf\udce9"),
        member("./t", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("./" + "long/" * 60, b"x", pax_headers={"SCHILY.xattr.user.note": "kept"}),
    ]


def archive(members: Members, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


async def digest(whole: bytes, piece: int = 100_000) -> str:
    async with Inventory() as inventory:
        for start in range(0, len(whole), piece):
            await inventory.take(whole[start : start + piece])
        return await inventory.digest()


async def test_pieces_order_times_and_the_archive_s_form_do_not_matter() -> None:
    first = await digest(archive(volume()))
    late = volume()
    for info, _ in late:
        info.mtime = 1_700_000_000
    without = [(info, content) for info, content in volume() if not info.pax_headers]

    assert await digest(archive(late), piece=1_000) == first
    assert await digest(archive([*volume()[:4], *reversed(volume()[4:])])) == first
    assert await digest(archive(without, tarfile.GNU_FORMAT)) == await digest(archive(without))


def _set(at: int, **fields: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        for key, value in fields.items():
            setattr(members[at][0], key, value)

    return change


def _write(members: Members) -> None:
    members[1] = (members[1][0], b"two" * 300_000)


@pytest.mark.parametrize(
    "change",
    [
        _set(0, mode=0o755),
        _set(0, uid=0),
        _set(1, gid=0),
        _set(1, name="./aa"),
        _write,
        _set(2, linkname="./c"),
        _set(4, linkname="../cafe"),
        _set(5, devminor=5),
        _set(6, pax_headers={"SCHILY.xattr.user.note": "lost"}),
        lambda members: members.pop(3),
    ],
)
async def test_each_thing_that_a_volume_is_matters(change: Callable[[Members], object]) -> None:
    other = volume()
    change(other)

    assert await digest(archive(other)) != await digest(archive(volume()))


async def test_an_archive_that_ends_early_has_no_digest_and_leaves_no_thread_waiting() -> None:
    whole = archive(volume())
    with pytest.raises(tarfile.TarError):
        await digest(whole[: len(whole) // 2])
    with pytest.raises(tarfile.TarError):
        await digest(b"no archive at all" * 100)


async def test_who_gives_up_waits_for_nobody() -> None:
    whole = archive([member("./a", b"x" * 3_000_000)])
    async with asyncio.timeout(5):
        async with Inventory() as inventory:
            for _ in range(HELD * 4):
                await inventory.take(whole[:50_000])
