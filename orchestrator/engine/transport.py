"""The docker SDK's low-level client, made fit for a controller: one pool per daemon, every socket in its call's scope.

What the SDK does well is used as it is: the Engine API's paths, TLS files, registry credentials, multiplexed streams.
"""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import quote

import requests
import urllib3
from docker import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import TLSParameterError, create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.transport.unixconn import UnixHTTPConnection
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from orchestrator.engine.calls import THREADS
from orchestrator.engine.endpoint import Endpoint
from orchestrator.engine.scope import Scope, current_scope
from orchestrator.errors import Refused

CONNECT_S = 10.0
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""A silent event stream to a host that is gone ends within 11 s, instead of never (measured)."""


class _Scoped:
    """Registers the socket with the call under way, also one that is used again."""

    sock: socket.socket | None
    _scope: Scope | None = None
    """That of the call that used it last, which may go on with another connection."""

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        scope = current_scope.get()
        if scope is not None:
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            assert self.sock is not None, "a connection that has connected has a socket"
            self.sock.settimeout(scope.timeout_s)
            if self._scope is not None:
                self._scope.release(self.sock)
            scope.use(self.sock)
            self._scope = scope
        super().putrequest(*args, **kwargs)  # type: ignore[misc]


class _UnixConnection(_Scoped, UnixHTTPConnection):
    pass


class _PlainConnection(_Scoped, HTTPConnection):
    pass


class _TlsConnection(_Scoped, HTTPSConnection):
    pass


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_S, maxsize=THREADS)
        self._path = path

    def _new_conn(self) -> Any:
        return _UnixConnection("localhost", self._path, int(CONNECT_S))


class _TcpAdapter(HTTPAdapter):
    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, socket_options=KEEPALIVE, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


class _UnixAdapter(HTTPAdapter):
    """The SDK's own makes a pool, so a connection, for each URL."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = _UnixPool(path)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, *_: Any) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self._pool.close()
        self._pool = _UnixPool(self._pool._path)
        super().close()


class Api(APIClient):
    """The SDK's client on our connections. Nothing is contacted by making one."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(version=MINIMUM_DOCKER_API_VERSION, **_location(endpoint))
        self.trust_env = False  # else REQUESTS_CA_BUNDLE takes the place of the engine's own CA
        self._link: HTTPAdapter
        if endpoint.scheme == "unix":
            self._link = _UnixAdapter(endpoint.path)
            self.mount("http+docker://", self._link)
        else:
            self._link = _TcpAdapter(pool_maxsize=THREADS)
            for prefix in ("http://", "https://"):
                self.mount(prefix, self._link)

    def speak(self, version: tuple[int, int]) -> None:
        """Use that version of the API from now on."""
        self._version = "{}.{}".format(*version)

    def forget_connections(self) -> None:
        """Closes the idle ones: after a host came back they are dead without knowing it."""
        self._link.close()

    def ask(self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> Any:
        """The answer of one call as JSON, for what the SDK's own methods can't say. None where there is no content."""
        headers = {"Content-Type": "application/json"} if body is not None else None
        response = self.open(method, path, params=params, json=body, headers=headers)
        return response.json() if response.content else None

    def open(self, method: str, path: str, *, is_versioned: bool = True, **options: Any) -> requests.Response:
        """The response itself; raises the SDK's APIError for an answer of 400 and above."""
        version = f"/v{self._version}" if is_versioned else ""
        options = self._set_request_timeout(options)
        response = self.request(method, f"{self.base_url}{version}{quote(path)}", **options)
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            raise create_api_error_from_http_exception(error) from error
        return response

    def create(self, body: dict[str, Any], name: str, platform: str) -> dict[str, Any]:
        """`POST /containers/create`; its answer has `Id` and `Warnings`."""
        params = {"name": name, "platform": platform} if platform else {"name": name}
        answer: dict[str, Any] = self.ask("POST", "/containers/create", params=params, body=body)
        return answer

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        scope = current_scope.get()
        assert scope is not None, "each call on an engine has a scope"
        connect_s = min(CONNECT_S, scope.timeout_s or CONNECT_S)
        return kwargs | {"timeout": (connect_s, scope.timeout_s)}


def _location(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.scheme == "unix":
        return {"base_url": f"unix://{endpoint.path}"}
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    if not endpoint.certs:
        return {"base_url": f"tcp://{host}:{endpoint.port}"}
    return {"base_url": f"https://{host}:{endpoint.port}", "tls": _tls(endpoint)}


def _tls(endpoint: Endpoint) -> TLSConfig:
    def file(name: str) -> str | None:
        path = os.path.join(endpoint.certs, name)
        return path if os.path.isfile(path) else None

    cert, key = file("cert.pem"), file("key.pem")
    try:
        if endpoint.verify and file("ca.pem") is None:
            raise TLSParameterError("ca.pem is missing")
        pair = (cert, key) if cert and key else None
        return TLSConfig(client_cert=pair, ca_cert=file("ca.pem"), verify=endpoint.verify)
    except TLSParameterError as error:
        raise Refused(
            f'no usable TLS material in "{endpoint.certs}"',
            why=str(error).partition(". TLS")[0],
            fix="put ca.pem, cert.pem and key.pem there, or name the right directory in the endpoint's certs=",
        ) from error
