"""Registry credentials of this machine, for containers that may use them (`use_api_socket`)."""

from __future__ import annotations

import base64
import json
from typing import Any

WORDS = ("Username", "Password", "IdentityToken")


def docker_config() -> bytes:
    """A `config.json` of docker with every credential that docker here knows, its helpers asked. Read anew each time.

    raises OSError, docker.errors.DockerException: the configuration or a helper of it can't be read
    """
    from docker.auth import AuthConfig

    known = AuthConfig.load_config(None, None).get_all_credentials()  # type: ignore[no-untyped-call]
    auths = {registry: _entry(entry) for registry, entry in sorted(known.items()) if entry}
    return json.dumps({"auths": {name: entry for name, entry in auths.items() if entry}}).encode()


def _entry(known: dict[str, Any]) -> dict[str, str]:
    """As docker writes it. The SDK's words begin with a capital where a helper has said them."""
    name, password, token = (str(known.get(key) or known.get(key.lower()) or "") for key in WORDS)
    found = {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()} if name else {}
    return found | ({"identitytoken": token} if token else {})
