"""Do packets pass? What a holder is told to ask its peers, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.errors import EngineError

MOST = 1024
"""Addresses in one command."""
OK = "ok"
MEANINGS: Mapping[str, str] = {
    OK: "16 KB came through",
    "refused": "the address answers, but no holder runs there",
    "unreachable": "there is no way to the address",
    "timeout": "nothing came back",
    "stalled": "small packets pass and large ones don't: the MTU between the hosts is too small",
    "wrong": "another program answers at this address",
}
"""By the helper's word for it; any other error is "errno N"."""


def reach_arguments(addresses: Sequence[str], *, within_s: float) -> tuple[str, ...]:
    """What PROGRAM is given to ask the holders at these IPv4 addresses (at most MOST), all at once."""
    assert 0 < len(addresses) <= MOST, "the helper asks 1 to 1024 addresses"
    return ("reach", str(round(within_s * 1000)), *addresses)


def parse_reach(text: str) -> Mapping[str, str]:
    """Address -> word (a key of MEANINGS or "errno N"), in the order of asking.

    text: the output of `orch-helper reach`, which ends with 0 when all are OK and with 1 when some are not.
    raises EngineError: it is none.
    """
    found = {}
    for line in text.splitlines():
        address, _, word = line.partition(" ")
        if word not in MEANINGS and not word.startswith("errno "):
            raise EngineError("nobody knows whether packets pass", why=f'the helper said "{line}"')
        found[address] = word
    return found


def meaning(word: str) -> str:
    """The word as a cause that a person can act on."""
    return MEANINGS.get(word, f"the connection failed with {word}")
