"""`orch configs`: what stack files mean by `external: true` under `configs`. `orch config` is Docker Compose's verb."""

from __future__ import annotations

from orchestrator.cli.named import group

command = group("configs", "config")
