"""The memory plan: where state, passing tensors and weights lie, by traffic (bytes × rate).

Rings and passing tensors make up the state struct; it goes to the fastest region that holds it. Constant
tables follow, busiest first, each into the fastest region with room. Nothing is guessed about caches beyond
one rule: a layer outside of tightly coupled memory fetches its tables anew at every call, unless all such
tables together fit half the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.refusal import DoesNotFit
from firmware.compiler.report import MemoryReport

if TYPE_CHECKING:
    from hardware.board import Board, Region

KINDS_FOR_DATA = ("tcm", "cached", "uncached")
NOT_FOR_DATA = ("itcm",)
"""ITCM is left to code: a load from it is slower than from DTCM."""
STACK = "stack"
"""What a plan calls the room that is left to the stack of a chunk."""
MOST_STACK = 10_240
"""Bytes that a chunk may take from the stack for what passes within it."""


@dataclass(frozen=True)
class Demand:
    """Something that needs memory.

    Attributes
    ----------
    name : str
    bytes : int
    bytes_per_second : float
        Traffic.
    layer : str
        Node it belongs to.
    is_stack : bool
        What a chunk takes from the stack: room for it is left beside the stack, in memory without a cache.
    """

    name: str
    bytes: int
    bytes_per_second: float
    layer: str
    is_stack: bool = False


@dataclass(frozen=True)
class Placement:
    """Where everything lies.

    Attributes
    ----------
    region_of : mapping of demand name to region name
    used : mapping of region to bytes
    left : mapping of region to bytes
    reasons : mapping of demand name to str
        Why it lies there.
    fill_cycles_per_byte : mapping of demand name to float
        Cycles a byte costs to fetch at each call.
    """

    region_of: Mapping[str, str]
    used: Mapping[str, int]
    left: Mapping[str, int]
    reasons: Mapping[str, str]
    fill_cycles_per_byte: Mapping[str, float]


def liveness_arena(
    intervals: Sequence[tuple[str, int, int, int]], align: int = 8
) -> tuple[dict[str, int], int]:
    """Give each (name, first use, last use, bytes) an offset so that what lives together does not overlap.

    Largest first, each at the lowest offset free over its whole life (the greedy of Pisarchyk and Lee,
    "Efficient memory management for deep neural net inference", 2020).

    Returns
    -------
    dict of name to offset, and the size of the arena
    """
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[str, int] = {}
    for name, first, last, size in sorted(intervals, key=lambda i: (-i[3], i[1])):
        size = -(-size // align) * align
        offset = 0
        for begin, end, other_first, other_last in sorted(placed):
            if other_last < first or other_first > last:
                continue
            if offset + size <= begin:
                break
            offset = max(offset, end)
        offsets[name] = offset
        placed.append((offset, offset + size, first, last))
    return offsets, max((end for _, end, _, _ in placed), default=0)


def place(demands: Sequence[Demand], board: Board | None) -> Placement:
    """Place demands into a board's regions.

    Parameters
    ----------
    demands : sequence of Demand
        The state first, then tables in any order.
    board : Board or None
        None: everything goes to one region ``ram`` without limit.

    Raises
    ------
    DoesNotFit
        When they do not fit: by how much, and which layers are largest.
    """
    if board is None:
        total = sum(d.bytes for d in demands)
        names = {d.name: "ram" for d in demands}
        return Placement(
            names, {"ram": total}, {}, {d.name: "one memory" for d in demands}, {d.name: 0.0 for d in demands}
        )
    regions = [r for r in board.memory if r.kind in KINDS_FOR_DATA and r.name not in NOT_FOR_DATA]
    left = {r.name: r.left_bytes for r in regions}
    state = demands[0]
    tables = sorted(demands[1:], key=lambda d: (not d.is_stack, -d.bytes_per_second / max(1, d.bytes)))
    region_of: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for demand in (state, *tables):
        passed: list[str] = []
        for region in regions if demand is state else (r for r in regions if _takes(r, demand)):
            if left[region.name] >= demand.bytes:
                region_of[demand.name] = region.name
                left[region.name] -= demand.bytes
                why = f"{demand.bytes_per_second / 1e6:.2f} MB/s"
                reasons[demand.name] = why + (
                    f"; {', '.join(passed)} full" if passed else "; fastest with room"
                )
                break
            passed.append(region.name)
        else:
            over = sum(d.bytes for d in demands) - sum(r.left_bytes for r in regions)
            largest = max(tables or (state,), key=lambda d: d.bytes)
            raise DoesNotFit(
                f"the model does not fit {board.title}: {sum(d.bytes for d in demands)} bytes are "
                f"{max(over, demand.bytes)} "
                f"too many; its largest layer is {largest.layer!r} with {largest.bytes} bytes, shrink "
                "that first."
            )
    cached_bytes = sum(d.bytes for d in demands if _fill(board, region_of[d.name]) > 0)
    cache = board.processor.dcache_bytes
    resident = cached_bytes <= cache // 2
    per_byte = {
        d.name: 0.0
        if resident
        else _fill(board, region_of[d.name]) / (board.processor.cache_line_bytes or 32)
        for d in demands
    }
    used = {r.name: r.left_bytes - left[r.name] for r in regions}
    return Placement(region_of, used, left, reasons, per_byte)


def _takes(region: Region, table: Demand) -> bool:
    """Whether a table may go there; what events read now and then leaves shared, fast memory to others."""
    is_scarce = region.copies and region.kind == "tcm"
    if table.is_stack:
        return region.kind == "tcm"
    return region.constants and not (is_scarce and not table.bytes_per_second)


def _fill(board: Board, name: str) -> float:
    """Cycles to fill a cache line from a region; 0 where there is no cache in between."""
    region = board.region(name)
    return 0.0 if region.kind == "tcm" else float(region.line_fill_cycles or 0)


def has_fast_stack(board: Board | None, state: Placement, wanted: int) -> bool:
    """Whether a chunk should take so many bytes from the stack: the state lies behind a cache."""
    if board is None or board.for_instances or not 0 < wanted <= MOST_STACK:
        return False
    fast = next((r for r in board.memory if r.kind == "tcm" and r.name not in NOT_FOR_DATA), None)
    return fast is not None and wanted <= fast.left_bytes and _fill(board, state.region_of["state"]) > 0


def figures(placement: Placement, demands: Sequence[Demand]) -> MemoryReport:
    """What a report says of the plan: bytes used and left of every region; every tensor and its region."""
    return {
        "regions": {n: {"used": placement.used[n], "left": placement.left.get(n)} for n in placement.used},
        "tensors": [
            {
                "name": d.name,
                "layer": d.layer,
                "region": placement.region_of[d.name],
                "bytes": d.bytes,
                "bytes_per_second": d.bytes_per_second,
                "why": placement.reasons[d.name],
            }
            for d in demands
        ],
    }
