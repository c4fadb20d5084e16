"""The helper's image, its program on loopback, and what is read out of its words."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.engine.helper import image
from orchestrator.engine.helper.reach import MEANINGS, meaning, parse_reach, reach_arguments
from orchestrator.engine.helper.routes import parse_routes
from orchestrator.errors import EngineError, Refused

HERE = Path(image.__file__).parent
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
ANSWER = b"orch" * 4096


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}  # type: ignore[union-attr]


# The image


@pytest.mark.parametrize("arch", image.ARCHITECTURES)
def test_an_archive_is_one_image_of_one_layer_with_the_program_alone(arch: str) -> None:
    files = members(image.archive(arch))
    (manifest,) = json.loads(files["manifest.json"])
    (layer,) = (files[name] for name in manifest["Layers"])
    config = json.loads(files[manifest["Config"]])

    assert manifest["RepoTags"] == [image.REF]
    assert image.image_id(arch) == "sha256:" + hashlib.sha256(files[manifest["Config"]]).hexdigest()
    assert config["rootfs"] == {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
    assert (config["os"], config["architecture"]) == ("linux", arch)
    assert config["config"]["Entrypoint"] == ["/orch-helper"]
    assert config["config"]["Cmd"] == ["hold"]
    assert config["config"]["StopSignal"] == "SIGTERM"
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        (program,) = tar.getmembers()
    assert (program.name, program.mode, program.uid, program.mtime) == ("orch-helper", 0o755, 0, 0)
    assert members(layer)["orch-helper"] == (HERE / f"helper-{arch}").read_bytes()


def test_another_process_makes_the_same_bytes() -> None:
    code = (
        "import hashlib; from orchestrator.engine.helper.image import *;"
        "print(REF, *(hashlib.sha256(archive(a)).hexdigest() for a in ARCHITECTURES))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout

    here = (hashlib.sha256(image.archive(arch)).hexdigest() for arch in image.ARCHITECTURES)
    assert told.split() == [image.REF, *here]


def test_another_program_has_another_tag(tmp_path: Path) -> None:
    package = tmp_path / "helper"
    shutil.copytree(HERE, package)
    with (package / "helper-arm64").open("ab") as program:
        program.write(b"!")
    code = "from helper import image; print(image.REF)"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert told.startswith("orch/helper:")
    assert told.strip() != image.REF


@pytest.mark.parametrize("arch", ["", "riscv64", "x86_64", "../helper"])
def test_an_architecture_without_a_program_is_refused(arch: str) -> None:
    with pytest.raises(Refused) as refusal:
        image.archive(arch)

    assert f'"{arch}"' in refusal.value.what
    assert "amd64 and arm64" in refusal.value.why
    assert refusal.value.fix


# The binaries


def recorded() -> tuple[list[str], dict[str, str]]:
    """The compilers and the sums of `built.sha256`."""
    lines = (HERE / "built.sha256").read_text().splitlines()
    return (
        [line.removeprefix("# ") for line in lines if line.startswith("#")],
        {name: digest for digest, name in (line.split() for line in lines if not line.startswith("#"))},
    )


def test_the_binaries_are_those_that_were_built_of_this_source() -> None:
    _, sums = recorded()

    assert set(sums) == {"helper.c", "build.sh", "helper-amd64", "helper-arm64"}
    for name, digest in sums.items():
        found = hashlib.sha256((HERE / name).read_bytes()).hexdigest()
        assert found == digest, f"{name} changed: run orchestrator/engine/helper/build.sh and commit what it made"


def test_the_same_compilers_make_the_same_binaries(tmp_path: Path) -> None:
    for line in recorded()[0]:
        compiler, _, wanted = line.partition(": ")
        if not shutil.which(compiler):
            pytest.skip(f"{compiler} is not installed")
        found = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[
            0
        ]
        if found != wanted:
            pytest.skip(f"the binaries were made by {wanted}, here is {found}")
    subprocess.run([HERE / "build.sh", tmp_path], check=True)

    for arch in image.ARCHITECTURES:
        assert (tmp_path / f"helper-{arch}").read_bytes() == (HERE / f"helper-{arch}").read_bytes()


@pytest.mark.parametrize(("arch", "machine"), [("amd64", 62), ("arm64", 183)])
def test_a_binary_is_small_static_and_for_its_machine(arch: str, machine: int) -> None:
    program = (HERE / f"helper-{arch}").read_bytes()
    at, count = int.from_bytes(program[32:40], "little"), int.from_bytes(program[56:58], "little")
    kinds = [int.from_bytes(program[at + 56 * i :][:4], "little") for i in range(count)]

    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[18:20], "little") == machine
    assert not {2, 3} & set(kinds), "wants a loader (PT_DYNAMIC, PT_INTERP)"
    assert len(program) < 8192


# The program


@pytest.fixture
def peer() -> Iterator[Callable[..., str]]:
    """Serves one connection on a loopback address of its own: what it sends, how long it waits before it closes."""
    listeners: list[socket.socket] = []

    def serve(data: bytes, wait_s: float = 0.0) -> str:
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        listener = socket.create_server((address, image.PORT))
        listeners.append(listener)

        def answer() -> None:
            connection, _ = listener.accept()
            connection.sendall(data)
            time.sleep(wait_s)
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        return address

    yield serve
    for listener in listeners:
        listener.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    if not MACHINE:
        pytest.skip(f"no helper for {platform.machine()}")
    return subprocess.run([HERE / f"helper-{MACHINE}", *arguments], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize(
    ("data", "wait_s", "word"),
    [
        (ANSWER, 0.0, "ok"),
        (ANSWER + b"o", 0.0, "wrong"),
        (ANSWER[:-1], 0.0, "wrong"),
        (b"", 0.0, "wrong"),
        (b"HTTP/1.1 400 Bad Request\r\n", 1.0, "wrong"),
        (b"", 1.0, "stalled"),
        (ANSWER[:-1], 1.0, "stalled"),
    ],
)
def test_only_the_whole_answer_is_ok(peer: Callable[..., str], data: bytes, wait_s: float, word: str) -> None:
    address = peer(data, wait_s)
    told = run(*reach_arguments([address], within_s=0.4))

    assert parse_reach(told.stdout) == {address: word}
    assert told.returncode == (0 if word == "ok" else 1)


def test_each_peer_gets_its_own_verdict_in_the_order_of_asking(peer: Callable[..., str]) -> None:
    silent, good, nobody = peer(b"", 1.0), peer(ANSWER), "127.255.1.9"
    began = time.monotonic()
    told = run(*reach_arguments([silent, good, nobody], within_s=0.4))

    assert list(parse_reach(told.stdout).items()) == [(silent, "stalled"), (good, "ok"), (nobody, "refused")]
    assert told.returncode == 1
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("help",),
        ("hold", "on"),
        ("reach",),
        ("reach", "100"),
        ("reach", "soon", "127.0.0.1"),
        ("reach", "-1", "127.0.0.1"),
        ("reach", "1s", "127.0.0.1"),
        ("reach", "99999999999999999999", "127.0.0.1"),
        ("reach", "100", "127.0.0"),
        ("reach", "100", "127.0.0.1.1"),
        ("reach", "100", "127.0.0.256"),
        ("reach", "100", "127.0.0.1x"),
        ("reach", "100", "::1"),
        ("reach", "100", ""),
        ("reach", "100", *["127.0.0.1"] * 1025),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...]) -> None:
    told = run(*arguments)

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("usage: orch-helper hold | reach")


def test_this_machines_routes_are_copied_whole() -> None:
    files = [Path("/proc/net/route"), Path("/proc/net/ipv6_route")]
    told = run("routes")

    assert told.returncode == 0
    assert told.stdout.split("\n")[0] == files[0].read_text().split("\n")[0]
    assert len(told.stdout.splitlines()) == sum(len(file.read_text().splitlines()) for file in files if file.exists())
    parse_routes(told.stdout)


# Its words


V4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT      \n"


def v4(destination: str, mask: str, interface: str = "eth0") -> str:
    return f"{interface}\t{destination}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0      \n"


def v6(address: str, length: int, interface: str = "eth0") -> str:
    return f"{address:0<32} {length:02x} {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001 {interface:>8}\n"


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        (V4, ()),
        (V4 + v4("00000000", "00000000"), ()),
        (V4 + v4("000200C0", "00FFFFFF") + v4("000011AC", "0000FFFF", "docker0"), ("172.17.0.0/16", "192.0.2.0/24")),
        (V4 + v4("0100000A", "FFFFFFFF"), ("10.0.0.1/32",)),
        (V4 + v4("0000000A", "000000FF", "*"), ("10.0.0.0/8",)),
        (V4 + v4("00000000", "00000080", "tun0") + v4("00000080", "00000080", "tun0"), ()),
        (V4 + v4("0000000A", "000000FF") + v4("0000000A", "000000FF", "eth1"), ("10.0.0.0/8",)),
        (V4 + "\n" + v4("0000000A", "000000FF").rstrip(), ("10.0.0.0/8",)),
        (V4 + v4("0000000A", "000000FF").replace("\n", "\r\n"), ("10.0.0.0/8",)),
        (V4 + v6("fd00", 64) + v4("0000000A", "000000FF"), ("10.0.0.0/8", "fd00::/64")),
        (V4 + v6("0", 0) + v6("fe80", 64) + v6("ff00", 8) + v6("0" * 31 + "1", 128, "lo"), ()),
        (V4 + v6("2001", 32, "lo"), ("2001::/32",)),
    ],
)
def test_networks_of_routes(text: str, networks: tuple[str, ...]) -> None:
    assert parse_routes(text) == networks


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "orch-helper: /proc/net/route: errno 2\n",
        v4("0000000A", "000000FF"),
        V4 + v4("0000000A", "000000FF")[:20],
        V4 + v4("0000000A", "00FF"),
        V4 + v4("0A", "000000FF"),
        V4 + v4("0100000A", "000000FF"),
        V4 + v4("XX00000A", "000000FF"),
        V4 + v6("fd00", 64)[:-40],
        V4 + v6("fd00", 129),
        V4 + "Cannot allocate memory\n",
    ],
)
def test_what_is_no_list_of_routes_is_an_error_and_no_free_address_space(text: str) -> None:
    with pytest.raises(EngineError, match="routes can't be read"):
        parse_routes(text)


def test_reach_words() -> None:
    assert reach_arguments(["10.0.0.2", "10.0.0.3"], within_s=0.25) == ("reach", "250", "10.0.0.2", "10.0.0.3")
    assert parse_reach("10.0.0.2 ok\n10.0.0.3 errno 22\n") == {"10.0.0.2": "ok", "10.0.0.3": "errno 22"}
    assert "MTU" in meaning("stalled")
    assert meaning("errno 22").endswith("errno 22")
    with pytest.raises(EngineError, match="whether packets pass"):
        parse_reach("OCI runtime exec failed: no such container\n")


def test_every_word_of_the_program_has_a_meaning() -> None:
    source = (HERE / "helper.c").read_text()

    for word in MEANINGS:
        assert f'"{word}"' in source
    assert f"PORT = {image.PORT}," in source
