"""Engines behind ssh: a stand-in for ssh forwards the socket as OpenSSH would."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine import connect
from orchestrator.engine.endpoint import parse_endpoint
from orchestrator.engine.tunnel import ssh_command
from orchestrator.errors import Unreachable
from orchestrator.model.names import NodeName

SSH = """#!{python}
import socket, sys, threading, os
print(*sys.argv[1:], file=open({log!r}, "a"))
with open({log!r} + ".pid", "w") as file: file.write(str(os.getpid()))
here, there = sys.argv[sys.argv.index("-L") + 1].split(":")
listener = socket.socket(socket.AF_UNIX); listener.bind(here); listener.listen()
def copy(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
while True:
    near, _ = listener.accept()
    far = socket.socket(socket.AF_UNIX); far.connect(there)
    for pair in ((near, far), (far, near)): threading.Thread(target=copy, args=pair, daemon=True).start()
"""
REFUSING = """#!/bin/sh
echo "me@host: Permission denied (publickey)." >&2
exit 255
"""


def install(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "bin").mkdir()
    script = folder / "bin/ssh"
    script.write_text(text.format(python=sys.executable, log=str(folder / "log")) if "{log" in text else text)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder / "log"


def test_ssh_is_told_never_to_ask() -> None:
    command = ssh_command(parse_endpoint("ssh://me@host:2222/run/d.sock"), Path("/t/engine.sock"))

    assert command == [
        *("ssh", "-nNT", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"),
        *(
            "-o",
            "StreamLocalBindUnlink=yes",
            "-p",
            "2222",
            "-l",
            "me",
            "-L",
            "/t/engine.sock:/run/d.sock",
            "--",
            "host",
        ),
    ]


async def test_an_engine_is_reached_through_one_tunnel(
    counterfeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install(tmp_path, SSH, monkeypatch)
    counterfeit.say("/networks", [])
    counterfeit.say("/_ping", "OK")
    engine = connect(NodeName("n1"), f"ssh://me@host{counterfeit.path}")
    assert await engine.networks() == ()
    await engine.ping()
    pid = int((tmp_path / "log.pid").read_text())
    await engine.close()

    assert len(log.read_text().splitlines()) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_fallen_tunnel_is_opened_again(
    counterfeit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = install(tmp_path, SSH, monkeypatch)
    counterfeit.say("/networks", [])
    engine = connect(NodeName("n1"), f"ssh://me@host{counterfeit.path}")
    await engine.networks()
    os.kill(int((tmp_path / "log.pid").read_text()), 15)
    time.sleep(0.2)  # noqa: ASYNC251 (nothing else is to happen meanwhile)

    assert await engine.networks() == ()
    assert len(log.read_text().splitlines()) == 2
    await engine.close()


async def test_sshs_own_words_are_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, REFUSING, monkeypatch)
    engine = connect(NodeName("n1"), "ssh://me@host")

    with pytest.raises(Unreachable) as caught:
        await engine.networks()
    assert (caught.value.where, caught.value.why) == ("n1", "me@host: Permission denied (publickey).")
    assert caught.value.fix == "make this work without a question: ssh me@host docker version"
    await engine.close()
