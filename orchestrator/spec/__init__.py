"""The room `spec` of docs/explanation/design.md."""
