"""A web application to try orchestration on; it runs in the image `orch/pyweb:1`. Standard library only.

GET /            host name and version          GET /env          environment variables
GET /health      200, or 503 while not ready    GET /slow?ms=200  answers late
PUT /health/down, PUT /health/up                switch /health (GET does it too)
GET /exit?code=3 the process ends               GET /count        requests answered so far

PORT (80)  VERSION (1)   START_DELAY: seconds until /health is 200   CRASH_AFTER: seconds until exit code 3
GRACE: seconds of service after SIGTERM, with /health 503 already   IGNORE_TERM: SIGTERM does nothing
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}


def _number(name: str) -> float:
    return float(os.environ.get(name) or 0)


class App:
    """One process's state; `answer` is the whole application."""

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self.version = os.environ.get("VERSION", "1")
        self.ready_at = time.monotonic() + _number("START_DELAY")
        self.switched_off = False
        self.draining = False
        self.answered = 0
        self.busy = 0

    async def answer(self, path: str, argument: str) -> tuple[int, str]:
        if path == "/slow":
            await asyncio.sleep(float(argument or 100) / 1000)
        elif path == "/exit":
            print(f"asked to exit with {argument or 1}", flush=True)
            os._exit(int(argument or 1))
        elif path in ("/health/down", "/health/up"):
            self.switched_off = path == "/health/down"
        pages: dict[str, Callable[[], tuple[int, str]]] = {
            "/health": self._health,
            "/env": lambda: (200, "".join(f"{name}={value}\n" for name, value in sorted(os.environ.items()))),
            "/count": lambda: (200, f"{self.answered}\n"),
        }
        known = path in ("/", "/slow", "/health/down", "/health/up")
        return pages.get(path, lambda: (200 if known else 404, f"host={self.host} version={self.version}\n"))()

    def _health(self) -> tuple[int, str]:
        is_well = not (self.switched_off or self.draining or time.monotonic() < self.ready_at)
        return (200, "healthy\n") if is_well else (503, "unhealthy\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one connection, one after the other, until the client or the drain ends it."""
        try:
            while request := await self._request(reader):
                path, argument, keep = request
                self.busy += 1
                try:
                    status, body = await self.answer(path, argument)
                    self.answered += 1
                    keep = keep and not self.draining
                    writer.write(self._response(status, body, keep))
                    await writer.drain()
                finally:
                    self.busy -= 1
                if not keep:
                    break
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, str, bool] | None:
        """(path, value after "=" in the query, keep the connection), or None at its end."""
        first = (await reader.readline()).decode("latin-1")
        if not first:
            return None
        _, target, protocol = first.split()
        keep, length = protocol == "HTTP/1.1", 0
        while line := (await reader.readline()).decode("latin-1").strip().lower():
            name, _, value = line.partition(":")
            keep = "close" not in value if name == "connection" else keep
            length = int(value) if name == "content-length" else length
        await reader.readexactly(length)
        path, _, query = target.partition("?")
        return path, query.rpartition("=")[2], keep

    def _response(self, status: int, body: str, keep: bool) -> bytes:
        connection = "keep-alive" if keep else "close"
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        return (
            f"{head}X-Host: {self.host}\r\nX-Version: {self.version}\r\nConnection: {connection}\r\n\r\n{body}".encode()
        )


async def main() -> None:
    app, ended, loop = App(), asyncio.Event(), asyncio.get_running_loop()
    if os.environ.get("IGNORE_TERM"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGINT, ended.set)
    port = int(os.environ.get("PORT") or 80)
    server = await asyncio.start_server(app.serve, "0.0.0.0", port, backlog=1024)
    print(f"version {app.version} listens on {port}", flush=True)
    if os.environ.get("CRASH_AFTER"):
        loop.call_later(_number("CRASH_AFTER"), os._exit, 3)
    await ended.wait()
    app.draining = True
    print(f"draining for {_number('GRACE')} s", flush=True)
    await asyncio.sleep(_number("GRACE"))
    server.close()
    while app.busy:  # noqa: ASYNC110 - no event of the app says "idle", and this is its last second
        await asyncio.sleep(0.02)
    print(f"answered {app.answered} requests", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    sys.stdout.flush()
