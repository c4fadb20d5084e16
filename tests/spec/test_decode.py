"""The canonical project as typed values: what each key becomes."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.model import options, shared
from orchestrator.model import spec as model
from orchestrator.model.names import Digest, content_digest
from orchestrator.spec import load


def _service(folder: Any, keys: str, top: str = "", **more: Any) -> model.ServiceSpec:
    indented = "\n".join(f"    {line}" for line in keys.split("\n"))
    folder.write(f"services:\n  b: {{image: b}}\n  web:\n{indented}\n{top}\n")
    found: model.ServiceSpec = folder.load(**more).stack.services["web"]
    return found


def test_a_service_that_is_only_built_has_an_image_of_its_own(folder: Any) -> None:
    web = _service(folder, "build: {context: ./app, target: t, args: {A: 1}, platforms: [linux/arm64]}")

    assert web.image == "shop-web"
    assert web.build == model.Build(
        context=str(folder.path / "app"), dockerfile="Dockerfile", target="t", args={"A": "1"}, platform="linux/arm64"
    )


def test_keys_of_daily_work_become_typed_values(folder: Any) -> None:
    web = _service(
        folder,
        """image: i
command: run it
environment: {A: 1, B: }
ports: ["127.0.0.1:8080:80/udp"]
volumes: ["data:/d:ro,nocopy", "./x:/x:z", {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 01777}}]
tmpfs: ["/run:size=2k,mode=755"]
networks: {front: {aliases: [w], priority: 2}, back: }
healthcheck: {test: curl x, interval: 1m30s, retries: 2}
stop_grace_period: 1500ms
restart: on-failure:3
init: true
ulimits: {nofile: {soft: 1, hard: 2}}
cap_add: [NET_ADMIN]
extra_hosts: {db: 1.2.3.4}
logging: {driver: local, options: {max-size: 1}}
devices: ["/dev/a:/dev/b:r"]
depends_on: {b: {condition: service_healthy, restart: true, required: false}}""",
        "networks: {front: , back: }\nvolumes: {data: }",
    )

    assert web.command == ("run", "it")
    assert web.environment == {"A": "1", "B": None}
    assert web.ports == (model.Port(target=80, published="8080", host_ip="127.0.0.1", protocol="udp"),)
    assert web.mounts == (
        model.Mount(type=model.MountType.VOLUME, source="data", target="/d", read_only=True, nocopy=True),
        model.Mount(type=model.MountType.BIND, source=str(folder.path / "x"), target="/x", selinux="z"),
        model.Mount(type=model.MountType.TMPFS, target="/t", size_bytes=2**20, mode=0o1777),
        model.Mount(type=model.MountType.TMPFS, target="/run", size_bytes=2048, mode=0o755),
    )
    assert web.networks == (
        model.Attachment(network="front", aliases=("w",), priority=2),
        model.Attachment(network="back"),
    )
    assert web.healthcheck == model.Healthcheck(test=("CMD-SHELL", "curl x"), interval_s=90.0, retries=2)
    assert web.stop_grace_period_s == 1.5
    assert web.restart == model.RestartPolicy(condition=model.RestartCondition.ON_FAILURE, max_attempts=3)
    assert web.depends_on == {"b": model.Dependency(condition=model.Condition.HEALTHY, restart=True, required=False)}
    assert web.host == options.HostOptions(
        init=True,
        ulimits={"nofile": options.Ulimit(soft=1, hard=2)},
        cap_add=("NET_ADMIN",),
        extra_hosts=("db:1.2.3.4",),
        logging=options.Logging(driver="local", options={"max-size": "1"}),
        devices=(options.Device(source="/dev/a", target="/dev/b", permissions="r"),),
    )


@pytest.mark.parametrize(
    "keys",
    [
        "mem_limit: 1g\nmem_reservation: 512m\ncpus: 0.5\npids_limit: 10",
        "deploy: {resources: {limits: {memory: 1g, cpus: '0.5', pids: 10}, reservations: {memory: 512m}}}",
    ],
)
def test_old_and_new_limits_are_the_same(folder: Any, keys: str) -> None:
    web = _service(folder, "image: i\n" + keys)

    assert web.resources == model.Resources(
        nano_cpus=500_000_000, memory_bytes=2**30, pids=10, reserved_memory_bytes=2**29
    )


@pytest.mark.parametrize(
    ("deploy", "mode", "replicas", "update", "restart"),
    [
        ("{}", "replicated", 1, (1, "auto"), "no"),
        ("{replicas: 3, update_config: {parallelism: 0, order: stop-first}}", "replicated", 3, (0, "stop-first"), "no"),
        ("{mode: global, restart_policy: {condition: any}}", "global", 1, (1, "auto"), "always"),
        ("{restart_policy: {condition: none}}", "replicated", 1, (1, "auto"), "no"),
        ("{restart_policy: {condition: on-failure, max_attempts: 2}}", "replicated", 1, (1, "auto"), "on-failure"),
    ],
)
def test_deploy_says_how_many_and_how(
    folder: Any, deploy: str, mode: str, replicas: int, update: tuple[int, str], restart: str
) -> None:
    web = _service(folder, f"image: i\ndeploy: {deploy}")

    assert (web.mode, web.replicas) == (mode, replicas)
    assert (web.update.parallelism, web.update.order) == update
    assert web.restart.condition == restart


@pytest.mark.parametrize(
    ("keys", "needs"),
    [
        ("network_mode: service:b", True),
        ("links: [b]", True),
        ("ipc: service:b", True),
        ("pid: service:b", True),
    ],
)
def test_what_is_shared_is_waited_for(folder: Any, keys: str, needs: bool) -> None:
    web = _service(folder, "image: i\n" + keys)

    assert web.depends_on == {"b": model.Dependency(restart=needs)}
    assert bool(web.networks) == (not keys.startswith("network_mode"))


def test_a_check_can_be_switched_off(folder: Any) -> None:
    assert _service(folder, "image: i\nhealthcheck: {disable: true}").healthcheck == model.Healthcheck(test=("NONE",))


def test_files_are_kept_by_digest_and_granted_at_their_place(folder: Any) -> None:
    (folder.path / "s.txt").write_bytes(b"from file")
    folder.write(
        "services:\n  web:\n    image: i\n    secrets: [one, {source: two, target: other, mode: 0400, uid: '5'}]\n"
        "    configs: [three]\nsecrets:\n  one: {file: s.txt}\n  two: {environment: TWO}\n"
        "configs: {three: {content: '$$x ${TWO}'}}\n"
    )

    loaded = load(folder.request(env={"TWO": "from env"}))
    web = loaded.stack.services["web"]
    assert web.secrets == (
        model.FileGrant(source="one", target="/run/secrets/one"),
        model.FileGrant(source="two", target="/run/secrets/other", mode=0o400, uid="5"),
    )
    assert web.configs == (model.FileGrant(source="three", target="/three"),)
    assert sorted(loaded.contents.values()) == [b"$x from env", b"from env", b"from file"]
    assert loaded.stack.secrets["one"].digest == content_digest(b"from file")
    assert "from file" not in str(loaded.stack)
    assert "from env" not in str(loaded.stack)


def test_networks_and_volumes_have_their_names(folder: Any) -> None:
    folder.write(
        "services:\n  web: {image: i, networks: [a, c], volumes: ['vol:/v', 'war:/w']}\n"
        "networks:\n  a: {internal: true, ipam: {config: [{subnet: 10.0.0.0/24}]}}\n"
        "  c: {external: true, name: given}\n  unused: {}\n"
        "volumes:\n  vol: {driver_opts: {size: 5}}\n  war: {external: true}\n"
    )

    stack = folder.load().stack
    assert stack.networks == {
        "a": shared.NetworkSpec(key="a", name="shop_a", internal=True, ipam=(shared.IpamPool(subnet="10.0.0.0/24"),)),
        "c": shared.NetworkSpec(key="c", name="given", external=True),
    }
    assert stack.volumes == {
        "vol": shared.VolumeSpec(key="vol", name="shop_vol", driver_opts={"size": "5"}),
        "war": shared.VolumeSpec(key="war", name="war", external=True),
    }


def test_a_service_without_networks_is_on_the_default_one(folder: Any) -> None:
    folder.write("services: {web: {image: i}}")

    stack = folder.load().stack
    assert stack.services["web"].networks == (model.Attachment(network="default"),)
    assert stack.networks["default"].name == "shop_default"


def test_inactive_profiles_leave_nothing_behind(folder: Any) -> None:
    text = (
        "services:\n  web: {image: i, depends_on: {dbg: {condition: service_started, required: false}}}\n"
        "  dbg: {image: d, profiles: [debug], volumes: ['vol:/v']}\nvolumes: {vol: }\n"
    )
    folder.write(text)

    quiet, active = folder.load().stack, folder.load(profiles=("debug",)).stack
    assert (set(quiet.services), dict(quiet.volumes), quiet.services["web"].depends_on) == ({"web"}, {}, {})
    assert (set(active.services), set(active.volumes)) == ({"web", "dbg"}, {"vol"})


def test_an_external_secret_has_the_name_that_the_store_knows_and_no_content(folder: Any) -> None:
    folder.write(
        "services: {web: {image: i, secrets: [s, t], configs: [c]}}\n"
        "secrets: {s: {external: true}, t: {external: true, name: other}}\n"
        "configs: {c: {external: {name: there}}}\n"
    )
    loaded = folder.load()

    none = Digest("")
    assert loaded.stack.secrets == {
        "s": shared.FileSpec(key="s", name="s", digest=none, external=True),
        "t": shared.FileSpec(key="t", name="other", digest=none, external=True),
    }
    assert loaded.stack.configs == {"c": shared.FileSpec(key="c", name="there", digest=none, external=True)}
    assert loaded.contents == {}
    assert loaded.stack.place("secrets", "t", "external") == "compose.yaml:2:36"


@pytest.mark.parametrize(
    ("keys", "top"),
    [
        ("deploy: {mode: replicated-job}", ""),
        ("deploy: {endpoint_mode: vip}", ""),
        ("deploy: {restart_policy: {condition: any, max_attempts: 2}}", ""),
        ("deploy: {mode: global}\ncontainer_name: one", ""),
        ("volumes: [{type: npipe, source: x, target: /x}]", ""),
        ("tmpfs: ['/x:size=big']", ""),
        ("pull_policy: refresh", ""),
        ("links: [b]\nnetwork_mode: host", ""),
        ("secrets: [s]", "secrets: {s: {environment: NOT_SET}}"),
        ("configs: [s]", "configs: {s: {file: ./no-such-file}}"),
        ("build: {context: ., platforms: [a, b]}", ""),
        ("ports: [{target: 70000}]", ""),
        ("ports: [{target: 80, mode: somehow}]", ""),
    ],
)
def test_values_that_are_not_honoured_are_refused_with_their_place(folder: Any, keys: str, top: str) -> None:
    with pytest.raises(SpecError) as caught:
        _service(folder, "image: i\n" + keys, top)

    assert caught.value.where.startswith("compose.yaml:")
    assert caught.value.fix or caught.value.why


def test_what_has_no_effect_is_said(folder: Any) -> None:
    folder.write("version: '3'\nservices:\n  web:\n    image: ${IMAGE}x\n    deploy:\n      labels: {a: b}\n")

    assert folder.load().warnings == (
        'the variable "IMAGE" is not set, a blank takes its place',
        "compose.yaml:1:1: `version` is obsolete and has no effect",
        "compose.yaml:6:7: deploy.labels has no effect: they belong to a Swarm service, which orch does not have; "
        "containers take `labels`",
    )


def test_places_point_at_what_people_wrote(folder: Any) -> None:
    folder.write(
        "services:\n  web:\n    image: i\n    ports:\n      - 80:80\n    depends_on:\n      - db\n  db: {image: d}\n"
        "volumes:\n  vol: {}\n"
    )

    stack = folder.load().stack
    assert stack.place("services", "web") == "compose.yaml:2:3"
    assert stack.place("services", "web", "image") == "compose.yaml:3:5"
    assert stack.place("services", "web", "ports", 0) == "compose.yaml:5:9"
    assert stack.place("services", "web", "depends_on", "db") == "compose.yaml:7:9"
    assert stack.place("services", "db", "image") == "compose.yaml:8:8"
