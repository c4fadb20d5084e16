"""`ports`: the short form `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, ranges included, as long forms.

Source: Compose Specification, `ports`; docker/go-connections for the corners.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

PROTOCOLS = ("tcp", "udp", "sctp")


class PublishedPort(NamedTuple):
    """One container port. `published` is "", a number, or a range where only one container port is named."""

    target: int
    published: str
    host_ip: str
    protocol: str


def parse(spec: str) -> list[PublishedPort]:
    """What a short form stands for, in the text order of the container ports, as Docker Compose has it.

    Raises ValueError with the reason.
    """
    address, host, container = _parts(spec)
    container, protocol = _protocol(container)
    targets = port_range(container, "container port")
    if not targets[0]:
        raise ValueError("a container has no port 0")
    published = _published(host, targets)
    host_ip = _host_ip(address)
    ports = [PublishedPort(target, text, host_ip, protocol) for target, text in zip(targets, published, strict=True)]
    return sorted(ports, key=lambda port: f"{port.target}/{port.protocol}")


def _parts(spec: str) -> tuple[str, str, str]:
    parts = spec.split(":")
    if len(parts) == 1:
        return "", "", parts[0]
    return ":".join(parts[:-2]), parts[-2], parts[-1]


def _protocol(container: str) -> tuple[str, str]:
    port, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ValueError(f'"{protocol}" is no protocol: tcp, udp or sctp')
    return port, protocol


def port_range(text: str, what: str) -> range:
    """`80` or `80-90`; `what` it is, for the ValueError."""
    if not text:
        raise ValueError(f"no {what} is given")
    first, _, last = text.partition("-")
    start, end = _port(first, what), _port(last, what) if "-" in text else _port(first, what)
    if end < start:
        raise ValueError(f'the range "{text}" runs backwards')
    return range(start, end + 1)


def _port(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
        raise ValueError(f'"{text}" is no {what}: 0 to 65535')
    return int(text)


def _published(host: str, targets: range) -> list[str]:
    if not host:
        return [""] * len(targets)
    ports = port_range(host, "host port")
    if len(ports) == len(targets):
        return [str(port) for port in ports]
    if len(targets) != 1:
        raise ValueError("the ranges of host and container ports differ in length")
    return [f"{ports[0]}-{ports[-1]}"]


def _host_ip(address: str) -> str:
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if not bare:
        return ""
    try:
        if "%" in bare:
            raise ValueError("an address of a port has no zone")
        ipaddress.ip_address(bare)
    except ValueError as error:
        raise ValueError(f'"{address}" is no IP address') from error
    return bare
