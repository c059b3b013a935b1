"""A play as one picture: spectrogram, waveform, gates, CV outputs and what the controls did."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firmware.instruments import kinds
from firmware.play.render import Played


def draw(played: Played, out: Path) -> None:
    """Draw what `firmware.play.render` made into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    assignment, rendered = played.built.assignment, played.rendered
    kind = kinds.named(assignment.kind)
    rate = assignment.board.audio.sample_rate_hz
    time = np.arange(rendered.gates.size) / rate
    gates = [at for at, source in enumerate(assignment.gate_out) if source >= 0]
    cvs = [at for at, source in enumerate(assignment.cv_out) if source >= 0]
    sound = played.sound.mean(axis=0) if played.sound.any() else None
    rows = (["spectrum", "wave"] if sound is not None else []) + ["gates"] + ["cv"] * bool(cvs) + ["controls"]
    figure, drawn = pyplot.subplots(
        len(rows), 1, figsize=(12, 2.4 * len(rows)), sharex=True, squeeze=False, layout="constrained"
    )
    axes = dict(zip(rows, drawn[:, 0], strict=True))
    drawn[0, 0].set_title(f"{assignment.loaded.spec.title}, {played.seconds:.2f} s")
    if sound is not None:
        with np.errstate(divide="ignore"):  # silence has no decibels
            axes["spectrum"].specgram(sound, NFFT=1024, Fs=rate, noverlap=768, vmin=-140, vmax=-20)
        axes["spectrum"].set_ylabel("Hz")
        axes["wave"].plot(time, sound, linewidth=0.4)
        axes["wave"].set_ylabel(played.struck or "audio outputs")
    for row, at in enumerate(gates):
        axes["gates"].fill_between(time, row, row + 0.8 * (rendered.gates >> at & 1), step="post")
    names = [kind.gate_sources[assignment.gate_out[at]] for at in gates]
    listened = [row for row, level in enumerate(played.signals.gates) if level.any()]
    inputs = [gate.name for gate in (*assignment.board.gates_in, *assignment.board.buttons)]
    for row, at in enumerate(listened):
        high = played.signals.gates[at] > 1
        axes["gates"].fill_between(time, -1.2 - row, -1.2 - row + 0.8 * high, color="gray", step="post")
    axes["gates"].set_yticks(
        [*(np.arange(len(gates)) + 0.4), *(-0.8 - np.arange(len(listened)))],
        [*names, *(inputs[at] for at in listened)],
        fontsize=8,
    )
    axes["gates"].set_ylabel("gates (in: gray)")
    for at in cvs:
        source = kind.cv_sources[assignment.cv_out[at]]
        axes["cv"].plot(time, rendered.cv[at], label=source, linewidth=0.8)
    moved = np.flatnonzero(np.ptp(rendered.positions, axis=0) > 0.01)[:8]
    blocks = np.linspace(0, played.seconds, len(rendered.positions))
    for at in moved:
        axes["controls"].plot(
            blocks, rendered.positions[:, at], label=assignment.parameters[at].name, linewidth=0.8
        )
    axes["controls"].set_xlabel("s")
    for name, unit in (("cv", "volts"), ("controls", "positions")):
        if name in axes:
            axes[name].set_ylabel(unit)
            if axes[name].get_legend_handles_labels()[0]:
                axes[name].legend(fontsize=7, loc="upper right")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=70)
    pyplot.close(figure)
