"""Dry and wet recordings: who belongs to whom, how late the wet one is, and where state must be reset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.data.audio import LeftOut, clipped_samples, read_recording, resample, to_mono
from train.data.source import SourceFile
from train.data.store import SAMPLE_RATE_HZ

DRY_WORDS = frozenset("dry di clean input in source raw direct unprocessed original".split())
WET_WORDS = frozenset("wet fx out output target processed effected reamp reamped amped effect".split())
# A wet file may be this much longer or shorter than its dry one (a recorder stopped by hand)
LENGTH_TOLERANCE_SECONDS = 1.0
MAX_DELAY_SECONDS = 0.25
MAX_PAIR_SECONDS = 1800.0
# Loudness curves of strangers may agree by chance; partners do by more than this
MIN_LIKENESS = 0.5
SHORTEST_DELAY_SECONDS = 0.00025
SURE_CORRELATION = 0.35
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+(?:\.\d+)?")


@dataclass(frozen=True)
class PairFiles:
    """A dry file and a wet file that belong together."""

    dry: SourceFile
    wet: SourceFile
    effect: str
    parameters: dict[str, Any]
    why: str


def _name_words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


def role_of(file: SourceFile) -> tuple[str | None, str]:
    """Whether a file is ``dry`` or ``wet`` by name (nearest to the file first), and the word that says so."""
    for part in (file.stem, *reversed(file.folders)):
        found = _name_words(part)
        for word in found:
            if word in DRY_WORDS:
                return "dry", word
            if word in WET_WORDS:
                return "wet", word
    return None, ""


def parameters_in(text: str) -> tuple[dict[str, float], list[str]]:
    """Split ``gain050_tone3`` into {gain: 50, tone: 3} and the words that carry no number."""
    parameters: dict[str, float] = {}
    rest: list[str] = []
    parts = _name_words(text)
    index = 0
    while index < len(parts):
        word = parts[index]
        following = parts[index + 1] if index + 1 < len(parts) else ""
        if word.isalpha() and following[:1].isdigit() and word not in DRY_WORDS | WET_WORDS:
            parameters[word] = float(following)
            index += 2
            continue
        rest.append(word)
        index += 1
    return parameters, rest


def find_pairs(files: tuple[SourceFile, ...]) -> tuple[list[PairFiles], dict[str, str]]:
    """Pair files by name.

    A manifest row with ``dry`` and ``wet`` decides. Else a wet file looks for a dry one, in this order: the same
    name without the words for dry and wet, in its own folder; the same name in any folder of dry files; the only
    dry file of its own folder. A file that is neither by name is wet when a dry file elsewhere has its name; its
    folder is then the effect.

    Returns
    -------
    pairs : list of PairFiles
    alone : dict
        Files without a partner, and why.
    """
    by_path = {file.relative: file for file in files}
    pairs: list[PairFiles] = []
    alone: dict[str, str] = {}
    used: set[str] = set()
    for file in files:
        if file.row.get("dry") and file.row.get("wet"):
            dry = by_path.get(str(file.row["dry"]))
            if dry is None:
                alone[file.relative] = f"the manifest pairs it with {file.row['dry']}, which is not there"
                continue
            stated = {key: value for key, value in (file.row.get("parameters") or {}).items()}
            pairs.append(PairFiles(dry, file, str(file.row.get("effect") or "unnamed"), stated, "manifest"))
            used |= {dry.relative, file.relative}
    left = [file for file in files if file.relative not in used]
    dry_files = [file for file in left if role_of(file)[0] == "dry"]
    dry_keys: dict[tuple[str, ...], list[SourceFile]] = {}
    for file in dry_files:
        dry_keys.setdefault(_key(file.stem), []).append(file)
    for file in left:
        role, _ = role_of(file)
        if role == "dry":
            continue
        found = _partner(file, role, dry_files, dry_keys)
        if found is None:
            alone[file.relative] = (
                "is wet, but no dry file of that name was found"
                if role == "wet"
                else "is neither dry nor wet by name, and no dry file has its name"
            )
            continue
        dry, why = found
        parameters, effect = _effect(file, dry)
        pairs.append(PairFiles(dry, file, effect, dict(parameters), why))
        used |= {dry.relative, file.relative}
    for file in dry_files:
        if file.relative not in used:
            alone[file.relative] = "is dry, but no wet file of that name was found"
    return pairs, alone


def _key(stem: str) -> tuple[str, ...]:
    return tuple(word for word in _name_words(stem) if word not in DRY_WORDS | WET_WORDS)


def _partner(
    file: SourceFile,
    role: str | None,
    dry_files: list[SourceFile],
    dry_keys: dict[tuple[str, ...], list[SourceFile]],
) -> tuple[SourceFile, str] | None:
    key = _key(file.stem)
    _, bare = parameters_in(file.stem)
    bare_key = tuple(word for word in bare if word not in DRY_WORDS | WET_WORDS)
    same_name = [
        dry for wanted in (key, bare_key) for dry in dry_keys.get(wanted, []) if wanted and dry is not file
    ]
    beside = [dry for dry in same_name if dry.folders == file.folders]
    if beside:
        return beside[0], "same name in the same folder"
    if same_name:
        return max(same_name, key=lambda dry: _common(dry.folders, file.folders)), "same name"
    if role == "wet":
        # a name that goes on where the dry one stops: riff.wav and riff_wet_fuzz.wav
        begins = [dry for dry in dry_files if _key(dry.stem) and key[: len(_key(dry.stem))] == _key(dry.stem)]
        if begins:
            return max(
                begins, key=lambda dry: (len(_key(dry.stem)), _common(dry.folders, file.folders))
            ), "name begins alike"
        only = [dry for dry in dry_files if dry.folders == file.folders and not _key(dry.stem)]
        if len(only) == 1:
            return only[0], "the only dry file of its folder"
    return None


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _effect(wet: SourceFile, dry: SourceFile) -> tuple[dict[str, float], str]:
    """Name of the effect and its parameters, from what the wet name has and the dry one has not."""
    dry_words = set(_key(dry.stem))
    parameters, rest = parameters_in(wet.stem)
    parameters = {key: value for key, value in parameters.items() if key not in dry_words}
    extra = [word for word in rest if word not in dry_words | DRY_WORDS | WET_WORDS and word.isalpha()]
    if extra:
        return parameters, "-".join(extra)
    own = [folder for folder in wet.folders if folder not in dry.folders and folder.lower() not in WET_WORDS]
    if own:
        return parameters, own[-1]
    parent = wet.folders[-1] if wet.folders else wet.path.parent.name
    return parameters, parent if parent.lower() not in WET_WORDS else "unnamed"


@dataclass(frozen=True)
class Alignment:
    """How a wet signal lies against its dry one.

    Attributes
    ----------
    delay : int
        Samples by which the wet is late and which are taken out; 0 when it cannot be told from none.
    seen : int
        Where the response peaks, in samples, whatever is made of it.
    polarity : int
        1 or -1; 1 when it cannot be told.
    sure : bool
        Whether the response stands out and is narrow.
    correlation : float
        Of the waveforms at that delay, signed.
    """

    delay: int
    seen: int
    polarity: int
    sure: bool
    correlation: float


def align(dry: np.ndarray, wet: np.ndarray, rate_hz: int) -> Alignment:
    """Estimate delay and polarity from the linear part of what lies between two signals.

    The response is found by regularised deconvolution (Wiener's, cross spectrum over dry power). Its peak is the
    delay of the loudest path. A lopsided peak belongs to a filter, which begins before it peaks: then the delay
    is where it first reaches half. A narrow-band phrase (a sine bass) gives a broad response that cannot be
    told from no delay, and is left where it is. So are delays under a quarter of a millisecond: they are the group
    delay of the device's own filters, and taking them out would ask a model to see the future.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n = min(len(dry), len(wet))
    a, b = dry[:n] - dry[:n].mean(), wet[:n] - wet[:n].mean()
    size = next_fast_len(2 * n, real=True)
    spectrum = rfft(a, size)
    power = np.abs(spectrum) ** 2
    whole = irfft(np.conj(spectrum) * rfft(b, size) / (power + 3e-3 * power.mean() + 1e-30), size)
    reach = max(1, min(n // 4, round(MAX_DELAY_SECONDS * rate_hz)))
    response = np.concatenate([whole[-reach:], whole[: reach + 1]])
    level = np.abs(response)
    peak = int(level.argmax())
    half = 0.5 * level[peak]
    below = np.nonzero(level < half)[0]
    first = int(below[below < peak].max(initial=-1)) + 1
    last = int(below[below > peak].min(initial=len(level))) - 1
    elsewhere = level.copy()
    elsewhere[max(0, first - 48) : last + 49] = 0.0
    sure = bool(level[peak] > 1.8 * elsewhere.max(initial=0.0) and last - first <= rate_hz / 1200)
    lopsided = abs((last - peak) - (peak - first)) > 1
    delay = (first if lopsided else peak) - reach
    if not sure or first <= reach <= last or abs(delay) < SHORTEST_DELAY_SECONDS * rate_hz:
        delay = 0
    correlation = _correlation(a, b, delay)
    if sure:
        polarity = 1 if response[peak] >= 0 else -1
    else:
        polarity = -1 if correlation < -SURE_CORRELATION else 1
    return Alignment(delay, peak - reach, polarity, sure, correlation)


def _correlation(a: np.ndarray, b: np.ndarray, delay: int) -> float:
    """Normalised cross-correlation of two signals at one delay."""
    n = min(len(a), len(b))
    x, y = (a[: n - delay], b[delay:n]) if delay >= 0 else (a[-delay:n], b[: n + delay])
    energy = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / energy) if energy > 0 else 0.0


def _envelope_delay(dry: np.ndarray, wet: np.ndarray, rate_hz: int) -> tuple[int, float]:
    """Delay of the loudness curves in samples (to about a millisecond), and their correlation there.

    What rectifies or folds leaves nothing of the wave, yet it comes and goes with it.
    """
    frame = max(1, rate_hz // 1000)
    n = min(len(dry), len(wet)) // frame * frame
    a, b = (np.sqrt((x[:n].reshape(-1, frame) ** 2).mean(axis=1)) for x in (dry, wet))
    a, b = np.log(a + 1e-3 * a.max()), np.log(b + 1e-3 * b.max())
    a, b = a - a.mean(), b - b.mean()
    reach = min(len(a) // 4, round(1000 * MAX_DELAY_SECONDS))
    scores = [_correlation(a, b, lag) for lag in range(-reach, reach + 1)]
    best = int(np.argmax(scores))
    return (best - reach) * frame, float(scores[best])


@dataclass(frozen=True)
class AlignedPair:
    """A pair that has been read: mono signals at one rate, and what relates them."""

    dry: np.ndarray
    wet: np.ndarray
    rate_hz: int
    delay: int
    polarity: int
    segment: int | None
    facts: dict[str, Any]

    def cut(self, into_thirds: bool) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """Cut into the segments of the data set, see :func:`cut`.

        With ``into_thirds`` a pair without borders is cut at 80 and 90 % of its length. The third value tells
        that a piece goes on from the one before it, so that its device was not at rest.
        """
        if self.segment is not None or not into_thirds:
            whole = segment_bounds(min(len(self.dry), len(self.wet)), self.segment)
            return [(*piece, False) for piece in self._pieces(whole)]
        length = min(len(self.dry), len(self.wet))
        a, b = int(0.8 * length), int(0.9 * length)
        thirds = self._pieces([(0, a), (a, b), (b, length)])
        return [(*piece, number > 0) for number, piece in enumerate(thirds)]

    def _pieces(self, bounds: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        return cut(self.dry, self.wet, self.rate_hz, self.delay, self.polarity, bounds)


def read_pair(pair: PairFiles, segment_samples: int | None) -> AlignedPair:
    """Read both files of a pair and find delay, polarity and borders.

    Raises
    ------
    LeftOut
        When a file cannot be read, the lengths differ by more than a second, or the two have nothing in common.
    """
    dry_file, wet_file = (
        read_recording(one.path, max_seconds=MAX_PAIR_SECONDS) for one in (pair.dry, pair.wet)
    )
    dry, wet = to_mono(dry_file.audio)[0], to_mono(wet_file.audio)[0]
    rate_hz = dry_file.rate_hz
    seconds = [len(dry) / dry_file.rate_hz, len(wet) / wet_file.rate_hz]
    if abs(seconds[0] - seconds[1]) > LENGTH_TOLERANCE_SECONDS:
        raise LeftOut(
            f"lasts {seconds[1]:.2f} s and its dry file {pair.dry.relative} {seconds[0]:.2f} s; "
            "export both over the same stretch"
        )
    for name, signal in ((pair.dry.relative, dry), (pair.wet.relative, wet)):
        if float(np.abs(signal).max()) < 1e-3:
            raise LeftOut(f"cannot be used: {name} is silent")
    if dry_file.rate_hz != wet_file.rate_hz:
        if segment_samples is not None:
            raise LeftOut(
                f"has {wet_file.rate_hz} Hz and its dry file {dry_file.rate_hz}; segments need one rate"
            )
        dry, wet, rate_hz = (
            resample(dry, dry_file.rate_hz),
            resample(wet, wet_file.rate_hz),
            SAMPLE_RATE_HZ,
        )
    found = align(dry, wet, rate_hz)
    delay, polarity, by = found.delay, found.polarity, "waveform"
    if not found.sure:
        late, alike = _envelope_delay(dry, wet, rate_hz)
        if alike < MIN_LIKENESS and abs(found.correlation) < SURE_CORRELATION:
            raise LeftOut(
                f"has nothing in common with {pair.dry.relative} (loudness curves agree by {alike:.2f}, waves by "
                f"{found.correlation:+.2f}); is it its partner?"
            )
        by = "envelope"
        if abs(late) > 0.005 * rate_hz and alike > MIN_LIKENESS:
            delay = late
    segment = segment_samples or find_borders(dry, wet)
    facts = {
        **{f"wet_{key}": value for key, value in wet_file.facts.items()},
        "dry_rate_hz": dry_file.rate_hz,
        "dry_file": pair.dry.relative,
        "paired_by": pair.why,
        "effect": pair.effect,
        "delay_samples": delay,
        "delay_ms": 1000 * delay / rate_hz,
        "response_peak_samples": found.seen,
        "polarity": polarity,
        "correlation": found.correlation,
        "aligned_by": by,
        "segment_samples": segment,
        "length_difference": len(wet) - len(dry),
        "wet_dc": float(wet.mean()),
        "wet_clipped": clipped_samples(wet),
        "dry_clipped": clipped_samples(dry),
        "seconds": seconds[0],
    }
    return AlignedPair(dry, wet, rate_hz, delay, polarity, segment, facts)


def find_borders(dry: np.ndarray, wet: np.ndarray) -> int | None:
    """Detect that a recording is a concatenation of equal segments, from the clicks where they meet.

    A border is a place where the signal jumps: its second difference stands out from its neighbourhood, in the
    dry and in the wet file. Returned is the period of which nearly all multiples show such a jump, if
    there is one between 20 ms-like 512 samples and a quarter of the file.

    Returns
    -------
    int or None
        Samples per segment.
    """
    n = min(len(dry), len(wet))
    if n < 8 * 512:
        return None
    score = np.minimum(_jumps(dry[:n]), _jumps(wet[:n]))
    places = np.nonzero(score > 8.0)[0]
    if len(places) < 6:
        return None
    places = places[np.argsort(-score[places])][:400]
    places = np.sort(places)
    gaps = np.diff(places)
    best: tuple[float, int] | None = None
    candidates = {int(g) for g in gaps if 512 <= g <= n // 4} | {
        int(p) for p in places[:40] if 512 <= p <= n // 4
    }
    marked = np.zeros(n, bool)
    for shift in (-1, 0, 1):
        marked[np.clip(places + shift, 0, n - 1)] = True
    for period in sorted(candidates):
        borders = np.arange(period, n - 1, period)
        hit = float(marked[borders].mean())
        explained = float(marked[borders].sum()) / len(places)
        # most borders show, and most of what shows is a border
        if len(borders) >= 4 and hit > 0.6 and explained > 0.5 and (best is None or hit > best[0] + 1e-9):
            best = (hit, period)
    return best[1] if best else None


def _jumps(x: np.ndarray) -> np.ndarray:
    """How far each sample's second difference stands out from the median of those within 64 samples."""
    from scipy.ndimage import median_filter

    second = np.abs(np.diff(x, 2, prepend=x[:1], append=x[-1:]))
    floor = median_filter(second, size=129, mode="nearest")
    return second / (floor + 1e-4 * float(np.abs(x).max()) + 1e-12)


def segment_bounds(length: int, segment: int | None) -> list[tuple[int, int]]:
    """Start and stop of each segment of a file; a rest shorter than half a segment is dropped."""
    if segment is None:
        return [(0, length)]
    starts = range(0, length, segment)
    return [
        (start, min(start + segment, length))
        for start in starts
        if min(segment, length - start) > segment // 2
    ]


def cut(
    dry: np.ndarray,
    wet: np.ndarray,
    rate_hz: int,
    delay: int,
    polarity: int,
    bounds: list[tuple[int, int]],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a pair into segments that know nothing of each other, at 48 kHz.

    The delay is taken out inside each segment (which loses that many samples), the polarity is turned back, and
    each segment is resampled by itself: beyond its ends it is continued by point reflection, so that neither
    the neighbour nor a step to zero rings into it.

    Returns
    -------
    list of (dry, wet)
        float32 [n] each, equal lengths.

    Raises
    ------
    LeftOut
        When the delay is longer than a segment.
    """
    pieces = []
    for start, stop in bounds:
        a, b = dry[start:stop], polarity * wet[start:stop]
        if abs(delay) >= stop - start:
            raise LeftOut(f"is {delay} samples late, longer than its segments of {stop - start}")
        a, b = (a[: len(a) - delay], b[delay:]) if delay >= 0 else (a[-delay:], b[: len(b) + delay])
        pieces.append((_resample_alone(a, rate_hz), _resample_alone(b, rate_hz)))
    return pieces


def _resample_alone(piece: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == SAMPLE_RATE_HZ:
        return piece.astype(np.float32)
    # a margin that is a whole number of samples at both rates
    step = rate_hz // np.gcd(rate_hz, SAMPLE_RATE_HZ)
    margin = min(int(step * np.ceil(1024 / step)), (len(piece) - 1) // step * step)
    extended = np.pad(piece, margin, mode="reflect", reflect_type="odd") if margin else piece
    out = resample(extended, rate_hz)
    first = margin * SAMPLE_RATE_HZ // rate_hz
    return out[first : first + round(len(piece) * SAMPLE_RATE_HZ / rate_hz)].astype(np.float32)
