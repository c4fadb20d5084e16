"""The room `store` of docs/explanation/design.md."""
