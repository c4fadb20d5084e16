"""orch: Compose files on one Docker host or many, kept true by a reconciliation loop.

The line of rooms is spec -> graph -> planner -> reconciler -> engine; `docs/explanation/walk.md` follows one
`orch up` through all of them.
"""

__version__ = "0.1.0"
