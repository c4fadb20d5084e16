"""The room `reconciler` of docs/explanation/design.md."""
