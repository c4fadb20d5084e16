"""Logs of many containers as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.engine import Behaviour
from orchestrator.engine.protocol import LogLine
from orchestrator.errors import UsageError
from orchestrator.model.names import ServiceName
from orchestrator.service.logs import TaggedLine, moment
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, eventually, made

AT = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def write(cluster: Cluster, name: str, *lines: tuple[float, str]) -> None:
    """Lines with their second after noon."""
    box = next(b for e in cluster.engines.values() for b in e._boxes.values() if b.name == name)
    box.lines += [LogLine(text=text, at=AT + timedelta(seconds=second)) for second, text in lines]


def told(lines: list[TaggedLine]) -> list[tuple[str, str]]:
    return [(tagged.container.name, tagged.line.text) for tagged in lines]


async def read(cluster: Cluster, *services: str, **window: Any) -> list[tuple[str, str]]:
    async with cluster.control() as control:
        return told([line async for line in control.logs(SHOP, services, **window)])


async def shop(*nodes: Any) -> Cluster:
    cluster = Cluster(*nodes)
    stack = made(
        {
            "web": {"network_mode": "none", "deploy": {"replicas": 2}},
            "db": {"image": "db:1", "network_mode": "none"},
        }
    )
    assert (await cluster.up(stack)).converged
    return cluster


async def test_lines_of_all_nodes_are_merged_by_their_time() -> None:
    cluster = await shop(N1, N2)
    write(cluster, "shop-web-1", (1, "a"), (4, "d"))
    write(cluster, "shop-web-2", (2, "b"))
    write(cluster, "shop-db-1", (3, "c"))

    assert await read(cluster) == [
        ("shop-web-1", "a"),
        ("shop-web-2", "b"),
        ("shop-db-1", "c"),
        ("shop-web-1", "d"),
    ]
    assert await read(cluster, "db", "web.2") == [("shop-web-2", "b"), ("shop-db-1", "c")]


async def test_tail_counts_per_container_and_a_window_is_a_window() -> None:
    cluster = await shop()
    write(cluster, "shop-web-1", (1, "a"), (2, "b"), (3, "c"))
    write(cluster, "shop-db-1", (2, "x"))

    assert await read(cluster, tail=1) == [("shop-db-1", "x"), ("shop-web-1", "c")]
    noon = AT.timestamp()
    assert await read(cluster, since=f"{noon + 2}", until=f"{noon + 2}") == [("shop-db-1", "x"), ("shop-web-1", "b")]


async def test_a_node_that_is_silent_leaves_the_lines_of_the_others() -> None:
    cluster = await shop(N1, N2)
    for name in ("shop-web-1", "shop-web-2"):
        write(cluster, name, (1, name))
    cluster.n2.unplug()

    assert {name for name, _ in await read(cluster)} == {
        c.name for c in await cluster.containers() if c.node == N1 and c.service == "web"
    }


class Following:
    """`orch logs -f`, read in the background."""

    def __init__(self, lines: AsyncIterator[TaggedLine]) -> None:
        self.lines: list[TaggedLine] = []
        self._stream = lines
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for line in self._stream:
            self.lines.append(line)

    async def __aenter__(self) -> Following:
        await asyncio.sleep(0.03)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)


async def test_follow_gives_what_is_and_what_comes_and_joins_newcomers() -> None:
    cluster = await shop()
    write(cluster, "shop-web-1", (1, "before"))
    cluster.behaves("shop-web-3", output=("hello",))
    async with cluster.control() as control:
        async with Following(control.logs(SHOP, ("web",), follow=True)) as following:
            write(cluster, "shop-web-1", (2, "after"))
            await eventually(lambda: len(following.lines) == 2)
            await cluster.run(lambda other: other.scale(SHOP, {ServiceName("web"): 3}))
            await eventually(lambda: len(following.lines) == 3)

        assert told(following.lines) == [
            ("shop-web-1", "before"),
            ("shop-web-1", "after"),
            ("shop-web-3", "hello"),
        ]
        assert [len(engine._listeners) for engine in cluster.engines.values()] == [0]


async def test_follow_tells_of_each_run_of_a_container_once() -> None:
    cluster = await shop()
    box = next(b for b in cluster.n1._boxes.values() if b.name == "shop-web-1")
    box.behaviour = Behaviour(output=("started",))
    async with cluster.control() as control, Following(control.logs(SHOP, ("web.1",), follow=True)) as following:
        for run in (1, 2, 3):
            await cluster.n1.stop(box_id(cluster))
            await cluster.n1.start(box_id(cluster))
            await eventually(lambda run=run: len(following.lines) == run)  # type: ignore[misc]  # bound now
        await asyncio.sleep(0.05)

    assert told(following.lines) == [("shop-web-1", "started")] * 3


def box_id(cluster: Cluster) -> Any:
    return next(b.id for b in cluster.n1._boxes.values() if b.name == "shop-web-1")


async def test_what_was_told_before_a_restart_was_noticed_is_not_told_again() -> None:
    """The restart is so quick that the reader of the first run goes on with the second."""
    cluster = await shop()
    box = next(b for b in cluster.n1._boxes.values() if b.name == "shop-web-1")
    box.behaviour = Behaviour(output=("started",))
    async with cluster.control() as control, Following(control.logs(SHOP, ("web.1",), follow=True)) as following:
        await cluster.n1.stop(box_id(cluster))
        await cluster.n1.start(box_id(cluster))
        await eventually(lambda: len(following.lines) == 1)
        await cluster.n1.stop(box_id(cluster))
        await asyncio.sleep(0.05)

    assert told(following.lines) == [("shop-web-1", "started")]


async def test_a_container_that_is_gone_at_once_ends_no_following() -> None:
    cluster = await shop()
    cluster.behaves("shop-web-3", output=("hello",))
    async with cluster.control() as control, Following(control.logs(SHOP, ("web",), follow=True)) as following:
        id = box_id(cluster)
        await cluster.n1.stop(id)
        await cluster.n1.start(id)
        del cluster.n1._boxes[id]
        await asyncio.sleep(0.03)
        await cluster.run(lambda other: other.scale(SHOP, {ServiceName("web"): 3}))

        await eventually(lambda: ("shop-web-3", "hello") in told(following.lines), within_s=0.8)


async def test_follow_survives_the_end_of_a_stream_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.service.logs.LISTEN_AGAIN_S", 0.01)
    cluster = await shop()
    async with cluster.control() as control, Following(control.logs(SHOP, follow=True)) as following:
        cluster.n1.unplug()
        await asyncio.sleep(0.02)
        cluster.n1.plug()
        await asyncio.sleep(0.05)
        box = next(b for b in cluster.n1._boxes.values() if b.name == "shop-db-1")
        box.behaviour = Behaviour(output=("again",))
        await cluster.n1.stop(box_id(cluster).__class__(box.id))
        await cluster.n1.start(box_id(cluster).__class__(box.id))

        await eventually(lambda: ("shop-db-1", "again") in told(following.lines))


async def test_a_mistake_of_ours_ends_the_following_and_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = await shop()

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(cluster.n1, "logs", broken)
    async with cluster.control() as control:
        following = Following(control.logs(SHOP, follow=True))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(following.reading, 1)


async def test_the_last_lines_of_one_container_for_a_failure() -> None:
    cluster = await shop()
    write(cluster, "shop-db-1", (1, "a"), (2, "b"), (3, "c"))
    async with cluster.control() as control:
        db = await cluster.container("shop-db-1")
        assert await control.log_tail("n1", db.id, 2) == ("b", "c")
        assert await control.log_tail("n1", "unknown", 2) == ()
        assert await control.log_tail("n9", db.id, 2) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("10m", AT - timedelta(minutes=10)),
        ("1h30m", AT - timedelta(minutes=90)),
        ("1.5s", AT - timedelta(seconds=1.5)),
        ("1767355200", AT),
        ("2026-01-02T12:00:00Z", AT),
        ("2026-01-02T13:00:00+01:00", AT),
    ],
)
def test_a_moment_is_written_as_docker_takes_it(text: str, expected: datetime | None) -> None:
    assert moment(text, AT) == expected


@pytest.mark.parametrize("text", ["yesterday", "10x", "m", "99999999999999999999"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        moment(text, AT)
