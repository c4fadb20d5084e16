"""What went wrong on an engine, as one of our errors: the daemon's own words as the reason, and what to do about it.

Tables, first match wins. Sources: the messages of Docker Engine 20.10, 26.1 and of the Go and OCI layers under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.engine.calls import DeadlinePassed
from orchestrator.engine.scope import Abandoned
from orchestrator.errors import Conflict, EngineError, NotFound, Refused, TooOld, Unreachable

_Kind = type[EngineError]

BY_STATUS: dict[int, _Kind] = {404: NotFound, 409: Conflict}
"""Every other status is Refused, unless the message says better."""

SWARM: tuple[tuple[str, _Kind | None, str], ...] = (
    (
        r"does not have a leader|manager is being prepared|rpc error: code = (DeadlineExceeded|Unavailable|Canceled)",
        Unreachable,
        "bring the hosts of the swarm's managers back; if more than half are gone for good: orch cluster repair",
    ),
    (r"timeout was reached before node joined", Unreachable, "bring the manager's host back"),
    (r"already part of a swarm", Conflict, "if nobody needs that swarm: docker swarm leave --force on this host"),
    (r"join token|remote CA does not match", Refused, "ask a manager of that swarm for its token again"),
    (r"live-restore.* incompatible", Refused, 'take "live-restore" out of daemon.json on this host'),
    (r"could not choose an ip address to advertise", Refused, "name the address where the other hosts reach this one"),
    (r"last manager", Refused, "make another member a manager first"),
    (r"^node \S+ not found", NotFound, "see which members there are: orch cluster status"),
    (r"participating as a manager", Refused, "make it a plain member first"),
    (r"not (a swarm manager|part of a swarm)|from a worker node", Refused, "ask a node that is a manager"),
)
"""What swarm mode says; only its networks are used."""

BY_MESSAGE: tuple[tuple[str, _Kind | None, str], ...] = (
    # (pattern in the daemon's message, kind or None for that of the status, what to do)
    (
        r"port is already allocated|address already in use|failed to bind host port",
        Refused,
        "another container or program on this host has the port: stop it, or publish another port",
    ),
    (
        r"no space left on device|disk quota exceeded",
        Refused,
        "free space on the host: docker system df, docker system prune",
    ),
    (r"container name .* is already in use", Conflict, "remove or rename the other container: docker rm -f NAME"),
    (
        r"pull access denied|access to the resource is denied|unauthorized|authentication required|no basic auth",
        NotFound,
        "check the image's name; if it is private, docker login to its registry first",
    ),
    (r"manifest (unknown|for .* not found)|no matching manifest", NotFound, "check the image's tag and platform"),
    (r"toomanyrequests|rate limit", Refused, "docker login to the registry, or wait"),
    (
        r"(registry|/v2/).*(dial tcp|no such host|timeout|connection refused|no route to host|unreachable)",
        Refused,
        "this host reaches no registry: check its network and proxy, or load the image with docker load",
    ),
    (r"no such image|image .* not found", NotFound, "build it, pull it, or load it with docker load"),
    (
        r"could not attach to network .*(code = NotFound|network \S+ not found)",
        NotFound,
        "create the network again: orch up",
    ),
    (
        r"could not attach to network .*(code = (PermissionDenied|InvalidArgument)|not manually attachable)",
        Refused,
        "make the network attachable",
    ),
    (r"could not attach to network", Unreachable, "the network's managers are out of reach: bring their hosts back"),
    (
        r"attaching to network failed",
        Refused,
        "the managers of the network gave it no address in time: is one free, and is a fixed one not taken already?",
    ),
    (r"no available ipv[46] addresses", Refused, "remove containers, or make the network again with a larger subnet"),
    (r"could not find an available.* address pool", Refused, "remove unused networks, or name the network's subnet"),
    *SWARM,
    (r"mount path must be absolute", Refused, "begin the path in the container with a slash"),
    (
        r"bind source path does not exist|mount source path|invalid mount config",
        Refused,
        "create that path on the host",
    ),
    (r"has active endpoints|volume is in use|is in use", Conflict, "remove the containers that use it first"),
    (r"no such container|is not running|not running$", None, ""),
    (r"network .* not found|could not find the corresponding network", NotFound, "create the network again: orch up"),
    (r"executable file not found|no such file or directory: unknown", Refused, "check the command and the entrypoint"),
    (r"permission denied: unknown", Refused, "make the command executable in the image"),
    (r"client version .* is too (new|old)", TooOld, "use a Docker Engine of version 20.10 or later"),
    (r"requires? (at least )?api version|not supported.*api version", TooOld, "use a later Docker Engine on this host"),
    (r"http request to an https server", Refused, 'the engine wants TLS: write "tcp://HOST:PORT?certs=DIRECTORY"'),
    (
        r"could not select device driver|unknown runtime|unknown or invalid runtime",
        Refused,
        "install that runtime on the host",
    ),
    (r"pool overlaps|overlaps with other", Refused, "choose another subnet for the network"),
)

BY_CONNECTION: tuple[tuple[str, _Kind, str], ...] = (
    # (pattern in the whole chain of causes of a call that got no answer, kind, what to do)
    (r"PermissionError", Refused, "run as root, or add this user to the group that owns the socket (docker)"),
    (
        r"certificate required|bad certificate|handshake failure|CERTIFICATE_REQUIRED",
        Refused,
        'the engine wants a client certificate: name its directory, "tcp://HOST:PORT?certs=DIRECTORY"',
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|doesn't match|hostname mismatch|unknown ca",
        Refused,
        "the engine's certificate is not from the CA in ca.pem, or for another name: check certs= and the address",
    ),
    (r"WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL", Refused, "the engine speaks no TLS at this port: leave certs= out"),
    (r"FileNotFoundError|ConnectionRefusedError", Unreachable, "is dockerd running? systemctl status docker"),
    (r"NameResolutionError|gaierror", Unreachable, "check the host's name in the endpoint"),
    (r"", Unreachable, "is dockerd running, and is the host up and in reach?"),
)


class StreamedError(Exception):
    """The engine's own words, said in a stream that had begun well."""


