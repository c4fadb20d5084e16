"""An ssh host's socket, here: OpenSSH forwards it, so agents, ProxyJump, known_hosts and hardware keys all work.

One child per engine, started at the first call and again after it has ended.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from orchestrator.engine.endpoint import Endpoint
from orchestrator.engine.scope import Abandoned, current_scope
from orchestrator.errors import Refused, Unreachable

PATIENCE_S = 30.0
POLL_S = 0.02


class Tunnel:
    """`ssh -L` to one host. All methods block."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._folder = ""
        self._child: subprocess.Popen[bytes] | None = None

    def has_fallen(self) -> bool:
        """It was open, and ssh has ended since."""
        return self._child is not None and self._child.poll() is not None

    def open(self) -> str:
        """The path of the local socket; raises Unreachable with ssh's own last words."""
        if self._child is None or self.has_fallen():
            self.close()
            self._start()
        return str(self._socket)

    def close(self) -> None:
        if self._child is not None:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(2)
            if self._child.poll() is None:
                self._child.kill()
                self._child.wait()
            self._child = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    @property
    def _socket(self) -> Path:
        return Path(self._folder) / "engine.sock"

    def _start(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="orch-ssh-")
        try:
            with (Path(self._folder) / "ssh.err").open("wb") as errors:
                self._child = subprocess.Popen(
                    ssh_command(self._endpoint, self._socket), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
                )
        except FileNotFoundError as error:
            raise Refused("there is no ssh on this machine", fix="apt-get install openssh-client") from error
        self._wait()

    def _wait(self) -> None:
        assert self._child is not None, "ssh has been started"
        give_up_at = time.monotonic() + PATIENCE_S
        while not self._socket.exists():
            scope = current_scope.get()
            if scope is not None and scope.has_ended:
                raise Abandoned
            if self._child.poll() is not None or time.monotonic() > give_up_at:
                raise self._failure()
            time.sleep(POLL_S)

    def _failure(self) -> Unreachable:
        said = (Path(self._folder) / "ssh.err").read_text(errors="replace").strip().splitlines()
        who = self._endpoint.user + "@" * bool(self._endpoint.user) + self._endpoint.host
        self.close()
        return Unreachable(
            f'ssh does not reach the engine of "{who}"',
            why=said[-1] if said else f"no answer within {PATIENCE_S:g} s",
            fix=f"make this work without a question: ssh {who} docker version",
        )


def ssh_command(endpoint: Endpoint, socket: Path) -> list[str]:
    """BatchMode: a question for a password would wait for ever."""
    options = ("BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=15", "StreamLocalBindUnlink=yes")
    return [
        "ssh",
        "-nNT",
        *(word for option in options for word in ("-o", option)),
        *(("-p", str(endpoint.port)) if endpoint.port else ()),
        *(("-l", endpoint.user) if endpoint.user else ()),
        "-L",
        f"{socket}:{endpoint.path}",
        "--",
        endpoint.host,
    ]
