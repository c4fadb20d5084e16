"""Each call ends by its deadline, and takes nothing with it; the client agrees on a version once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from orchestrator.engine import connect
from orchestrator.errors import Refused, TooOld, Unreachable
from orchestrator.model.names import ContainerId, NodeName
from orchestrator.model.shared import NetworkSpec

NODE = NodeName("n1")
LISTED = {"Id": "a" * 64, "Labels": {}}


def inspected(id: str) -> dict[str, Any]:
    return {
        "Id": id,
        "Name": "/shop-web-1",
        "Config": {"Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}},
        "State": {"Status": "running", "Running": True},
    }


@pytest.mark.parametrize("way", ["hang", "drip"])
async def test_a_call_ends_at_its_deadline(counterfeit: Any, way: str) -> None:
    getattr(counterfeit, way)("/networks")
    engine = connect(NODE, counterfeit.endpoint, deadline_s=0.4)
    begun = time.monotonic()

    with pytest.raises(Unreachable, match=r"n1: can't list networks\n  why: no answer within 0\.4 s"):
        await engine.networks()
    assert 0.35 < time.monotonic() - begun < 0.9
    await engine.close()


async def test_a_first_call_to_a_hung_engine_ends_too(counterfeit: Any) -> None:
    counterfeit.hang("/version")
    engine = connect(NODE, counterfeit.endpoint, deadline_s=0.4)
    begun = time.monotonic()

    with pytest.raises(Unreachable):
        await engine.networks()
    assert time.monotonic() - begun < 0.9
    await engine.close()


async def test_hung_calls_leave_the_threads_free(counterfeit: Any) -> None:
    counterfeit.drip("/networks")
    counterfeit.say("/volumes", {"Volumes": []})
    engine = connect(NODE, counterfeit.endpoint, deadline_s=0.3)
    await asyncio.gather(*(engine.networks() for _ in range(20)), return_exceptions=True)

    assert await asyncio.gather(*(engine.volumes() for _ in range(20))) == [()] * 20
    await engine.close()


async def test_a_cancelled_call_frees_its_thread(counterfeit: Any) -> None:
    counterfeit.hang("/networks")
    engine = connect(NODE, counterfeit.endpoint, deadline_s=60)
    calls = [asyncio.ensure_future(engine.networks()) for _ in range(6)]
    await asyncio.sleep(0.3)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    counterfeit.say("/volumes", {"Volumes": []})
    assert await asyncio.wait_for(engine.volumes(), 2) == ()
    await engine.close()


async def test_ping_works_while_all_threads_wait(counterfeit: Any) -> None:
    counterfeit.hang("/networks")
    counterfeit.say("/_ping", "OK")
    engine = connect(NODE, counterfeit.endpoint, deadline_s=3)
    calls = [asyncio.ensure_future(engine.networks()) for _ in range(12)]
    await asyncio.sleep(0.2)

    await engine.ping(timeout_s=0.5)
    for call in calls:
        call.cancel()
    await engine.close()


async def test_ping_ends_at_its_own_deadline(counterfeit: Any) -> None:
    counterfeit.hang("/_ping")
    engine = connect(NODE, counterfeit.endpoint)
    begun = time.monotonic()

    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        await engine.ping(timeout_s=0.3)
    assert time.monotonic() - begun < 0.8
    await engine.close()


async def test_many_calls_share_few_connections_and_threads(counterfeit: Any) -> None:
    ids = [f"{number:064x}" for number in range(60)]
    counterfeit.say("/containers/json", [{**LISTED, "Id": id} for id in ids])
    for id in ids:
        counterfeit.say(f"/containers/{id}/json", inspected(id))
    engine = connect(NODE, counterfeit.endpoint)
    before = threading.active_count()
    found = await engine.containers()
    found = await engine.containers()

    assert sorted(container.id for container in found) == ids
    assert counterfeit.connections <= 6
    assert threading.active_count() - before <= 6 + counterfeit.connections  # ours, and the counterfeit's own
    await engine.close()


async def test_what_goes_while_it_is_listed_is_left_out(counterfeit: Any) -> None:
    ids = [f"{number:064x}" for number in range(3)]
    counterfeit.say("/containers/json", [{**LISTED, "Id": id} for id in ids])
    for id in ids[:2]:
        counterfeit.say(f"/containers/{id}/json", inspected(id))
    counterfeit.say(f"/containers/{ids[2]}/json", {"message": "No such container: x"}, "404 Not Found")
    engine = connect(NODE, counterfeit.endpoint)

    assert [container.id for container in await engine.containers()] == ids[:2]
    await engine.close()


async def test_close_ends_what_is_under_way(counterfeit: Any) -> None:
    counterfeit.hang("/networks")
    counterfeit.say("/info", {"ID": "x"})
    counterfeit.chunks("/events", ends=False)
    engine = connect(NODE, counterfeit.endpoint, deadline_s=60)
    call = asyncio.ensure_future(engine.networks())
    stream = asyncio.ensure_future(anext(engine.events()))
    await asyncio.sleep(0.3)
    await engine.close()

    for waiting in (call, stream):
        with pytest.raises(Unreachable):
            await asyncio.wait_for(waiting, 1)


async def test_the_end_of_a_stream_takes_no_connection_from_another_call(counterfeit: Any) -> None:
    """Its connection is back in the pool as soon as the engine has said all, and another call's by then."""
    frame = b"\x01\0\0\0\0\0\0\x06hello\n"
    counterfeit.say("/containers/abc/json", inspected("abc"))
    counterfeit.chunks("/containers/abc/logs", frame, ends=True)
    engine = connect(NODE, counterfeit.endpoint)
    lines = engine.logs(ContainerId("abc"))
    assert (await anext(lines)).text == "hello"
    await asyncio.sleep(0.1)
    counterfeit.later("/networks", [], after_s=0.3)
    listing = asyncio.create_task(engine.networks())
    await asyncio.sleep(0.1)
    await lines.aclose()

    assert await listing == ()
    assert counterfeit.connections == 1
    await engine.close()


