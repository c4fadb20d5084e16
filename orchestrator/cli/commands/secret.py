"""`orch secret`: what stack files mean by `external: true` under `secrets`."""

from __future__ import annotations

from orchestrator.cli.named import group

command = group("secret", "secret")
