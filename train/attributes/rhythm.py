"""What a drum pattern is like, in six numbers, each with the literature its definition comes from.

Patterns are ``[27, 32]``: onsets, velocities and microtimings of nine voices over two bars of sixteenths
(``PARTS`` order). An onset counts from 0.5 up, so that decoded probabilities can be measured too.

================  ===========================================================================================
density           onsets per step. Toussaint, *The Geometry of Musical Rhythm* (2013), ch. on note density
syncopation       Longuet-Higgins and Lee, "The rhythmic interpretation of monophonic music" (Music Perception
                  1(4), 1984), per stream and summed as Witek et al. (PLoS ONE 9(4), 2014) do for drum breaks
low_high          balance of the high against the low stream; streams as in Gómez-Marín, Jordà and Herrera,
                  "Drum rhythm spaces" (J. New Music Research 49(2), 2020)
swing             lateness of the off-beats against the beats; Friberg and Sundström, "Swing ratios and
                  ensemble timing in jazz performance" (Music Perception 19(3), 2002); in steps, not a ratio
dynamics          spread of the velocities; Gillick et al., "Learning to groove" (ICML 2019) on what makes one
complexity        how unevenly the beats repeat each other, as an entropy; entropy measures of rhythm as in
                  Thul, *Measuring the Complexity of Musical Rhythm* (McGill, 2008)
================  ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.drums import PARTS

STEPS, STEPS_PER_BAR, STEPS_PER_BEAT = 32, 16, 4
LOW = tuple(PARTS.index(v) for v in ("kick", "tom_low", "tom_mid"))
HIGH = tuple(PARTS.index(v) for v in ("hat_closed", "hat_open", "crash", "ride"))
# Streams that syncopation is heard in: kick; snare and toms. Cymbals keep time.
STREAMS = (
    (PARTS.index("kick"),),
    tuple(PARTS.index(v) for v in ("snare", "tom_low", "tom_mid", "tom_high")),
)


def metrical_weights() -> np.ndarray:
    """Longuet-Higgins and Lee's weights of a 4/4 bar of sixteenths: 0 on the bar line, −4 on sixteenths."""
    weights = np.full(STEPS_PER_BAR, -4)
    for level, spacing in ((-3, 2), (-2, 4), (-1, 8), (0, 16)):
        weights[::spacing] = level
    return np.tile(weights, STEPS // STEPS_PER_BAR)


WEIGHTS = metrical_weights()


def _onsets(pattern: np.ndarray) -> np.ndarray:
    return pattern[: len(PARTS)] >= 0.5


def density(pattern: np.ndarray) -> float:
    """Onsets per step, 0 to 9."""
    return float(_onsets(pattern).sum() / STEPS)


def syncopation(pattern: np.ndarray) -> float:
    """Sum over the streams of how much heavier the rest is that follows each note; both bars, cyclic.

    A note is syncopated when the silent steps up to the next note of its stream hold a heavier place in
    the bar than its own; it then adds the difference of the weights.
    """
    onsets = _onsets(pattern)
    total = 0
    for stream in STREAMS:
        hits = np.flatnonzero(onsets[list(stream)].any(0))
        for here, there in zip(hits, np.roll(hits, -1), strict=True):
            gap = (there - here - 1) % STEPS
            rests = (here + 1 + np.arange(gap)) % STEPS
            if gap:
                total += max(0, int(WEIGHTS[rests].max() - WEIGHTS[here]))
    return float(total)


def low_high(pattern: np.ndarray) -> float:
    """(high − low) / (high + low) of the onsets of cymbals against kick and low toms; 0 if neither."""
    onsets = _onsets(pattern)
    low, high = onsets[list(LOW)].sum(), onsets[list(HIGH)].sum()
    return float((high - low) / (high + low)) if high + low else 0.0


def swing(pattern: np.ndarray) -> float:
    """Mean microtiming of what is off the beat minus that of what is on it, in steps; late is positive."""
    onsets = _onsets(pattern)
    micro = pattern[2 * len(PARTS) :]
    on_beat = np.zeros(STEPS, bool)
    on_beat[::STEPS_PER_BEAT] = True
    on, off = onsets & on_beat, onsets & ~on_beat
    late = float(micro[off].mean()) if off.any() else 0.0
    return late - (float(micro[on].mean()) if on.any() else 0.0)


def dynamics(pattern: np.ndarray) -> float:
    """Standard deviation of the velocities of the onsets, 0 to 0.5."""
    onsets = _onsets(pattern)
    velocity = pattern[len(PARTS) : 2 * len(PARTS)]
    return float(velocity[onsets].std()) if onsets.any() else 0.0


def complexity(pattern: np.ndarray) -> float:
    """Entropy, in bits, of whether a beat repeats the others; mean over the voices and places in use.

    At every voice and place within the beat, p is the part of the eight beats that have an onset there;
    its binary entropy is 0 for what always or never sounds and 1 for what sounds in every other beat.
    """
    beats = _onsets(pattern).reshape(len(PARTS), STEPS // STEPS_PER_BEAT, STEPS_PER_BEAT)
    p = beats.mean(1)
    used = beats.any((1, 2))
    if not used.any():
        return 0.0
    p = np.clip(p[used], 1e-12, 1 - 1e-12)
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    return float(entropy.mean())


@dataclass(frozen=True)
class Attribute:
    """An analyser and the words for its knob."""

    measure: Callable[[np.ndarray], float]
    definition: str


PATTERN_ATTRIBUTES: dict[str, Attribute] = {
    "density": Attribute(density, "onsets per step"),
    "syncopation": Attribute(syncopation, "Longuet-Higgins and Lee, kick and snare streams, both bars"),
    "low_high": Attribute(low_high, "(cymbals − low drums) / (cymbals + low drums), onsets"),
    "swing": Attribute(swing, "lateness of off-beats against beats, steps"),
    "dynamics": Attribute(dynamics, "standard deviation of velocity"),
    "complexity": Attribute(complexity, "entropy of what repeats from beat to beat, bits"),
}


def measure_pattern(pattern: np.ndarray) -> np.ndarray:
    """All attributes of a pattern ``[27, 32]``, in the order of ``PATTERN_ATTRIBUTES``."""
    return np.array([a.measure(pattern) for a in PATTERN_ATTRIBUTES.values()])
