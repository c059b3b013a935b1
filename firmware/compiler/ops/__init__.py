"""One file an operator family: its check, its streaming rule, its cost, its kernel."""
