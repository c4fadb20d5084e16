"""The room `lab` of docs/explanation/design.md."""