_FAMILIES = frozenset({"requests", "urllib3", "docker", "http"})


def is_a_failure(error: BaseException) -> bool:
    """False for a fault of our own code, which must not look like an engine that is away."""
    known = isinstance(error, EngineError | OSError | DeadlinePassed | Abandoned | StreamedError)
    return known or type(error).__module__.partition(".")[0] in _FAMILIES


def explained(error: BaseException, *, node: str, doing: str) -> EngineError:
    """`error` of the SDK, of HTTP, of sockets or of our deadline, as one of ours. `doing`: `start container "web"`."""
    if isinstance(error, EngineError):
        return error if error.where else type(error)(error.what, where=node, why=error.why, fix=error.fix)
    if isinstance(error, DeadlinePassed):
        fix = "see whether dockerd and its host are overloaded or hung: docker info"
        return Unreachable(f"can't {doing}", where=node, why=str(error), fix=fix)
    if isinstance(error, StreamedError):
        return refusal(str(error), 500, node=node, doing=doing)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return refusal(_message(error), status, node=node, doing=doing)
    return _no_answer(error, node=node, doing=doing)


def refusal(message: str, status: int, *, node: str, doing: str) -> EngineError:
    """What the daemon's `message` means. `status`: the HTTP status, or 500 for an error inside of a stream."""
    kind = BY_STATUS.get(status, Refused)
    fix = ""
    for pattern, better, advice in BY_MESSAGE:
        if re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            kind, fix = better or kind, advice
            break
    return kind(f"can't {doing}", where=node, why=message, fix=fix)


NO_MANAGER = "the managers of the networks across hosts are out of reach"


def managers_away(error: EngineError, managers: Sequence[str]) -> Unreachable:
    """A container can't be attached to a network: no fault of its own. `managers`: those that its node knows."""
    why = f"{NO_MANAGER} ({', '.join(managers) or 'none is known'}): {error.why}"
    fix = "bring back the host that is a manager; if more than half of them are gone for good: orch cluster repair"
    return Unreachable(error.what, where=error.where, why=why, fix=fix)


def another_swarm(node: str, state: str, error: str = "") -> Conflict:
    return Conflict(
        "can't join the networks across hosts",
        where=node,
        why=error or f"this engine is part of another swarm ({state})",
        fix="if nobody needs that swarm any more: docker swarm leave --force on this host",
    )


def not_held(network: str, *, node: str, why: str) -> NotFound:
    """No pin of that network runs there."""
    fix = "the next pass holds it again: orch up"
    return NotFound(f'network "{network}" is not held on this node', where=node, why=why, fix=fix)


def _no_answer(error: BaseException, *, node: str, doing: str) -> EngineError:
    chain = tuple(_chain(error))
    text = "\n".join(repr(cause) for cause in chain)
    kind, fix = next((k, f) for pattern, k, f in BY_CONNECTION if re.search(pattern, text, re.IGNORECASE))
    return kind(f"can't {doing}", where=node, why=_reason(chain), fix=fix)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that is wrapped in it, outermost first: requests and urllib3 nest by arguments, too."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]


def _reason(chain: tuple[BaseException, ...]) -> str:
    """The innermost cause in plain words."""
    if any(isinstance(cause, Abandoned) for cause in chain):
        return "the call was given up"
    system = [cause for cause in chain if isinstance(cause, OSError) and cause.strerror]
    if system:
        return _plain(system[-1].strerror or "").lower()
    return _plain(str(chain[-1])) or type(chain[-1]).__name__


def _plain(text: str) -> str:
    return re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?|\[SSL: \w+\] | \(_ssl\.c:\d+\)", "", text).strip()


def _message(error: BaseException) -> str:
    message = getattr(error, "explanation", None) or str(error)
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    return str(message).strip()
