"""How much a pruned or quantized model differs from its float original, on the same inputs.

The inputs are items of the test split, where ``vaectrol quantize`` left them beside the model
(``NAME.int8.onnx.report/test.npz``); of a model that comes alone, seeded ones within its stated ranges.

Float runs as our float build, the quantized one as our C on this machine, which is bit-exact with the module.
Signal-to-noise ratio, log-spectral distance, multi-resolution STFT distance and onset error; WAVs of both,
and the null test, float minus quantized.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.report.schema import Measures, Quality
from common import model_metadata
from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal

RESOLUTIONS = (256, 1024, 4096)
ONSET_PART = 0.1
"""−20 dB; the training's judge of drums has the same."""
SHOWN_ITEMS = 4
"""How many items the spectrograms show."""


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


def onset_ms(signal: np.ndarray, rate: float) -> float:
    """When a sound begins: its first half millisecond within 20 dB of its loudest one, in milliseconds."""
    frame = round(rate / 2000)
    count = max(1, len(signal) // frame)
    padded = np.pad(np.abs(signal), (0, max(0, frame - len(signal))))
    envelope = padded[: count * frame].reshape(count, frame).max(axis=1)
    return float(np.argmax(envelope >= ONSET_PART * envelope.max()) * frame * 1e3 / rate)


def onset_error_ms(reference: np.ndarray, other: np.ndarray, rate: float) -> float:
    """Distance of the two onsets in milliseconds."""
    return abs(onset_ms(reference, rate) - onset_ms(other, rate))


def compare(reference: np.ndarray, other: np.ndarray, rate: float) -> Measures:
    """Every number of this module for one channel of sound."""
    return {
        "snr_db": round(snr_db(reference, other), 3),
        "log_spectral_db": round(log_spectral_db(reference, other), 4),
        "multi_resolution_stft": round(multi_resolution(reference, other), 5),
        "onset_error_ms": round(onset_error_ms(reference, other, rate), 4),
        "peak_difference": round(float(np.abs(reference - other).max()), 6),
    }


HIT_SAMPLES = 2 * SAMPLE_RATE_HZ  # the engine's voices end there


class Player:
    """A model as our C on this machine, compiled once; every `play` begins with silence."""

    def __init__(self, path: Path):
        from firmware.compiler.binding import load_host
        from firmware.compiler.pipeline import compile_onnx

        program = compile_onnx(path, "host", None, 48, schedule="eager")
        self.model = load_host(program)
        self.sound = (
            program.sound
        )  # what a drum's numbers mean: the engine plays them, and here its definition

    @property
    def is_event(self) -> bool:
        """Whether it decodes events that are no sound."""
        from firmware.compiler.binding import EventModel

        return isinstance(self.model, EventModel) and self.sound is None

    def play(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs [channels, frames] without added delay."""
        from firmware.compiler.binding import EventModel
        from firmware.compiler.ops.hit import sound

        if isinstance(self.model, EventModel):
            made = self.model.evaluate(inputs)
            if self.sound is None:
                return made
            numbers = {name: value[:, 0] for name, value in made.items()}
            return {"audio": sound(self.sound, numbers, HIT_SAMPLES)[None]}
        self.model.reset()
        return self.model.process(inputs)


class Assessment(NamedTuple):
    """What was found, and some of the sounds it was found in, by format; none for events."""

    quality: Quality
    sounds: dict[str, np.ndarray]


@dataclass(frozen=True)
class Item:
    """Something to play: inputs [channels, frames] by name, and what the data say should come out."""

    inputs: dict[str, np.ndarray]
    truth: dict[str, np.ndarray] = field(default_factory=dict)


def test_items(file: Path) -> tuple[list[Item], str]:
    """Read what ``quantize`` left of the test split, and where it says that it is from.

    Raises
    ------
    Refusal
        The file is not such an archive.
    """
    try:
        with np.load(file) as archive:
            source = str(archive["source"])
            items: dict[int, Item] = {}
            for key in archive.files:
                if key != "source":
                    number, part, name = key.split("/", 2)
                    item = items.setdefault(int(number), Item({}, {}))
                    {"in": item.inputs, "truth": item.truth}[part][name] = archive[key]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        raise Refusal(
            f"{file} does not hold test items as `vaectrol quantize` writes them; quantize the run again."
        ) from None
    return [items[number] for number in sorted(items)], source


def test_inputs(path: Path, seconds: float, seed: int = 7) -> dict[str, np.ndarray]:
    """Seeded inputs inside the stated ranges: smooth curves for controls, noise bursts for audio."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    stated = {spec.name: spec for spec in model_metadata.read(model, path.name).inputs}
    rng = np.random.default_rng(seed)
    made = {}
    for tensor in model.graph.input:
        spec = stated.get(tensor.name)
        if spec is None:
            raise Refusal(
                f"{path.name} does not say what its input {tensor.name!r} is; quality needs a vaectrol model."
            )
        channels = tensor.type.tensor_type.shape.dim[1].dim_value
        low, high = spec.limits
        if spec.is_event:
            made[tensor.name] = rng.uniform(low, high, (channels, 1)).astype(np.float32)
            continue
        rate = spec.frames_per_sample or Fraction(1)
        frames = max(4, int(seconds * SAMPLE_RATE_HZ * rate))
        if rate == 1:
            envelope = np.exp(-((np.arange(frames) % 12000) / 3000.0))
            signal = rng.standard_normal((channels, frames)) * envelope * 0.3 * high
        else:
            knots = rng.uniform(low, high, (channels, max(2, frames // 16 + 2)))
            at = np.linspace(0, knots.shape[1] - 1, frames)
            signal = np.stack([np.interp(at, np.arange(knots.shape[1]), row) for row in knots])
        made[tensor.name] = np.clip(signal, low, high).astype(np.float32)
    return made


def assess(
    float_path: Path, others: dict[str, Path], items: list[Item], source: str, wavs: Path | None = None
) -> Assessment:
    """Compare models with their float original item by item, and all with the recordings where there are any.

    Parameters
    ----------
    others : name of the format → model file.
    items : what to play.
    source : how to call the items in the report.
    wavs : folder for float, quantized and null-test WAVs, the items one after the other.

    Returns
    -------
    Assessment
        ``formats``: means over the items per format (of onset errors the median), and the worst SNR;
        ``recordings``: distance of every format to the data; ``inputs``: what was played.
    """
    players = {"float": Player(float_path), **{name: Player(path) for name, path in others.items()}}
    if players["float"].is_event:
        return Assessment(_assess_events(players, items, source, onset_rows(float_path)), {})
    label = ""
    sounds: dict[str, list[np.ndarray]] = {name: [] for name in players}
    for item in items:
        for name, player in players.items():
            made = player.play(item.inputs)
            label = label or next(iter(made))
            sounds[name].append(np.asarray(made[label][0], np.float64))
    found: Quality = {"inputs": source, "items": len(items), "output": label, "formats": {}}
    for name in others:
        rows = [
            compare(reference[: len(other)], other[: len(reference)], SAMPLE_RATE_HZ)
            for reference, other in zip(sounds["float"], sounds[name], strict=True)
        ]
        found["formats"][name] = {
            **{key: round(float(np.mean([row[key] for row in rows])), 5) for key in rows[0]},
            "onset_error_ms": round(float(np.median([row["onset_error_ms"] for row in rows])), 4),
            "peak_difference": max(row["peak_difference"] for row in rows),
            "worst_snr_db": min(row["snr_db"] for row in rows),
        }
    truths = [item.truth.get(label) for item in items]
    if all(truth is not None for truth in truths):
        found["recordings"] = {
            name: _to_recordings(
                made, [np.asarray(truth[0], np.float64) for truth in truths if truth is not None]
            )
            for name, made in sounds.items()
        }
    if wavs is not None:
        _write_sounds(wavs, {name: np.concatenate(made) for name, made in sounds.items()})
    return Assessment(found, {name: np.concatenate(made[:SHOWN_ITEMS]) for name, made in sounds.items()})


def onset_rows(path: Path) -> slice:
    """Rows of an event model's first output that are probabilities of onsets, by their names in the file."""
    outputs = model_metadata.read_file(path).outputs
    names = outputs[0].channels if outputs else []
    return slice(0, sum(name.startswith("onset:") for name in names))


def _assess_events(players: dict[str, Player], items: list[Item], source: str, onsets: slice) -> Quality:
    """Compare patterns: decisions at one half, differences, and F1 against what the data say."""
    made = {name: [player.play(item.inputs) for item in items] for name, player in players.items()}
    label = next(iter(made["float"][0]))
    stacked = {name: np.stack([one[label] for one in ones]).astype(np.float64) for name, ones in made.items()}
    reference = stacked["float"]
    found: Quality = {"inputs": source, "items": len(items), "output": label, "formats": {}}
    for name, other in stacked.items():
        if name == "float":
            continue
        row = {
            "snr_db": round(snr_db(reference, other), 3),
            "worst_snr_db": round(min(snr_db(a, b) for a, b in zip(reference, other, strict=True)), 3),
            "peak_difference": round(float(np.abs(reference - other).max()), 6),
        }
        if onsets.stop:
            alike = (reference[:, onsets] > 0.5) == (other[:, onsets] > 0.5)
            row["onsets_alike"] = round(float(alike.mean()), 6)
        found["formats"][name] = row
    truths = [item.truth.get(label) for item in items]
    if onsets.stop and all(truth is not None for truth in truths):
        wanted = np.stack([np.asarray(truth) for truth in truths])[:, onsets] > 0.5
        found["recordings"] = {
            name: {"onset_f1": round(_f1(wanted, other[:, onsets] > 0.5), 5)}
            for name, other in stacked.items()
        }
    return found


def _f1(wanted: np.ndarray, made: np.ndarray) -> float:
    """Harmonic mean of precision and recall of decisions."""
    hits, said = int((wanted & made).sum()), int(wanted.sum()) + int(made.sum())
    return 2.0 * hits / said if said else 1.0


def _to_recordings(made: list[np.ndarray], truths: list[np.ndarray]) -> Measures:
    """Mean distance to the recordings; their phases are their own, so no SNR."""
    pairs = [(truth[: len(one)], one[: len(truth)]) for truth, one in zip(truths, made, strict=True)]
    measures = {"log_spectral_db": log_spectral_db, "multi_resolution_stft": multi_resolution}
    found = {key: float(np.mean([measure(*pair) for pair in pairs])) for key, measure in measures.items()}
    found["onset_error_ms"] = float(np.median([onset_error_ms(*pair, SAMPLE_RATE_HZ) for pair in pairs]))
    return {key: round(value, 5) for key, value in found.items()}


def _write_sounds(folder: Path, sounds: dict[str, np.ndarray]) -> None:
    """Write every format and the null tests, float minus the other, at one level."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    reference = sounds["float"]
    level = 0.9 / max(1e-9, float(np.abs(reference).max()))
    for name, signal in sounds.items():
        soundfile.write(folder / f"{name}.wav", (signal * level).astype(np.float32), SAMPLE_RATE_HZ)
        if name != "float":
            size = min(len(reference), len(signal))
            null = (reference[:size] - signal[:size]) * level
            soundfile.write(folder / f"null_{name}.wav", null.astype(np.float32), SAMPLE_RATE_HZ)
