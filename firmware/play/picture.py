"""A play as one picture: spectrogram, waveform, gates, CV outputs and what the controls did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.figure import COLOURS, new_figure
from common.files import write_picture
from common.spectrogram import add_level_bar, draw_spectrogram
from firmware.instruments import kinds
from firmware.play.render import Played

LINES = 8
"""Most controls that are drawn."""


def moved(names: Sequence[str], positions: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Name and course of what was moved, once where several went together, as all parts' densities.

    Parameters
    ----------
    names : sequence of str
        Of the parameters, as ``density/kick``.
    positions : ndarray
        [blocks, parameters], 0 … 1.
    """
    alike: dict[bytes, list[int]] = {}
    for at in np.flatnonzero(np.ptp(positions, axis=0) > 0.01):
        alike.setdefault(positions[:, at].tobytes(), []).append(int(at))
    found = []
    for members in alike.values():
        first, count = names[members[0]], len(members)
        groups = {names[at].partition("/")[0] for at in members}
        name = first if count == 1 else f"{groups.pop()}, {count} of them" if len(groups) == 1 else ""
        found.append((name or ", ".join(names[at] for at in members), positions[:, members[0]]))
    return found


def draw(played: Played, out: Path) -> None:
    """Draw what `firmware.play.render` made into a PNG."""
    assignment, rendered = played.built.assignment, played.rendered
    kind = kinds.named(assignment.kind)
    rate = assignment.board.audio.sample_rate_hz
    time = np.arange(rendered.gates.size) / rate
    gates = [at for at, source in enumerate(assignment.gate_out) if source >= 0]
    cvs = [at for at, source in enumerate(assignment.cv_out) if source >= 0]
    sound = played.sound.mean(axis=0) if played.sound.any() else None
    rows = (["spectrum", "wave"] if sound is not None else []) + ["gates"] + ["cv"] * bool(cvs) + ["controls"]
    figure, drawn = new_figure(len(rows), 1, 10, 2.1 * len(rows), sharex=True)
    axes = dict(zip(rows, drawn[:, 0], strict=True))
    drawn[0, 0].set_title(f"{assignment.loaded.spec.title}, {played.seconds:.2f} s")
    if sound is not None:
        image = draw_spectrogram(axes["spectrum"], sound, rate)
        axes["spectrum"].set_xlabel("")
        add_level_bar(figure, image, axes["spectrum"])
        axes["wave"].plot(time, sound, linewidth=0.4, color=COLOURS[0])
        axes["wave"].set_ylabel(played.struck or "audio outputs")
    for row, at in enumerate(gates):
        axes["gates"].fill_between(
            time, row, row + 0.8 * (rendered.gates >> at & 1), step="post", color=COLOURS[0]
        )
    names = [kind.gate_sources[assignment.gate_out[at]] for at in gates]
    listened = [row for row, level in enumerate(played.gates_in) if level.any()]
    inputs = [gate.name for gate in (*assignment.board.gates_in, *assignment.board.buttons)]
    for row, at in enumerate(listened):
        high = played.gates_in[at] > 1
        axes["gates"].fill_between(time, -1.2 - row, -1.2 - row + 0.8 * high, color=COLOURS[8], step="post")
    axes["gates"].set_yticks(
        [*(np.arange(len(gates)) + 0.4), *(-0.8 - np.arange(len(listened)))],
        [*names, *(inputs[at] for at in listened)],
        fontsize=8,
    )
    axes["gates"].set_ylabel("gates (in: grey)")
    for number, at in enumerate(cvs):
        source = kind.cv_sources[assignment.cv_out[at]].replace("_", " ")
        axes["cv"].plot(time, rendered.cv[at], label=source, linewidth=0.8, color=COLOURS[number % 10])
    blocks = np.linspace(0, played.seconds, len(rendered.positions))
    names = [parameter.name.replace("_", " ") for parameter in assignment.parameters]
    for number, (name, curve) in enumerate(moved(names, rendered.positions)[:LINES]):
        axes["controls"].plot(blocks, curve, label=name, linewidth=0.9, color=COLOURS[number])
    axes["controls"].set_xlabel("time, s")
    for part, unit in (("cv", "CV out, volts"), ("controls", "positions of controls")):
        if part in axes:
            axes[part].set_ylabel(unit)
            if axes[part].get_legend_handles_labels()[0]:
                axes[part].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    write_picture(out, figure, 84)
