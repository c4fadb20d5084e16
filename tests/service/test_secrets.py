"""Contents of secrets: in their containers, and nowhere else."""

from __future__ import annotations

import msgspec

from orchestrator.model.names import (
    content_digest,
)
from orchestrator.model.shared import FileSpec
from orchestrator.model.spec import FileGrant
from orchestrator.service.request import UpRequest
from tests.reconciler.cluster import SHOP, Cluster, made
from tests.service.shop import WEB


def with_secret(content: bytes) -> UpRequest:
    digest = content_digest(content)
    stack = made({"web": None})
    service = msgspec.structs.replace(
        stack.services[WEB], secrets=(FileGrant(source="pw", target="/run/secrets/pw", uid="7", mode=0o400),)
    )
    secret = FileSpec(key="pw", name="shop_pw", digest=digest)
    stack = msgspec.structs.replace(stack, services={WEB: service}, secrets={"pw": secret})
    return UpRequest(stack=stack, contents={digest: content})


async def test_a_secret_is_in_its_container_and_nowhere_else() -> None:
    cluster, content = Cluster(), b"correct horse battery staple"
    async with cluster.control() as control:
        await control.up(with_secret(content))
        assert (await control.converge(SHOP, cluster.events.append)).converged

    file = cluster.n1.files("shop-web-1")["/run/secrets/pw"]
    assert (file.content, file.uid, file.mode) == (content, 7, 0o400)
    stored = b"".join(entry.value for entry in await cluster.store.list(""))
    told = b"".join(msgspec.json.encode(event) for event in cluster.events)
    for hidden in (content, content.hex().encode()):
        assert hidden not in stored
        assert hidden not in told
    containers = msgspec.json.encode(await cluster.containers())
    assert content not in containers


async def test_another_content_of_a_secret_replaces_the_container() -> None:
    cluster = Cluster()
    async with cluster.control() as control:
        await control.up(with_secret(b"old"))
        assert (await control.converge(SHOP, cluster.events.append)).converged
        await control.up(with_secret(b"new"))
        assert (await control.converge(SHOP, cluster.events.append)).converged

    assert cluster.n1.files("shop-web-1")["/run/secrets/pw"].content == b"new"


async def test_a_secret_that_the_store_has_lost_is_a_failure_that_says_what_to_do() -> None:
    cluster = Cluster()
    request = with_secret(b"gone")
    async with cluster.control() as control:
        await control.up(msgspec.structs.replace(request, contents={}))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert not outcome.converged
    assert any("up" in b.fix for b in outcome.blocked)


async def test_an_id_that_is_no_number_is_a_failure_and_no_mistake_of_ours() -> None:
    cluster = Cluster()
    request = with_secret(b"x")
    grant = FileGrant(source="pw", target="/run/secrets/pw", uid="postgres")
    service = msgspec.structs.replace(request.stack.services[WEB], secrets=(grant,))
    stack = msgspec.structs.replace(request.stack, services={WEB: service})
    async with cluster.control() as control:
        await control.up(msgspec.structs.replace(request, stack=stack))
        outcome = await control.converge(SHOP, cluster.events.append, wait_timeout_s=2)

    assert any('"postgres"' in b.reason for b in outcome.blocked)
