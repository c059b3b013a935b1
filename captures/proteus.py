"""Proteus' JSON (also NeuralPi's): one recurrent layer and a dense one, as PyTorch stores them.

Read from the format's public definition: GuitarML/Proteus and Alec-Wright/Automated-GuitarAmpModelling, which
trains these files: ``model_data`` says the shape, ``state_dict`` holds the tables. The arithmetic is our own.
"""

from __future__ import annotations

import numpy as np

from captures.capture import Capture
from captures.document import Part
from captures.graph import INPUT, Sketch
from common.refusal import Refusal

UNITS = {"LSTM": 4, "GRU": 3}
"""Gates of a cell."""


def is_proteus(document: Part) -> bool:
    """Tell Proteus' JSON by what it holds."""
    return "model_data" in document and "state_dict" in document


def read_proteus(document: Part) -> Capture:
    """Read a recurrent layer with its dense layer.

    Raises
    ------
    Refusal
        Another kind of cell, tables of another shape, more than one input.
    """
    shape, tables = document.part("model_data"), document.part("state_dict")
    inputs, hidden = shape.integer("input_size"), shape.integer("hidden_size", most=4096)
    layers, skip = shape.integer("num_layers", 1), shape.integer("skip", 0, least=0)
    unit, has_bias = shape.text("unit_type"), shape.flag("bias_fl", True)
    if unit not in UNITS:
        raise Refusal(f"{document.where} has cells of the type {unit!r}; known are {', '.join(UNITS)}.")
    if inputs != 1 or shape.integer("output_size", 1) != 1:
        raise Refusal(
            f"{document.where} reads {inputs} inputs, and only captures of one are played; knobs that were "
            "captured too are not read."
        )
    if skip > 1:
        raise shape.wrong("skip", f"is {skip}, not 0 or 1")
    sketch, x, count, rows = Sketch(), INPUT, 0, UNITS[unit] * hidden
    for layer in range(layers):
        weight = tables.array(f"rec.weight_ih_l{layer}", (rows, inputs))
        recurrent = tables.array(f"rec.weight_hh_l{layer}", (rows, hidden))
        biases = [
            tables.array(f"rec.bias_{name}_l{layer}", (rows,)) if has_bias else np.zeros(rows)
            for name in ("ih", "hh")
        ]
        count += weight.size + recurrent.size + (2 * rows if has_bias else 0)
        if unit == "LSTM":
            x = sketch.lstm(x, weight, recurrent, biases[0] + biases[1])
        else:
            weight, recurrent, *biases = (_keras_order(v, hidden) for v in (weight, recurrent, *biases))
            x = sketch.gru(x, weight, recurrent, biases[0], biases[1])
        inputs = hidden
    dense = tables.array("lin.weight", (1, hidden))
    x = sketch.dense(x, dense, tables.array("lin.bias", (1,)))
    if skip:
        x = sketch.add(x, INPUT, "skip")
    words = f"{unit} of {layers} × {hidden}" if layers > 1 else f"{unit} of {hidden}"
    return Capture("Proteus", words, sketch, x, count + hidden + 1, 0)


def _keras_order(table: np.ndarray, hidden: int) -> np.ndarray:
    """Rows r, z, n as PyTorch has them to z, r, n."""
    reset, update, new = np.split(table, [hidden, 2 * hidden])
    return np.concatenate([update, reset, new])
