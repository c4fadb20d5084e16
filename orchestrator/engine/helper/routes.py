"""What a host's routes already use, read out of the helper's output, so that new networks keep clear of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from orchestrator.errors import EngineError

COMMAND = ("routes",)
"""For a container with the host's network."""
_HEADER = ["Iface", "Destination", "Gateway"]
_V6_FIELDS = 10
_ON_EVERY_HOST = tuple(map(ipaddress.IPv6Network, ("::1/128", "fe80::/10", "ff00::/8")))
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_routes(text: str) -> tuple[str, ...]:
    """The networks that the host has routes to ("10.0.0.0/24", "fd00::/64"): IPv4 first, ascending, each once.

    Left out: default routes, also the two halves that VPNs lay over them, and of IPv6 what every host has (loopback,
    link-local, multicast). Blackhole routes are in: who reserves a range (Calico, say) lays one.

    text: the output of `orch-helper routes`, of a host with little-endian words, as all that it is built for.
    raises EngineError: it is none, or was cut.
    Source: Linux, net/ipv4/fib_trie.c (fib_route_seq_show) and net/ipv6/route.c (rt6_info_route).
    """
    lines = [line.split() for line in text.splitlines()]
    if not lines or lines[0][:3] != _HEADER:
        raise _unreadable(text.partition("\n")[0])
    found = {network for line in lines[1:] if line for network in _networks(line)}
    return tuple(map(str, sorted(found, key=lambda net: (net.version, int(net.network_address), net.prefixlen))))


def _networks(fields: Sequence[str]) -> tuple[_Network, ...]:
    """The network of one line when it counts."""
    read: Callable[[Sequence[str]], _Network] = _ipv6 if len(fields) == _V6_FIELDS else _ipv4
    try:
        network = read(fields)
    except (ValueError, IndexError) as error:
        raise _unreadable(" ".join(fields)) from error
    return (network,) if _counts(network) else ()


def _ipv4(fields: Sequence[str]) -> ipaddress.IPv4Network:
    """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT; addresses are words of the host."""
    address, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
    if len(fields[1]) != 8 or len(fields[7]) != 8:
        raise ValueError(fields)
    return ipaddress.IPv4Network((address, str(ipaddress.IPv4Address(mask))))


def _ipv6(fields: Sequence[str]) -> ipaddress.IPv6Network:
    """Destination prefix source prefix gateway metric references use flags Iface; all in hex, no header."""
    if len(fields[0]) != 32:
        raise ValueError(fields)
    return ipaddress.IPv6Network((bytes.fromhex(fields[0]), int(fields[1], 16)))


def _counts(network: _Network) -> bool:
    if network.prefixlen <= 1:
        return False
    return isinstance(network, ipaddress.IPv4Network) or not any(map(network.subnet_of, _ON_EVERY_HOST))


def _unreadable(line: str) -> EngineError:
    return EngineError("the host's routes can't be read", why=f'the helper said "{line}"')
