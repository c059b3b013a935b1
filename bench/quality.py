"""How much a quantized model differs from its float original, on the same inputs.

Float runs as our float build, the quantized one as our C on this machine, which is bit-exact with the module.
Signal-to-noise ratio, log-spectral distance, multi-resolution STFT distance and onset error; WAVs of both,
and the null test, float minus quantized.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hardware.refusal import Refusal

RESOLUTIONS = (256, 1024, 4096)


def spectrogram(signal: np.ndarray, size: int, hop: int | None = None) -> np.ndarray:
    """Magnitudes [frames, size/2 + 1], Hann window."""
    hop = hop or size // 4
    padded = np.pad(np.asarray(signal, np.float64), (0, max(0, size - len(signal))))
    count = 1 + (len(padded) - size) // hop
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:count]
    return np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, the noise being the difference."""
    noise = float(np.sum((reference - other) ** 2))
    return float(10 * np.log10(max(np.sum(reference**2), 1e-20) / max(noise, 1e-20)))


def log_spectral_db(reference: np.ndarray, other: np.ndarray, size: int = 1024) -> float:
    """Log-spectral distance in dB: root mean square over bins, mean over frames, floored 80 dB down."""
    a, b = spectrogram(reference, size), spectrogram(other, size)
    floor = max(a.max(), 1e-9) * 1e-4
    distance = 20 * np.log10(np.maximum(a, floor) / np.maximum(b, floor))
    return float(np.sqrt((distance**2).mean(axis=1)).mean())


def multi_resolution(reference: np.ndarray, other: np.ndarray) -> float:
    """Spectral convergence + L1 of log magnitudes, over resolutions (Yamamoto et al., arXiv 1910.11480)."""
    total = 0.0
    for size in RESOLUTIONS:
        a, b = spectrogram(reference, size), spectrogram(other, size)
        floor = max(a.max(), 1e-9) * 1e-4
        convergence = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a)), 1e-12)
        total += convergence + np.abs(np.log(np.maximum(a, floor)) - np.log(np.maximum(b, floor))).mean()
    return float(total / len(RESOLUTIONS))


def onset_error_ms(reference: np.ndarray, other: np.ndarray, rate: float) -> float:
    """Shift of the steepest rise of energy (128-sample frames) between the two, in milliseconds."""

    def steepest(signal: np.ndarray) -> float:
        energy = np.sqrt(np.convolve(np.asarray(signal, np.float64) ** 2, np.ones(128) / 128, "valid"))
        rise = energy[128:] - energy[:-128]
        return float(rise.argmax())

    return abs(steepest(reference) - steepest(other)) * 1e3 / rate


def compare(reference: np.ndarray, other: np.ndarray, rate: float) -> dict[str, float]:
    """Every number of this module for one channel of sound."""
    return {
        "snr_db": round(snr_db(reference, other), 3),
        "log_spectral_db": round(log_spectral_db(reference, other), 4),
        "multi_resolution_stft": round(multi_resolution(reference, other), 5),
        "onset_error_ms": round(onset_error_ms(reference, other, rate), 4),
        "peak_difference": round(float(np.abs(reference - other).max()), 6),
    }


def render(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a model as our C on this machine; outputs [channels, frames] without added delay."""
    from firmware.compiler.binding import StreamModel, load_host
    from firmware.compiler.pipeline import compile_onnx

    program = compile_onnx(path, "host", None, 48, schedule="eager")
    model = load_host(program)
    if not isinstance(model, StreamModel):
        return model.evaluate(inputs)
    return model.process(inputs)


def test_inputs(path: Path, seconds: float, seed: int = 7) -> dict[str, np.ndarray]:
    """Seeded inputs inside the stated ranges: smooth walks for controls, noise bursts for audio."""
    import json
    from fractions import Fraction

    import onnx

    model = onnx.load(str(path), load_external_data=False)
    stated: list[dict[str, Any]] = next(
        (json.loads(e.value) for e in model.metadata_props if e.key == "vaectrol.inputs"), []
    )
    ports = {p["name"]: p for p in stated}
    rng = np.random.default_rng(seed)
    made = {}
    for port in model.graph.input:
        info = ports.get(port.name)
        if info is None:
            raise Refusal(
                f"{path.name} does not say what its input {port.name!r} is; quality needs a vaectrol model."
            )
        channels = port.type.tensor_type.shape.dim[1].dim_value
        low, high = info.get("range") or (-1.0, 1.0)
        if info["rate"] == "event":
            made[port.name] = rng.uniform(low, high, (channels, 1)).astype(np.float32)
            continue
        frames = max(4, int(seconds * 48000 * Fraction(info["rate"])))
        if Fraction(info["rate"]) == 1:
            envelope = np.exp(-((np.arange(frames) % 12000) / 3000.0))
            signal = rng.standard_normal((channels, frames)) * envelope * 0.3 * high
        else:
            knots = rng.uniform(low, high, (channels, max(2, frames // 16 + 2)))
            at = np.linspace(0, knots.shape[1] - 1, frames)
            signal = np.stack([np.interp(at, np.arange(knots.shape[1]), row) for row in knots])
        made[port.name] = np.clip(signal, low, high).astype(np.float32)
    return made


def assess(
    float_path: Path, others: dict[str, Path], seconds: float, wavs: Path | None = None
) -> dict[str, Any]:
    """Compare models with their float original.

    Parameters
    ----------
    others : name of the format → model file.
    wavs : folder for float, quantized and null-test WAVs.

    Returns
    -------
    dict
        ``formats``: numbers per format; ``inputs``: how the inputs were made. Sounds under ``_audio`` for
        pictures.
    """
    inputs = test_inputs(float_path, seconds)
    reference = render(float_path, inputs)
    label = next(iter(reference))
    sound = np.asarray(reference[label][0], np.float64)
    found: dict[str, Any] = {
        "inputs": f"seeded, {seconds:g} s",
        "output": label,
        "formats": {},
        "_audio": {"float": sound},
    }
    for name, path in others.items():
        other = np.asarray(render(path, inputs)[label][0], np.float64)[: len(sound)]
        found["formats"][name] = compare(sound[: len(other)], other, 48000.0)
        found["_audio"][name] = other
    if wavs is not None:
        import soundfile

        wavs.mkdir(parents=True, exist_ok=True)
        peak = max(1e-9, float(np.abs(sound).max()))
        for name, signal in found["_audio"].items():
            soundfile.write(wavs / f"{name}.wav", (signal / peak * 0.9).astype(np.float32), 48000)
            if name != "float":
                null = (sound[: len(signal)] - signal) / peak * 0.9
                soundfile.write(wavs / f"null_{name}.wav", null.astype(np.float32), 48000)
    return found
