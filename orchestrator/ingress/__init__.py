"""The room `ingress` of docs/explanation/design.md."""
