"""Images out of Debian packages: the same everywhere, and each does what it is for."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.errors import LabError, NoSuchThing
from orchestrator.lab import Lab, api, archive, build_images, images
from orchestrator.lab.build import build
from orchestrator.lab.recipes import RECIPES, Recipe, recipe
from orchestrator.lab.settings import DEFAULT_CACHE
from tests.labs import Labs


def write_tree(tree: Path) -> Path:
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text("hello\n")
    (tree / "etc/motd").chmod(0o640)
    (tree / "data").mkdir()
    (tree / "link").symlink_to("etc/motd")
    (tree / "hard").hardlink_to(tree / "etc/motd")
    return tree


def test_an_archive_is_the_same_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    first = archive.write(write_tree(tmp_path / "a"), tmp_path / "1.tar", tag="t:1", config={}, owners={"/data": 7})
    time.sleep(0.01)
    again = archive.write(write_tree(tmp_path / "b"), tmp_path / "2.tar", tag="t:1", config={}, owners={"/data": 7})

    assert first == again
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    assert images.contents(tmp_path / "1.tar") == {(f"sha256:{first}", "t:1")}


def test_an_archive_holds_the_tree_with_owners_and_modes(tmp_path: Path) -> None:
    archive.write(write_tree(tmp_path / "a"), tmp_path / "1.tar", tag="t:1", config={"Cmd": ["x"]}, owners={"/data": 7})

    with tarfile.open(tmp_path / "1.tar") as outer:
        manifest = json.load(outer.extractfile("manifest.json") or pytest.fail("missing"))[0]
        assert json.load(outer.extractfile(manifest["Config"]) or pytest.fail("missing"))["config"] == {"Cmd": ["x"]}
        with tarfile.open(fileobj=outer.extractfile(manifest["Layers"][0])) as layer:
            found = {member.name: (member.uid, member.mode & 0o777, member.type) for member in layer}
            assert found["data"] == (7, 0o755, tarfile.DIRTYPE)
            assert found["etc/motd"] == found["hard"] == (0, 0o640, tarfile.REGTYPE)
            assert layer.getmember("link").linkname == "etc/motd"
            assert (layer.extractfile("hard") or pytest.fail("missing")).read() == b"hello\n"


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("nothing")
    for path in (tmp_path / "x.tar", tmp_path / "missing.tar"):
        with pytest.raises(LabError, match=r"is no docker-archive") as raised:
            images.contents(path)
        assert "docker save" in raised.value.fix


@pytest.mark.parametrize("name", ["redis", "orch/redis", "orch/redis:7.0"])
def test_a_recipe_answers_to_each_of_its_names(name: str) -> None:
    assert recipe(name).tag == "orch/redis:7.0"


def test_an_unknown_recipe_is_answered_with_those_there_are() -> None:
    with pytest.raises(NoSuchThing, match='"mysql"') as raised:
        build_images(["mysql"])

    assert all(tag in raised.value.fix for tag in RECIPES)


def test_a_change_of_a_recipe_is_another_archive() -> None:
    one = Recipe(tag="orch/x:1", command=("sh",))

    assert one.archive.startswith("x-1-")
    assert one.archive == Recipe(tag="orch/x:1", command=("sh",)).archive
    assert one.archive != Recipe(tag="orch/x:1", command=("sh",), ports=(80,)).archive


@pytest.mark.real
def test_an_image_is_built_once_and_to_the_same_bytes_anywhere(tmp_path: Path) -> None:
    made = build_images(["busybox"], tmp_path)[0]
    written_at = made.stat().st_mtime_ns

    assert build_images(["busybox"], tmp_path) == [made]
    assert made.stat().st_mtime_ns == written_at
    build(recipe("busybox"), tmp_path / "again.tar", DEFAULT_CACHE)
    assert (tmp_path / "again.tar").read_bytes() == made.read_bytes()


@pytest.mark.real
def test_a_package_that_does_not_exist_is_reported_in_the_words_of_apt(tmp_path: Path) -> None:
    wrong = Recipe(tag="orch/x:1", packages=("no-such-package-at-all",), command=("sh",))
    with pytest.raises(LabError) as raised:
        build(wrong, tmp_path / "x.tar", DEFAULT_CACHE)

    assert "Unable to locate package no-such-package-at-all" in raised.value.why
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def node(labs: Labs) -> Lab:
    """One node with all images."""
    lab = labs("images")
    lab.load_images(build_images([]))
    return lab


@pytest.fixture
def client(node: Lab) -> Iterator[docker.DockerClient]:
    found = docker.DockerClient(base_url=f"unix://{node.socket('n1')}")
    yield found
    for container in found.containers.list(all=True):
        container.remove(force=True, v=True)
    found.close()


def eventually(check: Callable[[], Any], within_s: float = 20.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def get(lab: Lab, container: Any, path: str = "/") -> str:
    """The page, fetched from the node's own network; empty when there is none yet."""
    container.reload()
    address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    argv = lab.enter("n1", "curl", "-s", "-m", "2", f"http://{address}{path}")
    return subprocess.run(argv, text=True, capture_output=True).stdout


