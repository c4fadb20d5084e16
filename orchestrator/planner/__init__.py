"""The room `planner` of docs/explanation/design.md."""
