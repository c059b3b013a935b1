"""The memory in front of the core: tightly coupled, or behind two small caches.

16 K of instructions (2-way) and 16 K of data (4-way), 32-byte lines (TRM; STM32H750 data sheet). ITCM and
DTCM cost nothing beyond the issue rules. Everything else costs `line_fill_cycles` of the board file per
line that is not there (derived from bus widths and clocks: predicted). Replacement is LRU: the core's own
policy is not published; for weights that stream through, LRU is the pessimistic choice. A data miss
stalls; PLD starts a fill and does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from hardware.board import Board, Region

LINE_BYTES = 32
INSTRUCTION_WAYS, DATA_WAYS = 2, 4


@dataclass(frozen=True)
class CacheShape:
    """Sizes of the two caches in bytes."""

    instruction_bytes: int = 16384
    data_bytes: int = 16384

    @classmethod
    def of(cls, board: Board) -> CacheShape:
        """Return the caches of `board`; what its file leaves out is the STM32H750's."""
        processor = board.processor
        return cls(processor.icache_bytes or cls.instruction_bytes, processor.dcache_bytes or cls.data_bytes)


def bus_cycles(region: Region) -> int:
    """Core cycles for which one line occupies the bus: the next line waits that long, not the whole latency.

    By the board file a third of a fill is data beats and the rest latency, which overlaps with
    the next fill; two fills at most are under way (*assumed* from the core's two line-fill buffers), one
    in flash.
    """
    return region.line_fill_cycles // 3 if region.kind == "cached" else region.line_fill_cycles
