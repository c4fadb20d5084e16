"""Where an engine is: `unix://`, `tcp://` (with TLS), `ssh://`, or the name of a docker context.

TLS material is part of the endpoint, so that one word in the node registry is enough: `tcp://10.0.0.1:2376?certs=/dir`
with `ca.pem`, `cert.pem` and `key.pem` in that directory, as `docker` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from orchestrator.errors import UsageError

DEFAULT = "unix:///var/run/docker.sock"
FORMS = '"unix:///path", "tcp://host:port", "tcp://host:port?certs=/directory" or "ssh://user@host"'


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint in parts. `path` is the socket: here for unix, on the remote host for ssh.

    certs:  directory of the TLS material; empty: no TLS.
    verify: False only where a docker context says `SkipTLSVerify`.
    """

    scheme: str
    host: str = ""
    port: int = 0
    user: str = ""
    path: str = ""
    certs: str = ""
    verify: bool = True


def parse_endpoint(text: str) -> Endpoint:
    """The parts of `text`; raises UsageError with the forms that exist."""
    url = urlsplit(text)
    parse = {"unix": _unix, "tcp": _tcp, "http": _tcp, "https": _tcp, "ssh": _ssh}.get(url.scheme)
    try:
        if parse is None or not (url.path if url.scheme == "unix" else url.hostname):
            raise ValueError("it names no engine")
        return parse(text)
    except ValueError as error:
        raise UsageError(f'"{text}" is no endpoint of an engine', why=str(error), fix=f"write {FORMS}") from error


def _unix(text: str) -> Endpoint:
    return Endpoint(scheme="unix", path=text.removeprefix("unix://"))


def _tcp(text: str) -> Endpoint:
    url = urlsplit(text)
    query = parse_qs(url.query, strict_parsing=bool(url.query))
    if unknown := set(query) - {"certs", "verify"}:
        raise ValueError(f'it has "{min(unknown)}", which means nothing here')
    certs = query.get("certs", [""])[0]
    port = url.port or (2376 if certs else 2375)
    verify = query.get("verify", ["yes"])[0] != "no"
    return Endpoint(scheme="tcp", host=url.hostname or "", port=port, certs=certs, verify=verify)


def _ssh(text: str) -> Endpoint:
    url = urlsplit(text)
    path = url.path if url.path not in ("", "/") else "/var/run/docker.sock"
    return Endpoint(scheme="ssh", host=url.hostname or "", port=url.port or 0, user=url.username or "", path=path)


def default_endpoint(env: Mapping[str, str]) -> str:
    """The engine that `docker` itself would talk to.

    DOCKER_HOST, else DOCKER_CONTEXT, else the current context of docker's configuration, else the local socket.
    Source: Docker CLI reference, environment variables and `docker context`.
    """
    if host := env.get("DOCKER_HOST"):
        return _with_tls(host, env) if host.startswith("tcp://") else host
    name = env.get("DOCKER_CONTEXT") or _current_context(env)
    return DEFAULT if name in ("", "default") else context_endpoint(name)


def _with_tls(host: str, env: Mapping[str, str]) -> str:
    if not (env.get("DOCKER_TLS_VERIFY") or env.get("DOCKER_TLS")) or "?" in host:
        return host
    directory = env.get("DOCKER_CERT_PATH") or str(_config_directory(env))
    return with_certs(host, directory, verify=bool(env.get("DOCKER_TLS_VERIFY")))


def with_certs(host: str, directory: str, *, verify: bool = True) -> str:
    """`host` with its TLS material."""
    return f"{host}?certs={quote(directory)}" + ("" if verify else "&verify=no")


def _config_directory(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "~").expanduser() / ".docker")


def _current_context(env: Mapping[str, str]) -> str:
    """Read here and not by the SDK, which takes no environment but the process's own."""
    try:
        config = msgspec.json.decode((_config_directory(env) / "config.json").read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError):
        return ""
    return str(config.get("currentContext") or "")


def context_endpoint(name: str) -> str:
    """The endpoint of a docker context; raises UsageError when docker has none of that name."""
    from docker.context import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_context(name)
    except (DockerException, OSError, ValueError) as error:
        raise UsageError(f'docker has no usable context "{name}"', why=str(error), fix="docker context ls") from error
    if context is None:
        raise UsageError(f'docker has no context "{name}"', fix="docker context ls")
    docker = context.endpoints.get("docker", {})
    host = str(docker.get("Host") or DEFAULT)
    directory = Path(str(context.tls_path)) / "docker"
    if host.startswith("tcp://") and directory.is_dir():
        return with_certs(host, str(directory), verify=not docker.get("SkipTLSVerify"))
    return host
