"""Rewrites of the graph, and the verifier that runs between them."""
