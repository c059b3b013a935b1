"""What this room raises when it cannot do what was asked."""

from __future__ import annotations


class Refusal(ValueError):
    """One plain sentence: what is wrong, where, and what to do. The command line exits with status 2."""

    exit_status = 2
