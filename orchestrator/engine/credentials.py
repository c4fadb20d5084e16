"""Registry credentials of this machine, for containers that may use them (`use_api_socket`)."""

from __future__ import annotations

import json
from typing import Any

KEPT = (("Username", "username"), ("Password", "password"), ("IdentityToken", "identitytoken"))
"""(the SDK's word, the word of docker's configuration file)"""


def docker_config() -> bytes:
    """A `config.json` of docker with every credential that docker here knows, its helpers asked. Read anew each time.

    raises OSError, docker.errors.DockerException: the configuration or a helper of it can't be read
    """
    from docker.auth import AuthConfig

    known = AuthConfig.load_config(None, None).get_all_credentials()  # type: ignore[no-untyped-call]
    auths = {registry: _entry(entry) for registry, entry in sorted(known.items()) if entry}
    return json.dumps({"auths": {name: entry for name, entry in auths.items() if entry}}).encode()


def _entry(entry: dict[str, Any]) -> dict[str, str]:
    found = {ours: str(entry[theirs]) for theirs, ours in KEPT if entry.get(theirs)}
    return found | {ours: str(entry[ours]) for _, ours in KEPT if entry.get(ours)}