@pytest.mark.real
class TestEachImage:
    def test_all_are_on_the_node_and_loading_again_is_skipped(self, node: Lab) -> None:
        begin = time.monotonic()
        node.load_images(build_images([]))

        assert {tag for _, tag in api.image_tags(node.socket("n1"))} == set(RECIPES)
        assert time.monotonic() - begin < 0.5

    def test_httpd_serves_its_document_root_and_stops_gracefully(self, node: Lab, client: docker.DockerClient) -> None:
        web = client.containers.run("orch/httpd:2.4", detach=True)
        assert "It works!" in eventually(lambda: get(node, web))

        web.exec_run(["sh", "-c", "echo my page > htdocs/index.html"])
        assert get(node, web) == "my page\n"
        web.stop(timeout=10)
        assert web.wait()["StatusCode"] == 0
        assert b'"GET / HTTP/1.1" 200' in web.logs(stdout=True, stderr=False)
        assert b"libgcc" not in web.logs()

    def test_nginx_serves_and_logs(self, node: Lab, client: docker.DockerClient) -> None:
        web = client.containers.run("orch/nginx:1.22", detach=True)

        assert "Welcome to nginx" in eventually(lambda: get(node, web))
        assert b'"GET / HTTP/1.1" 200' in web.logs(stdout=True, stderr=False)

    def test_redis_answers_others_and_keeps_its_data_as_its_own_user(self, client: docker.DockerClient) -> None:
        redis = client.containers.run("orch/redis:7.0", ["redis-server", "--appendonly", "yes"], detach=True)
        address = eventually(
            lambda: redis.reload() or redis.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        )
        ask = ["redis-cli", "-h", address, "set", "key", "value"]

        assert eventually(lambda: redis.exec_run(ask).output == b"OK\n")
        redis.restart(timeout=10)
        assert eventually(lambda: redis.exec_run(["redis-cli", "get", "key"]).output == b"value\n")
        assert redis.exec_run(["stat", "-c", "%U", "/data", "/proc/1"]).output == b"redis\nredis\n"

    def test_postgres_makes_user_database_and_tables_once(self, node: Lab, client: docker.DockerClient) -> None:
        seed = node.root / "n1" / "seed"
        seed.mkdir(exist_ok=True)
        (seed / "1.sql").write_text("CREATE TABLE t (a int); INSERT INTO t VALUES (42);")
        (seed / "password").write_text("s'ecret \"$x\n")
        (seed / "password").chmod(0o400)
        environment = {"POSTGRES_USER": "bob", "POSTGRES_DB": "shop", "POSTGRES_PASSWORD_FILE": "/seed/password"}
        mounts = {
            str(seed): {"bind": "/seed", "mode": "ro"},
            f"{seed}/1.sql": {"bind": "/docker-entrypoint-initdb.d/1.sql"},
        }
        server = client.containers.run("orch/postgres:15", detach=True, environment=environment, volumes=mounts)
        query = ["psql", "-h", "127.0.0.1", "-U", "bob", "-d", "shop", "-Atc", "SELECT a FROM t"]
        password = {"PGPASSWORD": "s'ecret \"$x"}

        assert eventually(lambda: server.exec_run(query, environment=password).output == b"42\n"), server.logs()
        assert server.exec_run(query, environment={"PGPASSWORD": "wrong"}).exit_code != 0
        server.restart(timeout=20)
        assert eventually(lambda: server.exec_run(query, environment=password).output == b"42\n"), server.logs()

    def test_postgres_wants_a_password(self, client: docker.DockerClient) -> None:
        with pytest.raises(docker.errors.ContainerError, match="set POSTGRES_PASSWORD"):
            client.containers.run("orch/postgres:15", remove=True)

    def test_python_has_the_libraries_of_a_web_application(self, client: docker.DockerClient) -> None:
        program = "import ssl, flask, psycopg2, redis; print(flask.Flask('x').name)"

        assert client.containers.run("orch/python:3.11", ["python3", "-c", program], remove=True) == b"x\n"

    def test_pyweb_starts_late_switches_drains_and_exits_cleanly(self, node: Lab, client: docker.DockerClient) -> None:
        environment = {"VERSION": "7", "START_DELAY": "0.5", "GRACE": "0.5"}
        web = client.containers.run("orch/pyweb:1", detach=True, hostname="w1", environment=environment)

        assert eventually(lambda: get(node, web)) == "host=w1 version=7\n"
        assert get(node, web, "/health") == "unhealthy\n"
        assert eventually(lambda: get(node, web, "/health") == "healthy\n", within_s=3)
        get(node, web, "/health/down")
        assert get(node, web, "/health") == "unhealthy\n"
        get(node, web, "/health/up")
        web.kill("SIGTERM")
        assert get(node, web, "/health") == "unhealthy\n"
        assert get(node, web) == "host=w1 version=7\n"
        assert web.wait(timeout=10)["StatusCode"] == 0

    def test_pyweb_crashes_when_told(self, client: docker.DockerClient) -> None:
        web = client.containers.run("orch/pyweb:1", detach=True, environment={"CRASH_AFTER": "0.1"})

        assert web.wait(timeout=10)["StatusCode"] == 3

    def test_idle_ends_at_once(self, client: docker.DockerClient) -> None:
        idle = client.containers.run("orch/busybox:1", ["idle"], detach=True)
        begin = time.monotonic()
        idle.stop(timeout=10)

        assert time.monotonic() - begin < 5
        assert idle.wait()["StatusCode"] == 0
