"""One operation, the engine calls that it is, and what the observer knows afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.errors import Conflict, NoSuchThing, Refused, Unreachable
from orchestrator.model.cluster import ContainerState, HeldVolume
from orchestrator.model.names import REPLACES, ContainerId, Digest, ServiceName, SlotNumber, content_digest
from orchestrator.model.operations import (
    AnyOperation,
    BuildImage,
    ConnectNetwork,
    CopyImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RemoveVolume,
    RenameContainer,
    StartContainer,
    StopContainer,
)
from orchestrator.model.shared import FileSpec
from orchestrator.model.spec import FileGrant, StackSpec
from orchestrator.planner import network_hash, volume_hash
from orchestrator.reconciler.events import OperationDone, OperationFailed, OperationProgressed, OperationStarted
from tests.reconciler.cluster import N1, N2, SHOP, Cluster, Run, changes, made, only, running

WEB, ONE = ServiceName("web"), SlotNumber(1)
ID = ContainerId("not known here")


def stack() -> StackSpec:
    return made(
        {"web": {"networks": {"front": {"aliases": ["www"]}, "back": None}, "volumes": ["data:/data"]}},
        networks={"front": {"labels": {"a": "b"}}, "back": {}},
        volumes={"data": {}},
    )


async def carry_out(cluster: Cluster, run: Run, operation: AnyOperation) -> list[str]:
    """The mutating calls that it made, on all nodes."""
    before = {node: len(changes(engine)) for node, engine in cluster.engines.items()}
    await run.executor.run(run.loop.intent, operation)
    new = [call for node, engine in cluster.engines.items() for call in changes(engine)[before[node] :]]
    return [f"{call} {subject}" for call, subject in new]


def on_container(kind: Callable[..., AnyOperation], id: str, **fields: object) -> AnyOperation:
    return kind(node=N1, cause="so", service=WEB, slot=ONE, container=ContainerId(id), name="shop-web-1", **fields)


def create(**fields: object) -> CreateContainer:
    return CreateContainer(
        node=N1,
        cause="so",
        service=WEB,
        slot=ONE,
        name="shop-web-1",
        config=Digest("c0ffee"),
        **fields,  # type: ignore[arg-type]  # its own fields
    )


async def test_networks_and_volumes_are_made_with_the_labels_by_which_they_are_known() -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        net = CreateNetwork(node=N1, name="shop_front", key="front", cause="so")
        vol = CreateVolume(node=N1, name="shop_data", key="data", cause="so")
        assert await carry_out(cluster, run, net) == ["create_network shop_front"]
        assert await carry_out(cluster, run, vol) == ["create_volume shop_data"]

        state = run.observer.state()
        assert [(n.stack, n.key, n.config) for n in state.networks if n.stack] == [
            (SHOP, "front", network_hash(stack().networks["front"]))
        ]
        assert [(v.stack, v.key, v.config) for v in state.volumes] == [
            (SHOP, "data", volume_hash(stack().volumes["data"]))
        ]
        assert (state.homes, run.homes) == ({"shop_data": N1}, [("shop_data", N1)])

        gone = RemoveVolume(node=N1, name="shop_data", key="data", cause="so")
        assert await carry_out(cluster, run, gone) == ["remove_volume shop_data"]
        assert await carry_out(cluster, run, RemoveNetwork(node=N1, name="shop_front", cause="so")) == [
            "remove_network shop_front"
        ]
        assert (run.observer.state().homes, run.homes[-1]) == ({}, ("shop_data", None))
        assert [n.name for n in run.observer.state().networks if n.stack] == []


async def test_a_container_is_made_with_every_name_turned_into_the_engines() -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        held = HeldVolume(name="old", target="/cache")
        assert await carry_out(cluster, run, create(replaces="abc", inherits=(held,))) == [
            "create_container shop-web-1"
        ]

        request = next(iter(cluster.n1._boxes.values())).request
        assert request.volumes == {"data": "shop_data"}
        assert [(join.name, join.aliases) for join in request.networks] == [
            ("shop_back", ("web", "web-1")),
            ("shop_front", ("web", "web-1", "www")),
        ]
        assert request.inherits == (held,)
        assert request.labels[REPLACES] == "abc"
        c = run.observer.state().containers[0]
        assert (c.name, c.state, c.config, c.revision) == ("shop-web-1", ContainerState.CREATED, "c0ffee", 1)


async def test_the_life_of_a_container_is_one_call_each() -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        for name in ("shop_front", "shop_back"):
            await carry_out(cluster, run, CreateNetwork(node=N1, name=name, key=name[5:], cause="so"))
        await carry_out(cluster, run, create())
        id = run.observer.state().containers[0].id
        steps = [
            on_container(ConnectNetwork, id, network="shop_front"),
            on_container(StartContainer, id),
            on_container(RenameContainer, id, to="other"),
            on_container(StopContainer, id, grace_s=1.0),
            on_container(RemoveContainer, id),
        ]
        calls, seen = [], []
        for step in steps:
            calls += await carry_out(cluster, run, step)
            seen.append([(c.name, c.state) for c in run.observer.state().containers])

    assert calls == ["connect shop-web-1", "start shop-web-1", "rename shop-web-1", "stop other", "remove other"]
    assert seen[1:] == [
        [("shop-web-1", ContainerState.RUNNING)],
        [("other", ContainerState.RUNNING)],
        [("other", ContainerState.EXITED)],
        [],
    ]
    assert run.observer.busy == set()


async def test_secrets_and_configs_are_put_in_place_before_each_start() -> None:
    """Also before a second one: the layer of a container may have been changed by its program."""
    cluster = Cluster()
    secret, config = b"s3cret", b"[server]"
    web = replace(
        made({"web": None}).services[WEB],
        secrets=(FileGrant(source="pw", target="/run/secrets/pw", uid="5", gid="6", mode=0o400),),
        configs=(FileGrant(source="ini", target="/etc/app.ini"),),
        network_mode="none",
        networks=(),
    )
    whole = replace(
        made({"web": None}),
        services={WEB: web},
        secrets={"pw": FileSpec(key="pw", name="shop_pw", digest=content_digest(secret))},
        configs={"ini": FileSpec(key="ini", name="shop_ini", digest=content_digest(config))},
    )
    async with running(cluster, whole) as run:
        run.contents = {content_digest(c): c for c in (secret, config)}
        assert (await run.until_end()).converged
        id = run.observer.state().containers[0].id
        await carry_out(cluster, run, on_container(StopContainer, id))
        assert await carry_out(cluster, run, on_container(StartContainer, id)) == [
            "put_files shop-web-1",
            "start shop-web-1",
        ]

    files = {path: (f.content, f.uid, f.gid, f.mode) for path, f in cluster.n1.files("shop-web-1").items()}
    assert files == {"/run/secrets/pw": (secret, 5, 6, 0o400), "/etc/app.ini": (config, 0, 0, 0o444)}


async def test_images_come_by_pull_by_build_or_from_a_neighbour(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    cluster = Cluster(N1, N2)
    cluster.n1.offers("new:1")
    web = {"image": "new:1", "build": {"context": str(tmp_path)}}
    async with running(cluster, made({"web": web})) as run:
        image = {"ref": "new:1", "service": WEB, "cause": "so"}
        assert await carry_out(cluster, run, PullImage(node=N1, **image)) == ["pull new:1"]
        assert await carry_out(cluster, run, CopyImage(node=N2, source=N1, **image)) == ["load new:1"]
        assert {(i.node, i.id) for i in run.observer.state().images} == {
            (N1, cluster.n1.held_images["new:1"].id),
            (N2, cluster.n1.held_images["new:1"].id),
        }
        assert await carry_out(cluster, run, BuildImage(node=N2, **image)) == ["build new:1"]
        assert run.observer.state().fresh_images == {"n1/new:1", "n2/new:1"}

    assert [e.text for e in only(cluster.events, OperationProgressed)] == ["pulling new:1", "building new:1"]


async def test_each_operation_is_told_when_it_begins_and_how_it_ended() -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        good = CreateNetwork(node=N1, name="shop_front", key="front", cause="so")
        bad = CreateNetwork(node=N1, name="shop_back", key="back", cause="so")
        await carry_out(cluster, run, good)
        cluster.n1.fail("create_network", Conflict("no", why="subnet overlaps", fix="take another"))
        await carry_out(cluster, run, bad)

    assert [(type(e), e.operation) for e in cluster.events] == [  # type: ignore[attr-defined]  # all are of operations
        (OperationStarted, good),
        (OperationDone, good),
        (OperationStarted, bad),
        (OperationFailed, bad),
    ]
    failure = run.observer.failures[bad.target]
    assert (failure.what, failure.why, failure.fix, failure.temporary, failure.count) == (
        "no",
        "subnet overlaps",
        "take another",
        False,
        1,
    )


async def test_failures_of_one_target_are_counted_until_it_works() -> None:
    cluster = Cluster()
    net = CreateNetwork(node=N1, name="shop_front", key="front", cause="so")
    async with running(cluster, stack()) as run:
        for count in (1, 2):
            cluster.n1.fail("create_network", Unreachable("no answer"))
            await carry_out(cluster, run, net)
            assert (run.observer.failures[net.target].count, run.observer.failures[net.target].temporary) == (
                count,
                True,
            )
        await carry_out(cluster, run, net)
        assert run.observer.failures == {}


async def test_after_a_refused_start_the_container_is_looked_at_again() -> None:
    cluster = Cluster()
    async with running(cluster, made({"web": {"network_mode": "none"}})) as run:
        cluster.behaves("web", refuses_start="exec: not found")
        await carry_out(cluster, run, create())
        id = run.observer.state().containers[0].id
        await carry_out(cluster, run, on_container(StartContainer, id))

        assert run.observer.state().containers[0].error == "exec: not found"
        assert run.observer.busy == set()


async def test_an_operation_on_a_container_that_is_gone_fails_and_it_is_forgotten() -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        await carry_out(cluster, run, create())
        id = run.observer.state().containers[0].id
        run.observer.busy.add(id)
        del cluster.n1._boxes[id]
        await carry_out(cluster, run, on_container(StartContainer, id))

        assert run.observer.state().containers == ()
        assert only(cluster.events, OperationFailed)[0].temporary is False


async def test_a_content_that_the_store_does_not_have_is_a_failure_of_the_start() -> None:
    cluster = Cluster()

    async def lost(_: Digest) -> bytes:
        raise NoSuchThing('the store has no content "abc"', fix='run "orch up" again')

    web = replace(made({"web": None}).services[WEB], secrets=(FileGrant(source="pw", target="/pw"),))
    whole = replace(
        made({"web": None}),
        services={WEB: web},
        secrets={"pw": FileSpec(key="pw", name="shop_pw", digest=content_digest(b"x"))},
    )
    async with running(cluster, whole) as run:
        run.executor._contents = lost
        verdict = await run.until_end()

    assert [(b.subject, b.reason, b.fix) for b in verdict.blocked] == [
        ("web.1", 'the store has no content "abc"', 'run "orch up" again')
    ]
    assert not [call for call, _ in changes(cluster.n1) if call == "start"]


async def test_who_lives_in_the_namespace_of_another_is_made_after_that_one() -> None:
    cluster = Cluster()
    whole = made({"db": {"image": "db:1"}, "web": {"network_mode": "service:db"}, "app": {"pid": "service:web"}})
    async with running(cluster, whole) as run:
        assert (await run.until_end()).converged

    db, web, app = [await cluster.container(f"shop-{name}-1") for name in ("db", "web", "app")]
    assert (web.borrows, app.borrows) == ({db.id}, {web.id})


@pytest.mark.parametrize("error", [Refused("can't"), Unreachable("can't")])
async def test_no_failure_of_an_engine_comes_out_of_the_executor(error: Exception) -> None:
    cluster = Cluster()
    async with running(cluster, stack()) as run:
        cluster.n1.fail("*", error, times=3)  # type: ignore[arg-type]  # an EngineError
        await carry_out(cluster, run, create())

    assert [e.what for e in only(cluster.events, OperationFailed)] == ["can't"]
