"""From an ONNX file to streaming C.

``budget`` is the one question other rooms may ask; everything heavy is imported when it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware.compiler.answer import Budget

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from hardware.board import Board

__all__ = ["Budget", "budget"]


def budget(
    model: str | Path | ModelProto,
    board: str | Path | Board = "patch_sm",
    block: int | None = None,
    as_if_quantized: bool = True,
) -> Budget:
    """Say what a model costs on a board, as if quantized to W8A16 when it is still float.

    Parameters
    ----------
    model : path or ModelProto
        ONNX, float or QDQ.
    board : str or Board
        Name or file of a board, or the board itself.
    block : int, optional
        Samples per callback; the board's by default.
    as_if_quantized : bool
        False: a float model is counted in float arithmetic, as it is.

    Returns
    -------
    Budget

    Raises
    ------
    Refusal
        When the model cannot be compiled at all. One that is only too large is a Budget that does not fit.
    """
    from firmware.compiler.estimate import measure

    return measure(model, board, block, as_if_quantized)
