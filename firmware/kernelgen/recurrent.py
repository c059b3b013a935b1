"""Weights of recurrent layers as ``vk_lstm_s16`` and ``vk_gru_s16`` read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SUMS = 4


@dataclass(frozen=True)
class PackedRecurrent:
    """The tables and numbers of a ``vk_recurrent``.

    Attributes
    ----------
    weights : ndarray of int16
        Units × pairs of columns × sums × 2.
    bias : ndarray of int32
        Units × sums.
    inputs, units, columns, shift : int
    """

    weights: np.ndarray
    bias: np.ndarray
    inputs: int
    units: int
    columns: int
    shift: int

    @property
    def stream(self) -> np.ndarray:
        """Both in one, for a Cortex-M7: unit by unit its biases, then its weights."""
        biases = self.bias.reshape(self.units, SUMS).view(np.int16)
        return np.concatenate([biases, self.weights.reshape(self.units, -1)], axis=1).reshape(-1)

    def initializer(self, *pointers: str) -> str:
        """Write the C initializer, given the names of its two tables, or of one and code, and the lines."""
        numbers = self.inputs, self.units, self.columns, self.shift
        return f"{{{', '.join(map(str, (*pointers, *numbers)))}}}"


def columns_of(units: int, in_pitch: int) -> int:
    """States, up to an even number, and inputs."""
    return units + units % 2 + in_pitch


def pack_recurrent(
    weight: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, shift: int, in_pitch: int
) -> PackedRecurrent:
    """Pack four sums a unit.

    Parameters
    ----------
    weight, recurrent : ndarray of int, shapes (4 · units, inputs) and (4 · units, units)
    bias : ndarray of int, shape (4 · units,)
    shift : int
    in_pitch : int
        Elements of an input's frame, pads included.
    """
    units, inputs = recurrent.shape[1], weight.shape[1]
    columns, first = columns_of(units, in_pitch), units + units % 2
    rows = np.zeros((SUMS * units, columns), np.int64)
    rows[:, :units] = recurrent
    rows[:, first : first + inputs] = weight
    paired = rows.reshape(SUMS, units, columns // 2, 2).transpose(1, 2, 0, 3).reshape(-1)
    offsets = np.ascontiguousarray(bias.reshape(SUMS, units).T).reshape(-1).astype(np.int32)
    return PackedRecurrent(paired.astype(np.int16), offsets, in_pitch, units, columns, shift)
