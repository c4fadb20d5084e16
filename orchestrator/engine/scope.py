"""What one call on an engine holds: its deadline, and the sockets that are shut down when it is given up.

The SDK's time-outs are per socket operation, so a host that drips a byte now and then is never given up. Shutting the
socket down wakes the blocked thread at once, on unix sockets, TCP and TLS alike.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from contextvars import ContextVar


class Abandoned(Exception):
    """The call that this thread works for has been given up."""


class Scope:
    """One call. `timeout_s` bounds each socket operation; None: only connecting is bounded (streams)."""

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.has_ended = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    def use(self, sock: socket.socket) -> None:
        """From now on, `end` shuts `sock` down; raises Abandoned when it is too late."""
        with self._lock:
            if self.has_ended:
                raise Abandoned
            self._sockets.add(sock)

    def release(self, sock: socket.socket) -> None:
        """Another call uses `sock` now: the end of this one is nothing to it."""
        with self._lock:
            self._sockets.discard(sock)

    def finish(self) -> None:
        """The call has come to its own end: its sockets are back in the pool, or another call's already."""
        with self._lock:
            self._sockets.clear()

    def end(self) -> None:
        """Wakes whoever is blocked on one of the sockets, and lets no other be used."""
        with self._lock:
            self.has_ended = True
            for sock in self._sockets:
                # Not SSLSocket.shutdown: that forgets the TLS state under the reading thread.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            self._sockets.clear()


current_scope: ContextVar[Scope | None] = ContextVar("current_scope", default=None)
