"""What to feed a model while calibrating and fine-tuning: its own inputs, moving as they do on the module.

Latents and attributes follow their quantile tables (docs/design.md#controls): still, at the extremes, in
steps, ramps, oscillations and noise; classes are one-hot or blends; audio comes from recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.files import files_below
from common.model_metadata import TensorSpec
from common.refusal import LeftOut, Refusal
from quantize.graph.graph import Feed, Graph

MAX_RECORDING_SECONDS = 3600.0
FAST_HZ = 20.0  # quickest oscillation of a control voltage that is played, not audio


class FeedMaker:
    """Make random, representative feeds for a model from its metadata.

    Parameters
    ----------
    graph : Graph
        The model; its metadata says what the inputs mean.
    audio : sequence of ndarray [samples], optional
        Recordings at 48 kHz for inputs that carry audio.
    seed : int or sequence of int
        Of the random generator.
    """

    def __init__(self, graph: Graph, audio: Sequence[np.ndarray] = (), seed: int | Sequence[int] = 0):
        self.graph = graph
        self.audio = list(audio)
        self.random = np.random.default_rng(seed)
        self.about = graph.about
        self.entries = {spec.name: spec for spec in self.about.inputs}
        missing = [n for n in graph.input_names if n not in self.entries]
        if missing:
            raise Refusal(
                f"the model's metadata does not say what its input {missing[0]!r} means, so "
                "calibration data can't be "
                "made up; give real inputs with --calibration DIR (one .npz per example)."
            )

    def make(self, seconds: float, batch: int) -> Feed:
        """Make one feed.

        Parameters
        ----------
        seconds : float
            Length; ignored by event models.
        batch : int
            How many examples.

        Returns
        -------
        dict of str to ndarray [batch, C, T] float32
        """
        rates = self.graph.input_rates
        slow = min((r for r in rates.values() if r), default=Fraction(0))
        frames = max(2, round(seconds * SAMPLE_RATE_HZ * float(slow)))
        feed: Feed = {}
        for name in self.graph.input_names:
            shape = self.graph.fixed_shape(name)
            channels = shape[1] if len(shape) > 1 else 1
            if channels is None:
                raise Refusal(f"input {name!r} has no fixed number of channels; export it with one.")
            fixed = shape[2] if len(shape) > 2 else 1
            length = fixed if fixed is not None else int(frames * rates[name] / slow)
            feed[name] = self._signal(self.entries[name], batch, channels, length, rates[name])
        return feed

    def _signal(
        self, entry: TensorSpec, batch: int, channels: int, length: int, rate: Fraction
    ) -> np.ndarray:
        role = entry.role
        frame_hz = SAMPLE_RATE_HZ * float(rate) if rate else 1.0
        if role == "audio":
            return self._audio(batch, channels, length)
        names = entry.channels or [""] * channels
        tables = self.tables(entry.name)
        position = self.positions(batch, channels, length, frame_hz)
        signal = np.stack(
            [
                np.interp(position[:, c], np.linspace(0, 1, len(tables[c])), tables[c])
                for c in range(channels)
            ],
            1,
        )
        classes = [c for c, name in enumerate(names) if name.startswith("class:")]
        if role == "class" and not classes:
            classes = list(range(channels))
        if classes:
            signal[:, classes] = self._classes(batch, len(classes))[:, :, None]
        return signal.astype(np.float32)

    def tables(self, name: str) -> list[np.ndarray]:
        """Quantile table of every channel of an input, its stated range where there is none."""
        entry = self.entries[name]
        names = entry.channels or [""] * int(self.graph.fixed_shape(name)[1] or 1)
        known = {latent.name: np.asarray(latent.quantiles) for latent in self.about.latents}
        known |= {each.name: np.asarray(each.quantiles) for each in self.about.attributes}
        return [known.get(channel, np.array(entry.limits)) for channel in names]

    def positions(self, batch: int, channels: int, length: int, frame_hz: float) -> np.ndarray:
        """Draw the travel 0..1 of controls, each moving in its own way: [batch, channels, length]."""
        random = self.random
        time = np.arange(length) / frame_hz
        out = np.empty((batch, channels, length))
        for index in np.ndindex(batch, channels):
            kind = random.choice(6, p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1])
            here, there = random.random(2)
            if kind == 0 or length < 4:
                move = np.full(length, here if random.random() < 0.85 else round(here))
            elif kind == 1:
                move = np.full(length, float(random.integers(2)))
            elif kind == 2:
                move = np.where(np.arange(length) < random.integers(1, length), here, there)
            elif kind == 3:
                move = np.linspace(here, there, length)
            elif kind == 4:
                speed = np.exp(random.uniform(np.log(0.2), np.log(min(FAST_HZ, frame_hz / 4))))
                move = here + 0.5 * there * np.sin(2 * np.pi * (speed * time + random.random()))
            else:
                knots = random.random(max(2, int(time[-1] * 10) + 2))
                move = np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots)
            out[index] = np.clip(move, 0.0, 1.0)
        return out

    def _classes(self, batch: int, count: int) -> np.ndarray:
        """One-hot mostly, blends of two otherwise; [batch, count]."""
        first, second = self.random.integers(count, size=(2, batch))
        share = np.where(self.random.random(batch) < 0.8, 1.0, self.random.random(batch))
        out = np.zeros((batch, count))
        out[np.arange(batch), first] += share
        out[np.arange(batch), second] += 1 - share
        return out

    def _audio(self, batch: int, channels: int, length: int) -> np.ndarray:
        """Pieces of the recordings, at levels from −30 dB to full scale."""
        if not self.audio:
            raise Refusal(
                "this model reads audio, so calibration needs recordings; give --calibration DIR "
                "with WAV files."
            )
        out = np.zeros((batch, channels, length), np.float32)
        for row in np.ndindex(batch, channels):
            source = self.audio[self.random.integers(len(self.audio))]
            start = self.random.integers(max(1, len(source) - length))
            piece = source[start : start + length]
            out[row][: len(piece)] = piece * 10 ** (self.random.uniform(-18, 0) / 20)
        return out


def read_folder(folder: Path, graph: Graph, most: int = 256) -> list[Feed]:
    """Read calibration examples: ``.npz`` with one array per input, ``.npy`` or WAV for models of one input.

    Raises
    ------
    Refusal
        For an empty folder, arrays of another shape, or recordings of another sample rate.
    """
    if not folder.is_dir():
        raise Refusal(f"there is no calibration folder {folder}; give one with .npz, .npy or .wav files.")
    files = [p for p in files_below(folder) if p.suffix.lower() in (".npz", ".npy", ".wav")][:most]
    if not files:
        raise Refusal(f"{folder} holds no .npz, .npy or .wav file to calibrate with.")
    names = graph.input_names
    feeds: list[Feed] = []
    for path in files:
        if path.suffix.lower() == ".npz":
            with np.load(path) as archive:
                missing = [n for n in names if n not in archive]
                if missing:
                    raise Refusal(f"{path} has no array {missing[0]!r}; the model's inputs are {names}.")
                feed = {n: np.asarray(archive[n], np.float32) for n in names}
        elif len(names) != 1:
            raise Refusal(
                f"{path} holds one array, but the model reads {names}; give .npz files with these names."
            )
        elif path.suffix.lower() == ".npy":
            feed = {names[0]: np.asarray(np.load(path), np.float32)}
        else:
            feed = {names[0]: read_wav(path, graph)[None, None]}
        feeds.append({n: _fit(v, graph.fixed_shape(n), path, n) for n, v in feed.items()})
    return feeds


def read_wav(path: Path, graph: Graph) -> np.ndarray:
    """Read a recording as mono float32 [samples]; its rate must be the model's."""
    from common.reading.recording import read_recording

    try:
        recording = read_recording(path, MAX_RECORDING_SECONDS)
    except LeftOut as reason:
        raise Refusal(f"{path} {reason}.") from None
    rate = recording.rate_hz
    wanted = int(graph.about.sample_rate_hz)
    if rate != wanted:
        raise Refusal(f"{path} is at {rate} Hz but the model runs at {wanted} Hz; resample the recording.")
    return recording.audio.astype(np.float32).mean(1)


def _fit(value: np.ndarray, shape: tuple[int | None, ...], path: Path, name: str) -> np.ndarray:
    """Add missing leading axes and check the shape of an example."""
    while value.ndim < len(shape):
        value = value[None]
    wrong = value.ndim != len(shape) or any(
        s is not None and s != v for s, v in zip(shape[1:], value.shape[1:], strict=False)
    )
    if wrong or not np.isfinite(value).all():
        what = f"shape {value.shape}" if wrong else "NaN or infinite values"
        expected = [s if s is not None else "any" for s in shape]
        raise Refusal(f"{path}: {name!r} has {what}; the model expects {expected} and finite values.")
    return value
