"""What an engine's words become: the kind of error, and what a person can do."""

from __future__ import annotations

import pytest

from orchestrator.engine import connect
from orchestrator.engine.failures import refusal
from orchestrator.errors import Conflict, EngineError, NotFound, Refused, TooOld, Unreachable
from orchestrator.model.names import NodeName

SAID: tuple[tuple[int, str, type[EngineError], str], ...] = (
    # (status, the daemon's message as recorded on 20.10 or 26.1, kind, a part of the fix)
    (404, "No such image: a:1", NotFound, "pull it"),
    (404, "No such container: a", NotFound, ""),
    (409, 'Conflict. The container name "/a" is already in use by container "b".', Conflict, "rename"),
    (409, "Container b is not running", Conflict, ""),
    (403, "error while removing network: network a id b has active endpoints", Conflict, "remove the containers"),
    (409, "remove a: volume is in use - [b]", Conflict, "remove the containers"),
    (500, "Bind for 0.0.0.0:80 failed: port is already allocated", Refused, "publish another port"),
    (
        500,
        "driver failed programming external connectivity on endpoint a (b): Error starting userland proxy: "
        "listen tcp4 0.0.0.0:80: bind: address already in use",
        Refused,
        "publish another port",
    ),
    (
        500,
        "failed to create shim task: failed to mkdir /var/lib/docker/overlay2/x: no space left on device",
        Refused,
        "docker system prune",
    ),
    (
        404,
        "pull access denied for a, repository does not exist or may require 'docker login': denied: requested access "
        "to the resource is denied",
        NotFound,
        "docker login",
    ),
    (404, "manifest for a:9 not found: manifest unknown: manifest unknown", NotFound, "tag"),
    (500, "toomanyrequests: You have reached your pull rate limit.", Refused, "docker login"),
    (
        500,
        'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
        Refused,
        "reaches no registry",
    ),
    (
        500,
        'Get "https://r:5000/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)',
        Refused,
        "reaches no registry",
    ),
    (
        400,
        'invalid mount config for type "bind": bind source path does not exist: /a',
        Refused,
        "create that path",
    ),
    (
        500,
        "Could not attach to network ov: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        Unreachable,
        "managers",
    ),
    (400, "client version 1.45 is too new. Maximum supported API version is 1.41", TooOld, "20.10"),
    (400, 'exec: "a": executable file not found in $PATH: unknown', Refused, "entrypoint"),
    (403, "Pool overlaps with other one on this address space", Refused, "subnet"),
    (400, "Unknown runtime specified gone", Refused, "runtime"),
    (500, "something nobody has heard of", Refused, ""),
)


@pytest.mark.parametrize(("status", "message", "kind", "fix"), SAID)
def test_the_engines_words_have_a_kind_and_a_way_out(
    status: int, message: str, kind: type[EngineError], fix: str
) -> None:
    error = refusal(message, status, node="n1", doing='start container "a"')

    assert type(error) is kind
    assert (error.what, error.where, error.why) == ('can\'t start container "a"', "n1", message)
    assert fix in error.fix
    assert bool(fix) == bool(error.fix)


@pytest.mark.parametrize(
    ("endpoint", "kind", "why", "fix"),
    [
        ("unix:///nowhere/docker.sock", Unreachable, "no such file or directory", "is dockerd running?"),
        ("tcp://127.0.0.1:1", Unreachable, "connection refused", "is dockerd running?"),
        ("tcp://127.0.0.1:1?certs=/nowhere", Refused, "ca.pem is missing", "certs="),
    ],
)
async def test_no_answer_has_a_kind_and_a_way_out(endpoint: str, kind: type[EngineError], why: str, fix: str) -> None:
    engine = connect(NodeName("n1"), endpoint)

    with pytest.raises(kind) as caught:
        await engine.facts()
    assert (caught.value.where, caught.value.why) == ("n1", why)
    assert fix in caught.value.fix
    with pytest.raises(kind):
        await engine.ping()
    with pytest.raises(kind):
        await anext(engine.events())
    await engine.close()
