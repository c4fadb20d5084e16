"""The room `service` of docs/explanation/design.md."""
