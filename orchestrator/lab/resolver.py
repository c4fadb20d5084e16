"""The hub's name server: it knows no name and says so at once. Run as a script inside the hub's network namespace.

Without it each unknown name costs a container 5 s, because no packet of the lab ever finds a real name server.
It is also the process that keeps the hub's namespace in being. Standard library only; started with `-I -S`.
"""

import socket

_HEADER = 12
_NXDOMAIN = 3


def refusal(query: bytes) -> bytes:
    """The answer NXDOMAIN to a DNS query: its id and its one question again, nothing else. Source: RFC 1035, 4.1.

    Raises ValueError for what is no query.
    """
    end = query.index(b"\0", _HEADER) + 5
    flags = bytes([0x80 | (query[2] & 0x79), 0x80 | _NXDOMAIN])
    return query[:2] + flags + b"\0\1" + bytes(6) + query[_HEADER:end]


def serve(port: int = 53) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    while True:
        try:
            query, client = server.recvfrom(4096)
            server.sendto(refusal(query), client)
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    serve()
