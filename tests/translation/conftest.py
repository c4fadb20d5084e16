"""Real engines of two versions."""

from __future__ import annotations

from tests.labs import engine_socket, labs

__all__ = ["engine_socket", "labs"]
