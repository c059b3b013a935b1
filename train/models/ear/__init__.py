"""The ear: what it is built of, what it is told, and how what it says becomes gates."""
