"""The room `engine` of docs/explanation/design.md."""
