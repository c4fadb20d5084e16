"""What people can ask of orch, in this process (`open_control`); `orch serve` will offer the same over HTTP."""
