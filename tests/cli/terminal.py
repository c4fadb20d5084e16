"""A terminal for a process under test: what a person would see, type, and do to its window."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

NOBODY_IS_FASTER_S = 0.3
"""Between a question and the answer. A key in the microseconds between the two is lost by Python's own `input`."""


class Terminal:
    """Runs `argv` on a terminal of its own. The process is killed when this ends before it."""

    def __init__(
        self, argv: Sequence[str], folder: Path, env: Mapping[str, str], *, size: tuple[int, int] = (24, 80)
    ) -> None:
        self.shown = ""
        self._status: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child
            try:
                os.chdir(folder)
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
                os.execve(argv[0], list(argv), dict(env))
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def wait_for(self, text: str, *, within_s: float = 30.0) -> None:
        """Returns once `text` has been shown after the last wait."""
        start, deadline = len(self.shown), time.monotonic() + within_s
        while text not in self.shown[start:]:
            assert time.monotonic() < deadline, f"{text!r} never came: {self.shown!r}"
            assert self._read(1.0), f"it ended before {text!r}: {self.shown!r}"

    def type(self, text: str) -> None:
        time.sleep(NOBODY_IS_FASTER_S)
        os.write(self._fd, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """The kernel tells the process, as it does when a window changes."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def echoes(self) -> bool:
        """It is as a shell leaves it: what is typed is shown, and lines are edited."""
        modes = termios.tcgetattr(self._fd)[3]
        return bool(modes & termios.ECHO and modes & termios.ICANON)

    def ended(self, *, within_s: float = 30.0) -> tuple[int, str]:
        """The exit code, and all that was shown."""
        deadline = time.monotonic() + within_s
        while self._read(1.0):
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
        _, self._status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(self._status), self.shown

    def _read(self, within_s: float) -> bool:
        """False at the end of the process."""
        if select.select([self._fd], [], [], within_s)[0]:
            try:
                self.shown += os.read(self._fd, 65536).decode(errors="replace")
            except OSError:  # Linux: the other end is closed
                return False
        return True
