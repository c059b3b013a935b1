"""What a room raises when it cannot do what was asked, and the kinds of it that callers tell apart."""

from __future__ import annotations


class Refusal(ValueError):
    """One plain sentence: what is wrong, where, and what to do. The command line exits with status 2."""

    exit_status = 2


class DoesNotFit(Refusal):
    """Something is too large or too slow for the board; a smaller one would be taken."""


class ToolMissing(Refusal):
    """A program or library from outside is not installed; everything up to it was done."""


class ModuleGone(Refusal):
    """The module on the other end of the cable no longer answers."""


class CannotWrite(Refusal):
    """The disk says no; what was there before stays.

    Attributes
    ----------
    reason : str
        The system's own words.
    """

    def __init__(self, path: object, reason: object):
        super().__init__(f"cannot write {path} ({reason}); make room or choose another place.")
        self.reason = str(reason)


class LeftOut(Exception):
    """Why one file of many cannot be used, as the end of a sentence that begins with its name.

    Who reads a folder goes on without it and tells the reason; who was given this one file refuses.
    """
