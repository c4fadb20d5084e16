"""Bad input and a world that fails: what a person is told, that nothing is lost, and that the next `up` finishes.

Each test says the whole message: what, where, why, what to do, and the exit code.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from orchestrator.lab import Lab, build_images
from tests.integration.steps import BUSYBOX, Engines, Orch, get

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("faults")]

SERVER = """
name: s
services:
  web:
    image: orch/busybox:1
    command: [httpd, -f, -p, "80"]
    stop_signal: SIGKILL
    ports: ["8090:80"]
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "services:\n\tweb: {}\n",
            "stack.yml:2:1: the text is no YAML\n  why: a tab can't indent\n  fix: use blanks\n",
            id="no-yaml",
        ),
        pytest.param(
            "services:\n  web:\n    image: a\n    imag: b\n",
            'stack.yml:4:5: services.web has no key "imag"\n  fix: did you mean "image"?\n',
            id="unknown-key",
        ),
        pytest.param(
            "services:\n  web:\n    image: a\n    credential_spec: {file: x}\n",
            'stack.yml:4:5: orch does not honour "credential_spec" yet\n  why: only Windows engines have it\n'
            "  fix: remove it, or run this service with docker compose for now\n",
            id="refused-key",
        ),
        pytest.param(
            "services:\n  web:\n    image: a\n    depends_on: [db]\n  db:\n    image: a\n    depends_on: [web]\n",
            'stack.yml:7:18: services wait for each other: "db" -> "web" -> "db"\n'
            '  why: "db" depends on "web" at stack.yml:7:18; "web" depends on "db" at stack.yml:4:18\n'
            "  fix: remove one of these dependencies\n",
            id="cycle",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_column(orch: Orch, text: str, told: str) -> None:
    orch.stack(text)

    assert told in orch("up", "-f", "stack.yml", code=2).err


def test_a_missing_file_is_named(orch: Orch) -> None:
    said = orch("up", "-f", "nowhere.yml", code=2).err

    assert said == 'orch: can\'t read "nowhere.yml"\n  why: No such file or directory\n  fix: check the path\n'


@pytest.mark.usefixtures("one")
def test_an_image_that_no_registry_gives_is_told_and_the_rest_waits(orch: Orch, engines: Engines) -> None:
    orch.stack(
        f"name: s\nservices:\n  web: {{image: no/such:1}}\n"
        f"  late: {{image: {BUSYBOX}, command: [idle], depends_on: [web]}}\n"
    )

    said = orch("up", "-f", "stack.yml", code=1).err
    assert 'image no/such:1 on n1: can\'t pull image "no/such:1": Get "https://registry-1.docker.io/v2/"' in said
    assert "  fix: this host reaches no registry: check its network and proxy, or load the image with docker" in said
    assert "late.1: web.1 is not there yet\n" in said
    assert 'orch: stack "s" is not what was asked for, after ' in said
    assert [box.what for box in engines.boxes("s")] == [("s-late-1", "created")]


def test_a_port_of_another_container_is_refused_before_anything_starts(one: Lab, orch: Orch, engines: Engines) -> None:
    orch.stack(SERVER)
    other = engines.run("n1", "other", ports={"80/tcp": "8090"})

    said = orch("up", "-f", "stack.yml", code=1).err
    assert "web.1: no node can take it: n1: a container of another stack has port 8090/tcp\n" in said
    assert '  fix: publish a range ("8080-8089:80"), or write "80" to let the engine choose, or stop what' in said
    assert engines.boxes("s") == ()

    engines.ask("n1", "DELETE", f"/containers/{other}?force=1")
    orch("up", "-f", "stack.yml")
    assert get(one, "n1", 8090).status == 404


def test_a_port_of_another_process_is_told_in_the_engines_words(one: Lab, orch: Orch, engines: Engines) -> None:
    orch.stack(SERVER)
    other = subprocess.Popen(one.enter("n1", "busybox", "nc", "-l", "-p", "8090"))
    try:
        said = orch("up", "-f", "stack.yml", code=1).err
    finally:
        other.kill()
        other.wait()
    assert "web.1 on n1: can't start container" in said
    assert "listen tcp4 0.0.0.0:8090: bind: address already in use" in said
    assert "  fix: another container or program on this host has the port: stop it, or publish another port\n" in said
    assert [box.what for box in engines.boxes("s")] == [("s-web-1", "created")]

    orch("up", "-f", "stack.yml")
    assert get(one, "n1", 8090).status == 404
    assert [box.what for box in engines.boxes("s")] == [("s-web-1", "running")]


def test_an_engine_that_is_down_is_told_with_its_endpoint(one: Lab, orch: Orch) -> None:
    orch.stack(SERVER)
    one.kill("n1", engine=True)

    for words in (("up", "-f", "stack.yml"), ("ps", "-p", "s"), ("plan", "-f", "stack.yml")):
        assert orch(*words, code=1).err == (
            f"orch: n1: can't reach the engine at unix://{one.socket('n1')}\n"
            "  why: connection refused\n"
            "  fix: is dockerd running? systemctl status docker\n"
        )

    one.restart("n1")
    orch("up", "-f", "stack.yml")
    assert get(one, "n1", 8090).status == 404


def test_a_socket_that_is_not_there_is_told(orch: Orch) -> None:
    orch.stack(SERVER)

    said = orch("up", "-f", "stack.yml", code=1, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"}).err
    assert said == (
        "orch: local: can't reach the engine at unix:///nowhere/docker.sock\n"
        "  why: no such file or directory\n"
        "  fix: is dockerd running? systemctl status docker\n"
    )


def test_a_hung_engine_ends_no_command_with_silence(one: Lab, orch: Orch) -> None:
    orch.stack(SERVER)
    one.pause("n1")

    for words in (("up", "-f", "stack.yml"), ("ps", "-p", "s")):
        said = orch(*words, code=1, within_s=20).err
        assert said == (
            f"orch: n1: can't reach the engine at unix://{one.socket('n1')}\n"
            "  why: no answer within 3 s\n"
            "  fix: see whether dockerd and its host are overloaded or hung: docker info\n"
        )

    one.unpause("n1")
    orch("up", "-f", "stack.yml")
    assert get(one, "n1", 8090).status == 404


class _Ancient(BaseHTTPRequestHandler):
    """Docker Engine 1.12, as far as a client gets with it."""

    ANSWERS = {  # noqa: RUF012  # a table of constants
        "/_ping": b"OK",
        "/version": b'{"Version": "1.12.6", "ApiVersion": "1.24", "Os": "linux", "Arch": "amd64"}',
    }

    def do_GET(self) -> None:
        body = self.ANSWERS.get(self.path)
        self.send_response(200 if body else 400)
        body = (
            body or b'{"message": "client is newer than server (client API version: 1.41, server API version: 1.24)"}'
        )
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def ancient_engine(tmp_path: Path) -> Iterator[str]:
    server = UnixStreamServer(str(tmp_path / "ancient.sock"), _Ancient)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"unix://{tmp_path}/ancient.sock"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_engine_that_is_too_old_is_refused(orch: Orch, ancient_engine: str) -> None:
    orch.stack(SERVER)

    for words in (("up", "-f", "stack.yml"), ("node", "add", "old", ancient_engine)):
        said = orch(*words, code=1, env={"DOCKER_HOST": ancient_engine}).err
        assert re.search(r"too old|API", said), said
        assert "1.24" in said
        assert "  fix: " in said


FULL = """
name: s
services:
  web:
    image: orch/busybox:1
    command: [idle]
    stop_signal: SIGKILL
    network_mode: none
    volumes: [data:/data]
volumes: {data: }
"""


@pytest.fixture
def small_disk(one: Lab) -> Iterator[Path]:
    """The engine's data are on 64 MB of memory, in the node's own view of the files only."""
    data = one.root / "n1" / "data"
    one.kill("n1", engine=True)
    subprocess.run(one.inside("n1", "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(data)), check=True)
    one.restart("n1")
    one.load_images(build_images(["busybox"]))
    yield data
    one.kill("n1")
    one.restart("n1")


def test_a_full_disk_is_told_and_the_next_up_finishes(one: Lab, small_disk: Path, orch: Orch, engines: Engines) -> None:
    orch.stack(FULL)
    orch("up", "-f", "stack.yml", "--scale", "web=0")
    fill = f"dd if=/dev/zero of={small_disk}/fill bs=64k; true"
    subprocess.run(one.inside("n1", "sh", "-c", fill), check=True, capture_output=True)

    said = orch("up", "-f", "stack.yml", code=1).err
    assert re.search(r'n1: can\'t create (container|volume) "s[-_]\w+(-1)?": .*no space left on device', said), said
    assert "  fix: free space on the host: docker system df, docker system prune\n" in said

    subprocess.run(one.inside("n1", "rm", f"{small_disk}/fill"), check=True)
    orch("up", "-f", "stack.yml")
    assert [box.what for box in engines.boxes("s")] == [("s-web-1", "running")]


@pytest.mark.usefixtures("one")
def test_a_container_that_exits_at_once_shows_its_code_its_last_lines_and_who_waits(
    orch: Orch, engines: Engines
) -> None:
    orch.stack(
        "name: s\nservices:\n"
        f"  job: {{image: {BUSYBOX}, command: [sh, -c, 'for i in 1 2 3; do echo line $$i; done; exit 7']}}\n"
        f"  web: {{image: {BUSYBOX}, command: [idle], depends_on: "
        "{job: {condition: service_completed_successfully}}}\n"
    )

    said = orch("up", "-f", "stack.yml", code=1).err
    assert "job.1 on n1: exited with 7\n  last lines of job.1:\n  | line 1\n  | line 2\n  | line 3\n" in said
    assert "web.1: job.1 exited with 7\n" in said
    assert said.endswith(
        "  why: job.1 failed\n  fix: mend it, then give the same command again: it goes on from here\n"
    )
    assert [box.what for box in engines.boxes("s")] == [("s-job-1", "exited"), ("s-web-1", "created")]


@pytest.mark.usefixtures("one")
def test_a_container_that_the_engine_restarts_in_vain_has_failed(orch: Orch) -> None:
    orch.stack(
        f"name: s\nservices:\n  web: {{image: {BUSYBOX}, command: [sh, -c, 'echo oops; exit 3'], restart: always}}\n"
    )

    said = orch("up", "-f", "stack.yml", code=1).err
    assert re.search(r"web\.1 on n1: keeps crashing: exit code 3, restarted \d times\n", said)
    assert "  last lines of web.1:\n  | oops\n" in said


@pytest.mark.usefixtures("one")
def test_an_unhealthy_dependency_is_told_with_what_its_check_said(orch: Orch, engines: Engines) -> None:
    orch.stack(
        "name: s\nservices:\n"
        f"  db: {{image: {BUSYBOX}, command: [idle], stop_signal: SIGKILL, healthcheck: "
        "{test: 'echo no disk; exit 1', interval: 300ms, retries: 2}}\n"
        f"  web: {{image: {BUSYBOX}, command: [idle], depends_on: {{db: {{condition: service_healthy}}}}}}\n"
    )

    said = orch("up", "-f", "stack.yml", code=1).err
    assert "db.1 on n1: is unhealthy: no disk\n" in said
    assert "web.1: db.1 is unhealthy\n" in said
    assert engines.box("s", "s-web-1").what == ("s-web-1", "created")


@pytest.mark.usefixtures("one")
def test_waiting_for_the_health_of_a_service_without_a_check_is_refused(orch: Orch) -> None:
    orch.stack(
        "name: s\nservices:\n"
        f"  db: {{image: {BUSYBOX}, command: [idle], stop_signal: SIGKILL}}\n"
        f"  web: {{image: {BUSYBOX}, command: [idle], depends_on: {{db: {{condition: service_healthy}}}}}}\n"
    )

    said = orch("up", "-f", "stack.yml", code=1, within_s=20).err
    assert "web.1: db.1 has no health check to wait for\n" in said
    assert "  fix: " in said


@pytest.mark.usefixtures("one")
def test_down_asks_before_it_destroys_volumes(orch: Orch, engines: Engines) -> None:
    orch.stack(FULL)
    orch("up", "-f", "stack.yml")

    said = orch("down", "-p", "s", "-v", code=2).err
    assert said == (
        '  volume "s_data" on n1\n'
        "orch: destroy 1 volume with all data needs a yes\n"
        "  why: there is no terminal to ask on\n"
        "  fix: add --yes\n"
    )
    assert engines.box("s", "s-web-1").state == "running"

    orch("down", "-p", "s", "-v", "--yes")
    assert (engines.boxes("s"), engines.volumes("s")) == ((), set())
