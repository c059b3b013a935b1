"""Roles of models that a kind shares or that need a file of their own."""
