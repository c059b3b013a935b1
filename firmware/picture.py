"""A play as one picture: spectrogram, waveform, gates, CV outputs and what the controls did."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firmware.play import Played


def draw(played: Played, out: Path) -> None:
    """Draw what `firmware.play` made into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    layout, rendered = played.built.layout, played.rendered
    rate = layout.board.audio.sample_rate_hz
    time = np.arange(rendered.gates.size) / rate
    gates = [at for at, source in enumerate(layout.gate_out) if source >= 0]
    cvs = [at for at, source in enumerate(layout.cv_out) if source >= 0]
    figure, axes = pyplot.subplots(5, 1, figsize=(12, 13), sharex=True, layout="constrained")
    axes[0].set_title(f"{layout.loaded.spec.title}, {played.seconds:.2f} s")
    sound = rendered.audio[0] if rendered.audio.size and rendered.audio.any() else None
    if sound is not None:
        axes[0].specgram(sound + 1e-9, NFFT=1024, Fs=rate, noverlap=768, vmin=-140, vmax=-20)
        axes[1].plot(time, sound, linewidth=0.4)
    axes[0].set_ylabel("Hz")
    axes[1].set_ylabel("audio_out_1")
    for row, at in enumerate(gates):
        axes[2].fill_between(time, row, row + 0.8 * (rendered.gates >> at & 1), step="post")
    for row, level in enumerate(played.signals.gates):
        if level.any():
            axes[2].fill_between(time, -1.2 - row, -1.2 - row + 0.8 * (level > 1), color="gray", step="post")
    axes[2].set_yticks(np.arange(len(gates)) + 0.4, [layout.board.gates_out[at].name for at in gates])
    axes[2].set_ylabel("gates (in: gray)")
    for at in cvs:
        axes[3].plot(time, rendered.cv[at], label=layout.board.dacs[at].name, linewidth=0.8)
    axes[3].set_ylabel("volts")
    moved = np.flatnonzero(np.ptp(rendered.positions, axis=0) > 0.01)[:10]
    blocks = np.linspace(0, played.seconds, len(rendered.positions))
    for at in moved:
        axes[4].plot(blocks, rendered.positions[:, at], label=layout.parameters[at].name, linewidth=0.8)
    axes[4].set_ylabel("positions")
    axes[4].set_xlabel("s")
    for axis in (axes[3], axes[4]):
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=7, loc="upper right")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=80)
    pyplot.close(figure)
