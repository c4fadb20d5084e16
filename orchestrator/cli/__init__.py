"""`orch`: commands, client, output. The only room that prints."""


def main() -> None:
    """The entry point of the `orch` command."""
    raise SystemExit("orch: not built yet")
