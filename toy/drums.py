"""Synthesised drum one-shots: eight classes, several recipes each, five known factors behind every hit.

A *recipe* turns five factors in 0..1 into a sound and says which physical values it used:

========== =====================================================
pitch      of the body or of the noise band
decay      time to fall by 60 dB
brightness corner or tilt of the spectrum, depth of modulation
noise      share of noise against tone
transient  level and sharpness of the click at the start
========== =====================================================

The factors are the truth against which disentanglement and control are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from toy import sources as s

HITS_PER_INSTRUMENT = 2
MAX_SAMPLES = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Factors:
    """The five generating factors of one hit, each in 0..1."""

    pitch: float
    decay: float
    brightness: float
    noise: float
    transient: float


Recipe = Callable[[Factors, np.random.Generator], tuple[np.ndarray, dict[str, float]]]


@dataclass(frozen=True)
class Hit:
    """One generated hit: audio float32 [n] at 48 kHz and everything that made it."""

    name: str
    label: str
    group: str
    recipe: str
    audio: np.ndarray
    factors: Factors
    parameters: dict[str, float]


def geometric(factor: float, low: float, high: float) -> float:
    """Map 0..1 to low..high with equal ratios: how ears hear pitch, time and corners."""
    return float(low * (high / low) ** factor)


def _length(t60_s: float) -> int:
    return min(MAX_SAMPLES, round((t60_s * 1.1 + 0.02) * SAMPLE_RATE_HZ))


def _with_click(
    body: np.ndarray, f: Factors, rng: np.random.Generator, low_hz: float, high_hz: float
) -> tuple[np.ndarray, dict[str, float]]:
    """Add the beater: loudness and sharpness follow the transient factor."""
    body = body / max(float(np.max(np.abs(body))), 1e-9)
    level = geometric(f.transient, 0.02, 0.9)
    corner_hz = geometric(0.5 * f.transient + 0.5 * f.brightness, low_hz, high_hz)
    length_s = geometric(f.transient, 0.02, 0.006)
    return body + level * s.click(rng, len(body), length_s, corner_hz), {
        "click_level": level,
        "click_hz": corner_hz,
        "click_s": length_s,
    }


# --- kick ---------------------------------------------------------------------------------------------


def kick_sweep(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Analogue kick: a sine falling to its resting pitch, a little drive, a click."""
    pitch_hz, t60_s = geometric(f.pitch, 36, 85), geometric(f.decay, 0.12, 1.4)
    start_hz, sweep_s = pitch_hz * geometric(f.brightness, 2, 9), geometric(f.transient, 0.03, 0.008)
    n = _length(t60_s)
    drive = geometric(f.brightness, 0.6, 4)
    tone = np.tanh(drive * s.swept_sine(n, start_hz, pitch_hz, sweep_s)) * s.decay(n, t60_s, 0.0008)
    hiss = s.noise_band(rng, n, 0, geometric(f.brightness, 800, 6000)) * s.decay(n, 0.3 * t60_s)
    out, click = _with_click(tone + 0.25 * f.noise * hiss, f, rng, 700, 7000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "start_hz": start_hz,
        "sweep_s": sweep_s,
        "drive": drive,
        "noise_level": 0.25 * f.noise,
        **click,
    }


