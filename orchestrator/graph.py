"""ServiceGraph over networkx."""
