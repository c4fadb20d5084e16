"""What every engine promises of containers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from orchestrator.engine import Behaviour
from orchestrator.errors import Conflict, NotFound, Refused, TooOld
from orchestrator.model.cluster import ContainerState, Health, HeldPort, HeldVolume
from orchestrator.model.names import ContainerId, NodeName, ServiceName, SlotNumber
from orchestrator.model.spec import (
    Healthcheck,
    Mount,
    MountType,
    Port,
    RestartCondition,
    RestartPolicy,
)

Case = Any
EXITS_3 = {"command": ("sh", "-c", "exit 3"), "behaves": Behaviour(exits_after_s=0.0, exit_code=3)}


async def test_a_new_container_is_stopped_and_says_whose_it_is(case: Case) -> None:
    network = await case.network("net")
    id = await case.engine.create_container(case.request("web", slot=3, networks=(network,)))

    found = await case.engine.container(id)
    assert (found.id, found.node, found.name) == (id, NodeName("n1"), f"{case.stack}-web-3")
    assert (found.stack, found.service, found.slot) == (case.stack, ServiceName("web"), SlotNumber(3))
    assert (found.state, found.revision, found.config) == (ContainerState.CREATED, 7, "cafe")
    assert (found.started_at, found.started_mark) == (None, "0001-01-01T00:00:00Z")
    assert found.networks == {network}
    assert found.image == "orch/busybox:1"
    assert found.image_id == (await case.engine.image("orch/busybox:1")).id
    assert await case.engine.containers(case.stack) == (found,)


async def test_a_started_container_runs_and_its_times_are_ours(case: Case) -> None:
    before = datetime.now(UTC)
    id = await case.run("web")

    found = await case.engine.container(id)
    assert found.is_running
    assert found.is_ready
    assert timedelta(0) <= found.started_at - before < timedelta(seconds=10)
    assert found.finished_at is None


async def test_starting_what_runs_is_no_error_and_no_new_run(case: Case) -> None:
    id = await case.run("web")
    mark = (await case.engine.container(id)).started_mark

    await case.engine.start(id)
    assert (await case.engine.container(id)).started_mark == mark


async def test_each_run_has_a_mark_of_its_own(case: Case) -> None:
    id = await case.run("web")
    first = (await case.engine.container(id)).started_mark
    await case.engine.stop(id)
    await case.engine.start(id)

    assert (await case.engine.container(id)).started_mark != first


async def test_only_the_stack_that_is_asked_for_is_listed(case: Case) -> None:
    await case.engine.create_container(case.request("web"))
    await case.engine.create_container(case.request("db"))

    assert [c.service for c in await case.engine.containers(case.stack)] == ["db", "web"]
    assert await case.engine.containers("another") == ()
    everything = await case.engine.containers()
    assert {c.service for c in everything if c.stack == case.stack} == {"db", "web"}


async def test_a_taken_name_is_a_conflict(case: Case) -> None:
    await case.engine.create_container(case.request("web"))

    with pytest.raises(Conflict) as caught:
        await case.engine.create_container(case.request("web"))
    assert f'"/{case.stack}-web-1" is already in use' in caught.value.why
    assert caught.value.where == "n1"


async def test_a_missing_image_is_not_found(case: Case) -> None:
    with pytest.raises(NotFound) as caught:
        await case.engine.create_container(case.request("web", image="orch/nobody-has-this:1"))
    assert caught.value.why == "No such image: orch/nobody-has-this:1"
    assert "pull it" in caught.value.fix


async def test_a_missing_network_is_refused_at_the_start(case: Case) -> None:
    id = await case.engine.create_container(case.request("web", networks=("conf_nowhere",)))

    with pytest.raises(Refused, match="network conf_nowhere not found"):
        await case.engine.start(id)
    found = await case.engine.container(id)
    assert (found.state, found.error) == (ContainerState.CREATED, "network conf_nowhere not found")


async def test_a_container_that_has_run_starts_on_its_very_network_and_on_no_other_of_that_name(case: Case) -> None:
    name = await case.network("front")
    id = await case.engine.create_container(case.request("web", networks=(name,)))
    assert (await case.engine.container(id)).network_ids == {}
    await case.engine.start(id)
    (first,) = [network.id for network in await case.engine.networks() if network.name == name]
    assert (await case.engine.container(id)).network_ids == {name: first}

    await case.engine.stop(id)
    await case.engine.remove_network(name)
    await case.network("front")
    with pytest.raises(Refused, match=f"network {first} not found"):
        await case.engine.start(id)


async def test_a_missing_named_volume_is_made_by_the_engine(case: Case) -> None:
    """The engine has no word against it: that is why the planner makes volumes itself, and never this way."""
    mounts = (Mount(type=MountType.VOLUME, source="data", target="/data"),)
    name = f"{case.stack}_data"
    id = await case.engine.create_container(case.request("db", mounts=mounts, volumes={"data": name}))

    assert (await case.engine.container(id)).volumes == (HeldVolume(name=name, target="/data"),)
    assert [v.stack for v in await case.engine.volumes() if v.name == name] == [""]


async def test_anonymous_volumes_are_inherited(case: Case) -> None:
    mounts = (Mount(type=MountType.VOLUME, target="/data"),)
    old = await case.engine.create_container(case.request("db", mounts=mounts))
    held = (await case.engine.container(old)).volumes
    request = msgspec.structs.replace(case.request("db", slot=2, mounts=mounts), inherits=held)
    new = await case.engine.create_container(request)

    assert [v.target for v in held] == ["/data"]
    assert (await case.engine.container(new)).volumes == held

    await case.engine.remove(old)
    await case.engine.remove(new, volumes=True)
    assert held[0].name not in {volume.name for volume in await case.engine.volumes()}


async def test_anonymous_volumes_go_only_when_asked(case: Case) -> None:
    mounts = (
        Mount(type=MountType.VOLUME, target="/cache"),
        Mount(type=MountType.VOLUME, source="data", target="/data"),
    )
    named = await case.volume("data")
    ids = [
        await case.engine.create_container(case.request("db", slot=slot, mounts=mounts, volumes={"data": named}))
        for slot in (1, 2)
    ]
    anonymous = [(await case.engine.container(id)).volumes[0].name for id in ids]
    await case.engine.remove(ids[0])
    await case.engine.remove(ids[1], volumes=True)

    left = {volume.name for volume in await case.engine.volumes()}
    assert left & {*anonymous, named} == {anonymous[0], named}
    await case.engine.remove_volume(anonymous[0])


async def test_a_port_that_is_taken_is_refused_with_the_engines_reason(case: Case) -> None:
    ports = (Port(target=80, published="18099"),)
    await case.run("web", ports=ports)
    second = await case.engine.create_container(case.request("api", ports=ports))

    with pytest.raises(Refused, match="port is already allocated") as caught:
        await case.engine.start(second)
    assert (
        caught.value.fix == "another container or program on this host has the port: stop it, or publish another port"
    )
    found = await case.engine.container(second)
    assert found.state is ContainerState.CREATED
    assert "port is already allocated" in found.error
    assert found.ports == ()


async def test_only_running_containers_hold_ports(case: Case) -> None:
    id = await case.engine.create_container(case.request("web", ports=(Port(target=80, published="18098"),)))
    held_before = await case.engine.held_ports(besides="another")
    await case.engine.start(id)
    held = await case.engine.held_ports(besides="another")

    assert (18098, "tcp", "") not in held_before
    assert (18098, "tcp", "") in held
    assert (18098, "tcp", "") not in await case.engine.held_ports(besides=case.stack)
    assert (await case.engine.container(id)).ports == (HeldPort(port=18098, target=80),)


async def test_the_engine_chooses_a_port_where_none_is_named(case: Case) -> None:
    id = await case.run("web", ports=(Port(target=80, host_ip="127.0.0.1"),))

    (port,) = (await case.engine.container(id)).ports
    assert port.port > 1024
    assert (port.protocol, port.host_ip) == ("tcp", "127.0.0.1")


async def test_a_published_range_gives_each_slot_its_port(case: Case) -> None:
    ports = (Port(target=80, published="18101-18102"),)
    ids = [await case.run("web", slot=slot, ports=ports) for slot in (1, 2)]

    assert [(await case.engine.container(id)).ports for id in ids] == [
        (HeldPort(port=18101, target=80),),
        (HeldPort(port=18102, target=80),),
    ]
    with pytest.raises(Refused, match=r'no port in the range "18101-18102" is left for "web\.3"'):
        await case.engine.create_container(case.request("web", slot=3, ports=ports))


async def test_an_exit_code_is_kept(case: Case) -> None:
    id = await case.run("job", **EXITS_3)

    found = await case.until(id, lambda c: c.has_ended)
    assert (found.state, found.exit_code, found.error) == (ContainerState.EXITED, 3, "")
    assert found.started_at is not None
    assert found.finished_at is not None
    apart_s = abs((found.finished_at - found.started_at).total_seconds())
    assert apart_s < 1  # the engine notes the start after the process runs: one that ends at once may end "before" it


async def test_the_engine_restarts_by_its_policy_and_counts(case: Case) -> None:
    policy = RestartPolicy(condition=RestartCondition.ON_FAILURE, max_attempts=2)
    id = await case.run("job", restart=policy, **EXITS_3)

    found = await case.until(id, lambda c: c.has_ended and c.restart_count == 2)
    assert found.exit_code == 3


async def test_health_goes_from_starting_to_healthy(case: Case) -> None:
    check = Healthcheck(test=("CMD", "true"), interval_s=0.3)
    id = await case.run("web", healthcheck=check)

    found = await case.engine.container(id)
    assert (found.health, found.is_ready) == (Health.STARTING, False)
    assert found.check == ("CMD", "true")
    assert (await case.until(id, lambda c: c.health is not Health.STARTING)).is_ready


async def test_a_failing_check_ends_unhealthy(case: Case) -> None:
    check = Healthcheck(test=("CMD-SHELL", "echo down; exit 1"), interval_s=0.2, retries=1)
    id = await case.run("web", healthcheck=check, behaves=Behaviour(healthy_after_s=99, unhealthy_after_s=0.2))

    found = await case.until(id, lambda c: c.health is Health.UNHEALTHY)
    assert found.is_running
    if case.is_real:
        assert found.health_log == "down"


async def test_a_stopped_container_with_a_check_is_unhealthy(case: Case) -> None:
    """Odd, but so it is: nobody may take "unhealthy" of a container that does not run for a failure."""
    check = Healthcheck(test=("CMD", "true"), interval_s=0.2)
    id = await case.run("web", healthcheck=check)
    await case.until(id, lambda c: c.health is Health.HEALTHY)
    await case.engine.stop(id)

    assert (await case.engine.container(id)).health is Health.UNHEALTHY


async def test_no_check_is_no_health(case: Case) -> None:
    id = await case.run("web", healthcheck=Healthcheck(test=("NONE",)))

    found = await case.engine.container(id)
    assert (found.health, found.check) == (Health.NONE, ())


async def test_stop_gives_the_program_its_grace(case: Case) -> None:
    command = ("sh", "-c", "trap 'sleep 0.5; exit 5' TERM; while :; do sleep 0.05; done")
    id = await case.run("web", command=command, behaves=Behaviour(stops_in_s=0.5, stop_code=5))
    await asyncio.sleep(0.2)
    await case.engine.stop(id, grace_s=8)

    found = await case.engine.container(id)
    assert (found.state, found.exit_code) == (ContainerState.EXITED, 5)


async def test_stop_kills_after_the_grace(case: Case) -> None:
    command = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    id = await case.run("web", command=command, behaves=Behaviour(stops_in_s=60))
    await asyncio.sleep(0.2)
    begun = asyncio.get_running_loop().time()
    await case.engine.stop(id, grace_s=1)

    assert asyncio.get_running_loop().time() - begun < 6
    assert (await case.engine.container(id)).exit_code == 137


async def test_stop_uses_the_containers_own_grace_and_signal(case: Case) -> None:
    command = ("sh", "-c", "trap '' TERM; trap 'exit 6' USR1; while :; do sleep 0.05; done")
    behaves = Behaviour(stop_code=6)
    id = await case.run("web", command=command, behaves=behaves, stop_signal="SIGUSR1", stop_grace_period_s=9.0)
    await asyncio.sleep(0.2)
    await case.engine.stop(id)

    assert (await case.engine.container(id)).exit_code == 6


async def test_stopping_what_is_stopped_is_no_error(case: Case) -> None:
    id = await case.run("web")
    await case.engine.stop(id)
    await case.engine.stop(id)

    assert (await case.engine.container(id)).state is ContainerState.EXITED


async def test_kill_ends_it_and_killing_again_is_no_error(case: Case) -> None:
    id = await case.run("web")
    await case.engine.kill(id)
    found = await case.until(id, lambda c: c.has_ended)
    await case.engine.kill(id)

    assert found.exit_code == 137
    with pytest.raises(Conflict, match="is not running"):
        await case.engine.kill(id, signal="SIGHUP")


async def test_a_running_container_is_removed_only_by_force(case: Case) -> None:
    id = await case.run("web")

    with pytest.raises(Conflict):
        await case.engine.remove(id)
    await case.engine.remove(id, force=True)
    await case.engine.remove(id, force=True)
    with pytest.raises(NotFound):
        await case.engine.container(id)


@pytest.mark.parametrize("call", ["start", "stop", "kill", "container"])
async def test_what_is_gone_is_not_found(case: Case, call: str) -> None:
    with pytest.raises(NotFound) as caught:
        await getattr(case.engine, call)(ContainerId("f" * 64))
    assert caught.value.why.lower().endswith(f"no such container: {'f' * 64}")


async def test_rename_gives_the_new_name_and_repeats(case: Case) -> None:
    id = await case.engine.create_container(case.request("web"))
    await case.engine.create_container(case.request("api"))
    await case.engine.rename(id, f"{case.stack}-web-9")
    await case.engine.rename(id, f"{case.stack}-web-9")

    assert (await case.engine.container(id)).name == f"{case.stack}-web-9"
    with pytest.raises(Conflict, match="already in use"):
        await case.engine.rename(id, f"{case.stack}-api-1")


async def test_a_namespace_of_another_container_is_seen(case: Case) -> None:
    first = await case.run("web")
    request = msgspec.structs.replace(case.request("side"), network_mode=f"container:{first}")
    second = await case.engine.create_container(request)

    found = await case.engine.container(second)
    assert found.borrows == {first}
    assert found.networks == frozenset()


async def test_an_older_engine_refuses_by_name_what_it_does_not_know(case: Case) -> None:
    check = Healthcheck(test=("CMD", "true"), start_interval_s=0.1)
    api = (await case.engine.facts()).api_version

    if api >= (1, 44):
        await case.engine.create_container(case.request("web", healthcheck=check))
        return
    with pytest.raises(TooOld, match=r'service "web" has "healthcheck.start_interval"') as caught:
        await case.engine.create_container(case.request("web", healthcheck=check))
    assert caught.value.where == "n1"
    assert "install Docker Engine 25.0 or later" in caught.value.fix