def kick_membrane(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Acoustic kick: the first modes of a loaded membrane under a felt or plastic beater."""
    pitch_hz, t60_s = geometric(f.pitch, 42, 95), geometric(f.decay, 0.10, 0.9)
    # Ideal circular membrane (Fletcher & Rossing, The Physics of Musical Instruments, §3.6)
    ratios = np.array([1.0, 1.59, 2.14, 2.30, 2.65, 2.92, 3.16, 3.50]) * (1 + 0.01 * rng.standard_normal(8))
    tilt = geometric(f.brightness, 2.6, 0.9)
    n = _length(t60_s)
    tone = s.modes(n, pitch_hz * ratios, t60_s / ratios, ratios**-tilt)
    tone /= np.max(np.abs(tone))
    room = s.noise_band(rng, n, 60, geometric(f.brightness, 500, 4000)) * s.decay(n, 0.4 * t60_s, 0.002)
    out, click = _with_click(tone + 0.3 * f.noise * room, f, rng, 500, 5000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "mode_tilt": tilt,
        "noise_level": 0.3 * f.noise,
        **click,
    }


def kick_fm(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Digital kick: two operators, the index dying faster than the sound."""
    pitch_hz, t60_s = geometric(f.pitch, 38, 90), geometric(f.decay, 0.15, 1.2)
    n = _length(t60_s)
    index = geometric(f.brightness, 0.4, 7)
    ratio = float(rng.choice([0.5, 1.0, 1.41, 2.0]))
    bend = pitch_hz * (1 + 1.5 * np.exp(-s.times(n) / 0.018))
    tone = s.fm(n, bend, ratio, index * s.decay(n, 0.25 * t60_s)) * s.decay(n, t60_s, 0.0005)
    hiss = s.noise_band(rng, n, 200, 5000) * s.decay(n, 0.15 * t60_s)
    out, click = _with_click(tone + 0.3 * f.noise * hiss, f, rng, 900, 8000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "fm_index": index,
        "fm_ratio": ratio,
        "noise_level": 0.3 * f.noise,
        **click,
    }


# --- snare --------------------------------------------------------------------------------------------


def snare_analogue(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Two detuned sines and high-passed noise, as in the drum machines."""
    pitch_hz, t60_s = geometric(f.pitch, 140, 300), geometric(f.decay, 0.10, 0.6)
    n = _length(t60_s)
    snap_hz = geometric(f.brightness, 2500, 14_000)
    tone = s.swept_sine(n, 1.6 * pitch_hz, pitch_hz, 0.01) + 0.6 * s.swept_sine(
        n, 2.4 * pitch_hz, 1.83 * pitch_hz, 0.01
    )
    share = 0.15 + 0.8 * f.noise
    wires = s.high_pass(s.noise_band(rng, n, 0, snap_hz), 900) * s.decay(n, t60_s)
    body = (1 - share) * tone * s.decay(n, 0.6 * t60_s) + share * 0.6 * wires
    out, click = _with_click(body, f, rng, 1500, 10_000)
    return out, {"pitch_hz": pitch_hz, "t60_s": t60_s, "snap_hz": snap_hz, "noise_level": share, **click}


def snare_membrane(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """A struck head whose motion rattles the wires: noise follows the envelope of the modes."""
    pitch_hz, t60_s = geometric(f.pitch, 150, 330), geometric(f.decay, 0.12, 0.55)
    n = _length(t60_s)
    ratios = np.array([1.0, 1.59, 1.83, 2.14, 2.30, 2.65, 2.92, 3.16, 3.6, 4.06])
    ratios = ratios * (1 + 0.015 * rng.standard_normal(len(ratios)))
    head = s.modes(
        n, pitch_hz * ratios, 0.8 * t60_s / np.sqrt(ratios), ratios ** -geometric(f.brightness, 2, 0.5)
    )
    head /= np.max(np.abs(head))
    motion = s.low_pass(np.abs(head), 80)
    wires_hz = geometric(f.brightness, 3500, 15_000)
    wires = s.noise_band(rng, n, 1200, wires_hz) * (motion / motion.max() + 0.2 * s.decay(n, t60_s))
    share = 0.1 + 0.75 * f.noise
    out, click = _with_click((1 - share) * head + share * 0.7 * wires, f, rng, 1500, 9000)
    return out, {"pitch_hz": pitch_hz, "t60_s": t60_s, "wires_hz": wires_hz, "noise_level": share, **click}


def snare_fm(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """FM body with an inharmonic ratio, noise band on top."""
    pitch_hz, t60_s = geometric(f.pitch, 130, 320), geometric(f.decay, 0.08, 0.5)
    n = _length(t60_s)
    index = geometric(f.brightness, 0.8, 6)
    tone = s.fm(n, pitch_hz, 1.47, index * s.decay(n, 0.3 * t60_s)) * s.decay(n, 0.7 * t60_s)
    share = 0.15 + 0.75 * f.noise
    band = s.noise_band(rng, n, 1000, geometric(f.brightness, 4000, 13_000)) * s.decay(n, t60_s)
    out, click = _with_click((1 - share) * tone + 0.6 * share * band, f, rng, 1500, 10_000)
    return out, {"pitch_hz": pitch_hz, "t60_s": t60_s, "fm_index": index, "noise_level": share, **click}


# --- hats and cymbals ---------------------------------------------------------------------------------

# Ratios of the six square oscillators in the TR-808's metal voice, as measured by Werner et al. (DAFx-14)
METAL_RATIOS = np.array([1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523])


def _metal_squares(
    f: Factors, rng: np.random.Generator, t60_s: float, base_hz: float
) -> tuple[np.ndarray, dict[str, float]]:
    n = _length(t60_s)
    ratios = METAL_RATIOS * (1 + 0.01 * rng.standard_normal(6))
    tone = s.squares(n, base_hz * ratios, rng.random(6))
    corner_hz = geometric(f.brightness, 3500, 9500)
    share = 0.1 + 0.8 * f.noise
    hiss = s.noise_band(rng, n, 0.8 * corner_hz, 20_000)
    body = (1 - share) * s.high_pass(tone, corner_hz, 4) + share * 0.5 * hiss
    return body * s.decay(n, t60_s, 0.0004), {
        "pitch_hz": base_hz,
        "t60_s": t60_s,
        "corner_hz": corner_hz,
        "noise_level": share,
    }


def _metal_noise(
    f: Factors, rng: np.random.Generator, t60_s: float, low_hz: float
) -> tuple[np.ndarray, dict[str, float]]:
    n = _length(t60_s)
    top_hz = geometric(f.brightness, 1.6 * low_hz, 19_500)
    wide = s.noise_band(rng, n, low_hz, top_hz, 3)
    comb_s = 1 / geometric(f.pitch, 2000, 6000)
    lag = max(1, round(comb_s * SAMPLE_RATE_HZ))
    ring = np.copy(wide)
    ring[lag:] += (1 - f.noise) * 0.9 * wide[:-lag]
    return ring * s.decay(n, t60_s, 0.0005), {
        "pitch_hz": low_hz,
        "t60_s": t60_s,
        "corner_hz": top_hz,
        "comb_hz": 1 / comb_s,
        "noise_level": f.noise,
    }


def _metal_plate(
    f: Factors, rng: np.random.Generator, t60_s: float, base_hz: float, count: int
) -> tuple[np.ndarray, dict[str, float]]:
    n = _length(t60_s)
    # Mode density of a thin plate is constant in frequency: jittered equal spacing.
    frequencies_hz = base_hz + (16_000 - base_hz) * (np.arange(count) + rng.random(count)) / count
    tilt = geometric(f.brightness, 1.6, 0.15)
    gains = (frequencies_hz / base_hz) ** -tilt * (0.4 + rng.random(count))
    t60 = t60_s * (frequencies_hz / base_hz) ** -0.35 * (0.6 + 0.8 * rng.random(count))
    tone = s.modes(n, frequencies_hz, t60, gains)
    tone /= np.max(np.abs(tone))
    share = 0.05 + 0.6 * f.noise
    wash = s.noise_band(rng, n, base_hz, geometric(f.brightness, 5000, 18_000))
    body = (1 - share) * tone + 0.4 * share * wash * s.decay(n, 0.8 * t60_s, 0.003)
    return body, {"pitch_hz": base_hz, "t60_s": t60_s, "mode_tilt": tilt, "noise_level": share}


def _metal_fm(
    f: Factors, rng: np.random.Generator, t60_s: float, base_hz: float
) -> tuple[np.ndarray, dict[str, float]]:
    n = _length(t60_s)
    index = geometric(f.brightness, 2, 14)
    envelope = s.decay(n, t60_s, 0.0004)
    tone = s.fm(n, base_hz, 1.4142, index * envelope) + s.fm(n, 1.483 * base_hz, 1.7321, index * envelope)
    share = 0.05 + 0.7 * f.noise
    hiss = s.noise_band(rng, n, 2 * base_hz, 18_000)
    body = (1 - share) * s.high_pass(tone, 1.5 * base_hz) + 0.5 * share * hiss
    return body * envelope, {"pitch_hz": base_hz, "t60_s": t60_s, "fm_index": index, "noise_level": share}


def hat_closed_squares(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Six squares through a steep high-pass, short."""
    body, used = _metal_squares(f, rng, geometric(f.decay, 0.03, 0.16), geometric(f.pitch, 180, 420))
    out, click = _with_click(body, f, rng, 4000, 14_000)
    return out, used | click


def hat_closed_noise(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Combed noise band, short."""
    body, used = _metal_noise(f, rng, geometric(f.decay, 0.025, 0.14), geometric(f.pitch, 4000, 9000))
    out, click = _with_click(body, f, rng, 4000, 14_000)
    return out, used | click


def hat_closed_plate(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Two plates pressed together: many heavily damped modes."""
    body, used = _metal_plate(f, rng, geometric(f.decay, 0.04, 0.2), geometric(f.pitch, 350, 900), 40)
    out, click = _with_click(s.high_pass(body, 900), f, rng, 3000, 12_000)
    return out, used | click


def hat_open_squares(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Six squares through a steep high-pass, left to ring."""
    body, used = _metal_squares(f, rng, geometric(f.decay, 0.25, 1.1), geometric(f.pitch, 180, 420))
    out, click = _with_click(body, f, rng, 4000, 14_000)
    return out, used | click


def hat_open_noise(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Combed noise band, left to ring."""
    body, used = _metal_noise(f, rng, geometric(f.decay, 0.25, 1.0), geometric(f.pitch, 3500, 8500))
    out, click = _with_click(body, f, rng, 4000, 14_000)
    return out, used | click


def hat_open_plate(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Two plates just touching: modes plus sizzle."""
    body, used = _metal_plate(f, rng, geometric(f.decay, 0.35, 1.3), geometric(f.pitch, 350, 900), 50)
    out, click = _with_click(s.high_pass(body, 700), f, rng, 3000, 12_000)
    return out, used | click


def cymbal_plate(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Crash or ride as a struck plate."""
    body, used = _metal_plate(f, rng, geometric(f.decay, 0.9, 2.4), geometric(f.pitch, 220, 700), 64)
    out, click = _with_click(body, f, rng, 2500, 10_000)
    return out, used | click


def cymbal_squares(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Drum-machine cymbal: two bands of the six squares with different decays."""
    t60_s, base_hz = geometric(f.decay, 0.8, 2.2), geometric(f.pitch, 160, 380)
    high, used = _metal_squares(f, rng, t60_s, base_hz)
    n = len(high)
    low = s.squares(n, base_hz * METAL_RATIOS, rng.random(6))
    low = s.low_pass(s.high_pass(low, 2200), 5500) * s.decay(n, 0.5 * t60_s, 0.0005)
    out, click = _with_click(high + 0.3 * (1 - f.brightness) * low, f, rng, 2500, 10_000)
    return out, used | click | {"low_band": 0.3 * (1 - f.brightness)}


def cymbal_fm(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Two inharmonic FM pairs whose index falls with the sound: bright crash, dark tail."""
    body, used = _metal_fm(f, rng, geometric(f.decay, 0.8, 2.2), geometric(f.pitch, 300, 900))
    out, click = _with_click(body, f, rng, 2500, 10_000)
    return out, used | click


# --- tom, clap, perc ----------------------------------------------------------------------------------


def tom_membrane(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Membrane modes with the slight pitch fall of a hard-struck head."""
    pitch_hz, t60_s = geometric(f.pitch, 70, 260), geometric(f.decay, 0.25, 1.5)
    n = _length(t60_s)
    ratios = np.array([1.0, 1.59, 2.14, 2.30, 2.65, 2.92, 3.5]) * (1 + 0.01 * rng.standard_normal(7))
    tilt = geometric(f.brightness, 2.4, 0.7)
    tone = 0.7 * s.swept_sine(n, 1.18 * pitch_hz, pitch_hz, 0.05) * s.decay(n, t60_s, 0.001)
    upper = s.modes(n, pitch_hz * ratios[1:], 0.6 * t60_s / ratios[1:], ratios[1:] ** -tilt)
    skin = s.noise_band(rng, n, 150, geometric(f.brightness, 1200, 7000)) * s.decay(n, 0.25 * t60_s)
    out, click = _with_click(tone + 0.8 * upper + 0.35 * f.noise * skin, f, rng, 800, 6000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "mode_tilt": tilt,
        "noise_level": 0.35 * f.noise,
        **click,
    }


def tom_sweep(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Electronic tom: a long falling sine with a breath of noise."""
    pitch_hz, t60_s = geometric(f.pitch, 75, 300), geometric(f.decay, 0.2, 1.2)
    n = _length(t60_s)
    start_hz = pitch_hz * geometric(f.brightness, 1.3, 3.5)
    tone = np.tanh(geometric(f.brightness, 0.7, 3) * s.swept_sine(n, start_hz, pitch_hz, 0.09))
    breath = s.noise_band(rng, n, 300, geometric(f.brightness, 1500, 8000)) * s.decay(n, 0.4 * t60_s)
    out, click = _with_click(tone * s.decay(n, t60_s, 0.001) + 0.3 * f.noise * breath, f, rng, 800, 7000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "start_hz": start_hz,
        "noise_level": 0.3 * f.noise,
        **click,
    }


def tom_fm(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """FM tom with a woody ratio."""
    pitch_hz, t60_s = geometric(f.pitch, 80, 280), geometric(f.decay, 0.2, 1.1)
    n = _length(t60_s)
    index = geometric(f.brightness, 0.3, 4)
    bend = pitch_hz * (1 + 0.35 * np.exp(-s.times(n) / 0.04))
    tone = s.fm(n, bend, 2.3, index * s.decay(n, 0.3 * t60_s)) * s.decay(n, t60_s, 0.001)
    hiss = s.noise_band(rng, n, 200, 5000) * s.decay(n, 0.2 * t60_s)
    out, click = _with_click(tone + 0.35 * f.noise * hiss, f, rng, 800, 7000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "fm_index": index,
        "noise_level": 0.35 * f.noise,
        **click,
    }


def _clap_band(f: Factors) -> tuple[float, float]:
    centre_hz = geometric(f.pitch, 800, 2000)
    return centre_hz / geometric(f.noise, 1.3, 2.5), centre_hz * geometric(f.brightness, 1.5, 7)


def clap_bursts(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Three or four quick bursts and a tail: the drum machine's idea of hands."""
    t60_s = geometric(f.decay, 0.12, 0.7)
    n = _length(t60_s)
    low_hz, high_hz = _clap_band(f)
    gap_s = geometric(f.transient, 0.016, 0.007)
    starts_s = gap_s * (np.arange(4) + 0.15 * rng.random(4)) * np.array([0, 1, 1, 1])
    out = s.bursts(rng, n, starts_s[:3], 0.9 * gap_s, low_hz, high_hz)
    first = round(float(starts_s[3]) * SAMPLE_RATE_HZ)
    out[first:] += 0.7 * s.noise_band(rng, n - first, low_hz, high_hz) * s.decay(n - first, t60_s)
    return out, {"pitch_hz": np.sqrt(low_hz * high_hz), "t60_s": t60_s, "gap_s": gap_s, "corner_hz": high_hz}


def clap_crowd(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """A small crowd: many hands at random within some milliseconds, each with its own palm resonance."""
    t60_s = geometric(f.decay, 0.08, 0.5)
    n = _length(t60_s)
    low_hz, high_hz = _clap_band(f)
    hands = 5 + round(8 * f.noise)
    spread_s = geometric(f.transient, 0.035, 0.008)
    starts_s = np.sort(rng.random(hands)) * spread_s
    starts_s[0] = 0.0
    out = np.zeros(n)
    for start_s in starts_s:
        palm_hz = geometric(float(rng.random()), low_hz, high_hz)
        out += s.bursts(rng, n, np.array([start_s]), 0.12 * t60_s + 0.01, 0.7 * palm_hz, 1.6 * palm_hz)
    out += 0.3 * s.noise_band(rng, n, low_hz, high_hz) * s.decay(n, t60_s, 0.004)
    return out, {
        "pitch_hz": np.sqrt(low_hz * high_hz),
        "t60_s": t60_s,
        "hands": float(hands),
        "spread_s": spread_s,
        "corner_hz": high_hz,
    }


def perc_rim(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Rim shot or side stick: a few hard, short modes."""
    pitch_hz, t60_s = geometric(f.pitch, 350, 1100), geometric(f.decay, 0.03, 0.2)
    n = _length(t60_s)
    ratios = np.array([1.0, 1.52, 2.41, 3.3, 4.87]) * (1 + 0.02 * rng.standard_normal(5))
    tilt = geometric(f.brightness, 1.8, 0.1)
    body = s.modes(n, pitch_hz * ratios, t60_s / np.sqrt(ratios), ratios**-tilt)
    body /= np.max(np.abs(body))
    rattle = s.noise_band(rng, n, 1500, geometric(f.brightness, 4000, 14_000)) * s.decay(n, t60_s)
    out, click = _with_click(body + 0.5 * f.noise * rattle, f, rng, 2000, 12_000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "mode_tilt": tilt,
        "noise_level": 0.5 * f.noise,
        **click,
    }


def perc_block(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Wood block or bar: the modes of a free bar."""
    pitch_hz, t60_s = geometric(f.pitch, 400, 1600), geometric(f.decay, 0.05, 0.4)
    n = _length(t60_s)
    ratios = np.array([1.0, 2.756, 5.404, 8.933])  # free bar (Fletcher & Rossing §2.15)
    tilt = geometric(f.brightness, 2.2, 0.3)
    body = s.modes(n, pitch_hz * ratios, t60_s / ratios, ratios**-tilt)
    body /= np.max(np.abs(body))
    knock = s.noise_band(rng, n, pitch_hz, 6 * pitch_hz) * s.decay(n, 0.3 * t60_s)
    out, click = _with_click(body + 0.4 * f.noise * knock, f, rng, 1500, 9000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "mode_tilt": tilt,
        "noise_level": 0.4 * f.noise,
        **click,
    }


def perc_cowbell(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Two squares a narrow fifth apart through a band-pass."""
    pitch_hz, t60_s = geometric(f.pitch, 380, 900), geometric(f.decay, 0.08, 0.6)
    n = _length(t60_s)
    tone = s.square(n, pitch_hz, rng.random()) + s.square(n, 1.481 * pitch_hz, rng.random())
    corner_hz = geometric(f.brightness, 2.2 * pitch_hz, 9 * pitch_hz)
    tone = s.low_pass(s.high_pass(tone, 0.8 * pitch_hz), corner_hz) * s.decay(n, t60_s, 0.0005)
    hiss = s.noise_band(rng, n, pitch_hz, corner_hz) * s.decay(n, 0.5 * t60_s)
    out, click = _with_click(tone + 0.6 * f.noise * hiss, f, rng, 2000, 9000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "corner_hz": corner_hz,
        "noise_level": 0.6 * f.noise,
        **click,
    }


def perc_shaker(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Grains in a gourd: collisions whose rate dies away, through one resonance (after Cook's PhISEM)."""
    t60_s = geometric(f.decay, 0.06, 0.35)
    n = _length(t60_s)
    centre_hz = geometric(f.pitch, 3000, 9000)
    rate = geometric(f.noise, 0.02, 0.5)
    grains = (rng.random(n) < rate * s.decay(n, 2 * t60_s)) * rng.standard_normal(n)
    width = geometric(f.brightness, 1.25, 2.2)
    body = s.low_pass(s.high_pass(grains, centre_hz / width), centre_hz * width)
    attack_s = geometric(f.transient, 0.03, 0.001)
    return body * s.decay(n, t60_s, attack_s), {
        "pitch_hz": centre_hz,
        "t60_s": t60_s,
        "grain_rate": rate,
        "width": width,
        "attack_s": attack_s,
    }


def perc_blip(f: Factors, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
    """Electronic blip: FM with a pitch fall."""
    pitch_hz, t60_s = geometric(f.pitch, 250, 2000), geometric(f.decay, 0.04, 0.4)
    n = _length(t60_s)
    index = geometric(f.brightness, 0.2, 5)
    bend = pitch_hz * (1 + np.exp(-s.times(n) / 0.02))
    tone = s.fm(n, bend, float(rng.choice([1.0, 1.5, 2.0, 3.01])), index * s.decay(n, t60_s))
    hiss = s.noise_band(rng, n, 500, 9000) * s.decay(n, 0.4 * t60_s)
    out, click = _with_click(tone * s.decay(n, t60_s, 0.0005) + 0.5 * f.noise * hiss, f, rng, 2000, 10_000)
    return out, {
        "pitch_hz": pitch_hz,
        "t60_s": t60_s,
        "fm_index": index,
        "noise_level": 0.5 * f.noise,
        **click,
    }


RECIPES: dict[str, tuple[Recipe, ...]] = {
    "kick": (kick_sweep, kick_membrane, kick_fm),
    "snare": (snare_analogue, snare_membrane, snare_fm),
    "hat_closed": (hat_closed_squares, hat_closed_noise, hat_closed_plate),
    "hat_open": (hat_open_squares, hat_open_noise, hat_open_plate),
    "tom": (tom_membrane, tom_sweep, tom_fm),
    "clap": (clap_bursts, clap_crowd),
    "cymbal": (cymbal_plate, cymbal_squares, cymbal_fm),
    "perc": (perc_rim, perc_block, perc_cowbell, perc_shaker, perc_blip),
}


def finish(audio: np.ndarray, level_db: float) -> np.ndarray:
    """Take the mean of the tail away, fade the last 5 ms and set the peak to ``level_db`` dBFS."""
    audio = s.high_pass(np.asarray(audio, float), 18.0)
    fade = min(len(audio) // 4, 240)
    audio[len(audio) - fade :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return (audio * (10 ** (level_db / 20) / max(float(np.max(np.abs(audio))), 1e-9))).astype(np.float32)


def hit(seed: int, index: int) -> Hit:
    """Make item ``index`` of the set with that seed; it does not depend on how many others are made.

    Hits come in instruments of :data:`HITS_PER_INSTRUMENT`: same recipe and nearly the same factors, other
    velocity, as the round-robins of a sampled drum. Classes follow one another.
    """
    instrument, take = divmod(index, HITS_PER_INSTRUMENT)
    label = CLASSES[instrument % len(CLASSES)]
    of_instrument = np.random.default_rng([seed, 1, instrument])
    recipe = RECIPES[label][int(of_instrument.integers(len(RECIPES[label])))]
    base = of_instrument.random(5)
    rng = np.random.default_rng([seed, 2, index])
    velocity = float(rng.uniform(0.35, 1.0))
    wobble = 0.02 * rng.standard_normal(5)
    wobble[2] += 0.15 * (velocity - 0.7)  # harder hits are brighter
    factors = Factors(*(float(v) for v in np.clip(base + wobble, 0.0, 1.0)))
    level_db = 20 * np.log10(velocity) - float(of_instrument.uniform(0.5, 9.0))
    audio, used = recipe(factors, rng)
    used = {key: float(value) for key, value in used.items()}
    return Hit(
        name=f"{label}_{instrument:04d}_{take}",
        label=label,
        group=f"{label}_{instrument:04d}",
        recipe=recipe.__name__,
        audio=finish(audio, level_db),
        factors=factors,
        parameters=used | {"velocity": velocity, "level_db": float(level_db)},
    )


def hits(seed: int, items: int) -> Iterator[Hit]:
    """Yield the first ``items`` hits of the set with that seed."""
    for index in range(items):
        yield hit(seed, index)


def describe(one: Hit) -> dict:
    """Manifest entry of one hit: class, group, recipe, factors (0..1) and physical parameters."""
    return {
        "name": one.name,
        "class": one.label,
        "group": one.group,
        "recipe": one.recipe,
        "factors": asdict(one.factors),
        "parameters": one.parameters,
    }