async def test_a_broken_event_stream_is_unreachable(counterfeit: Any) -> None:
    event = {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "c1", "Attributes": {"dev.orch.stack": "shop", "exitCode": "3"}},
    }
    foreign = {"Type": "container", "Action": "die", "Actor": {"ID": "c2", "Attributes": {"exitCode": "3"}}}
    lines = b"".join(json.dumps(said).encode() + b"\n" for said in (foreign, event))
    counterfeit.say("/info", {"ID": "x"})
    counterfeit.chunks("/events", lines[:40], lines[40:], ends=True)
    engine = connect(NODE, counterfeit.endpoint)
    events = engine.events()

    first = await anext(events)
    assert (first.id, first.stack, first.kind, first.detail) == ("c1", "shop", "die", "3")
    with pytest.raises(Unreachable, match="the connection broke"):
        await anext(events)
    await engine.close()


async def test_the_event_stream_begins_when_it_is_asked_for(counterfeit: Any) -> None:
    counterfeit.say("/info", {"ID": "x"})
    counterfeit.chunks("/events", ends=True)
    engine = connect(NODE, counterfeit.endpoint)
    asked_at = time.time()
    with pytest.raises(Unreachable):
        await anext(engine.events())

    (target,) = [target for target in counterfeit.asked if "/events" in target]
    since = float(target.partition("since=")[2].partition("&")[0])
    assert asked_at - 0.1 < since < asked_at + 0.05
    await engine.close()


@pytest.mark.parametrize(
    ("version", "spoken"),
    [("1.30", "v1.30"), ("1.41", "v1.41"), ("1.49", "v1.49"), ("1.60", "v1.49")],
)
async def test_the_newest_common_version_is_spoken(counterfeit: Any, version: str, spoken: str) -> None:
    counterfeit.say("/version", {"ApiVersion": version, "MinAPIVersion": "1.24"})
    counterfeit.say("/networks", [])
    engine = connect(NODE, counterfeit.endpoint)
    await engine.networks()
    await engine.networks()

    assert counterfeit.asked == ["/version", f"/{spoken}/networks", f"/{spoken}/networks"]
    await engine.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"ApiVersion": "1.23", "MinAPIVersion": "1.12"}, "it speaks API 1.23, and orch needs 1.30"),
        ({"ApiVersion": "1.99", "MinAPIVersion": "1.90"}, "it speaks no API before 1.90, and orch knows 1.49"),
        ({"ApiVersion": "new"}, 'it says "new"'),
        ({}, "it speaks API 0.0, and orch needs 1.30"),
    ],
)
async def test_an_engine_of_another_age_is_refused(counterfeit: Any, answer: dict[str, str], why: str) -> None:
    counterfeit.say("/version", answer)
    engine = connect(NODE, counterfeit.endpoint)

    with pytest.raises(TooOld) as caught:
        await engine.networks()
    assert (caught.value.where, caught.value.why) == ("n1", why)
    await engine.close()


async def test_an_engine_that_was_replaced_by_an_older_one_is_asked_again(counterfeit: Any) -> None:
    counterfeit.say("/version", {"ApiVersion": "1.45"})
    message = "client version 1.45 is too new. Maximum supported API version is 1.41"
    counterfeit.say("/networks", {"message": message}, "400 Bad Request")
    engine = connect(NODE, counterfeit.endpoint)
    with pytest.raises(TooOld, match="too new"):
        await engine.networks()
    counterfeit.say("/version", {"ApiVersion": "1.41"})
    counterfeit.say("/networks", [])

    assert await engine.networks() == ()
    assert counterfeit.asked[-1] == "/v1.41/networks"
    await engine.close()


async def test_what_is_no_engine_is_told_apart(counterfeit: Any) -> None:
    counterfeit.send("/version", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    engine = connect(NODE, counterfeit.endpoint)

    with pytest.raises(Unreachable) as caught:
        await engine.networks()
    assert caught.value.where == "n1"
    await engine.close()


async def test_a_fault_of_our_own_is_not_the_engines(counterfeit: Any) -> None:
    counterfeit.say("/networks", [{"Labels": {}}])
    engine = connect(NODE, counterfeit.endpoint)

    with pytest.raises(KeyError):
        await engine.networks()
    await engine.close()


async def test_a_clock_that_differs_is_taken_off(counterfeit: Any) -> None:
    id = "c" * 64
    counterfeit.say("/info", {"ID": "x", "SystemTime": "2031-01-01T00:00:00Z"})
    answer = inspected(id)
    answer["State"] |= {"StartedAt": "2031-01-01T00:00:00.5Z"}
    counterfeit.say(f"/containers/{id}/json", answer)
    engine = connect(NODE, counterfeit.endpoint)
    await engine.facts()
    found = await engine.container(ContainerId(id))

    assert found.started_at is not None
    assert abs(found.started_at.timestamp() - time.time() - 0.5) < 0.3
    assert found.started_mark == "2031-01-01T00:00:00.5Z"
    await engine.close()


async def test_refused_uploads_say_why(counterfeit: Any) -> None:
    counterfeit.say("/networks/create", {"message": "boom"}, "500 Internal Server Error")
    engine = connect(NODE, counterfeit.endpoint)
    with pytest.raises(Refused, match='n1: can\'t create network "a"\n  why: boom'):
        await engine.create_network(NetworkSpec(key="a", name="a"), {})
    await engine.close()
