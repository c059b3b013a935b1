"""One long list of numbers, handed out in the format's order, and counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from captures.document import Part
from common.refusal import Refusal


class Weights:
    """The weights of a ``.nam`` file: whoever reads takes what is next.

    Beyond the end zeros are given, so that the count at the end says how many there should have been.
    """

    def __init__(self, document: Part):
        listed: list[Any] = document.items("weights")
        self.where = document.where
        self.values = document.checked("weights", listed, (len(listed),))
        self.taken = 0

    def take(self, *shape: int) -> np.ndarray:
        """The next numbers, row by row in a shape."""
        count = int(np.prod(shape))
        found = self.values[self.taken : self.taken + count]
        self.taken += count
        return np.concatenate([found, np.zeros(count - found.size)]).reshape(shape)

    def number(self) -> float:
        """The next number."""
        return float(self.take(1)[0])

    def close(self, architecture: str) -> int:
        """Count.

        Raises
        ------
        Refusal
            More or fewer than the architecture has.
        """
        if self.taken != self.values.size:
            raise Refusal(
                f"{self.where} holds {self.values.size:,} weights, but its {architecture} has "
                f"{self.taken:,}; the file is damaged, download or export it again."
            )
        return self.taken
