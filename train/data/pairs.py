"""Dry and wet recordings: how late the wet one is, which way up, and where state must be reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.reading.recording import read_recording
from common.refusal import LeftOut
from train.data.audio import clipped_samples, decibels, resample, to_mono
from train.data.coherence import coherence
from train.data.pairing import PairFiles

# A wet file may be this much longer or shorter than its dry one (a recorder stopped by hand)
LENGTH_TOLERANCE_SECONDS = 1.0
MAX_DELAY_SECONDS = 0.25
MAX_PAIR_SECONDS = 1800.0
# Delays below this are the device's own filters
SHORTEST_DELAY_SECONDS = 0.00025
SURE_CORRELATION = 0.35
# Of 100 toy pairs and the real ones none lay below 0.7, of 50 pairs of strangers none above 0.05
MIN_COHERENCE = 0.2
SILENCE = 1e-3
# A partner that comes later or earlier than is searched is looked for this far, to be named, not mended
FAR_DELAY_SECONDS = 10.0
# How much more a far delay must explain to be believed
FAR_BETTER = 0.2
DRIFT_WINDOW_SECONDS = 1.0
# Above what the same device shows from phrase to phrase
LEAST_DRIFT_SECONDS = SHORTEST_DELAY_SECONDS


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


def align(
    dry: np.ndarray, wet: np.ndarray, rate_hz: int, max_seconds: float = MAX_DELAY_SECONDS
) -> Alignment:
    """Estimate delay and polarity from the linear part of what lies between two signals.

    The response is found by regularised deconvolution (Wiener's, cross spectrum over dry power). Its peak
    is the delay of the loudest path. A wide or lopsided peak belongs to a filter, which begins before that:
    then the delay is where it first reaches half. A narrow-band phrase (a sine bass) gives a broad response
    that cannot be told from no delay, and is left where it is. So are delays under a quarter of a
    millisecond: they are the group delay of the device's own filters, and taking them out would ask a model
    to see the future.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n = min(len(dry), len(wet))
    a, b = dry[:n] - dry[:n].mean(), wet[:n] - wet[:n].mean()
    size = next_fast_len(2 * n, real=True)
    spectrum = rfft(a, size)
    power = np.abs(spectrum) ** 2
    whole = irfft(np.conj(spectrum) * rfft(b, size) / (power + 3e-3 * power.mean() + 1e-30), size)
    reach = max(1, min(n // 4, round(max_seconds * rate_hz)))
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
    filtered = last - first > 4 or abs((last - peak) - (peak - first)) > 1
    delay = (first if filtered else peak) - reach
    if not sure or first <= reach <= last or abs(delay) < SHORTEST_DELAY_SECONDS * rate_hz:
        delay = 0
    correlation = _correlation(a, b, delay)
    negative = response[peak] < 0 if sure else correlation < -SURE_CORRELATION
    polarity = -1 if negative else 1
    return Alignment(delay, peak - reach, polarity, sure, correlation)


def shifted(dry: np.ndarray, wet: np.ndarray, delay: int) -> tuple[np.ndarray, np.ndarray]:
    """Take a delay out: what is left of both, equally long."""
    n = min(len(dry), len(wet))
    return (dry[: n - delay], wet[delay:n]) if delay >= 0 else (dry[-delay:n], wet[: n + delay])


def drift_ppm(dry: np.ndarray, wet: np.ndarray, rate_hz: int) -> float:
    """How much slower the wet recording's clock ran, in parts per million; 0 when none is seen.

    The delay is measured in the loudest second of each third. Three sure delays that lie on a line, and
    differ by more than the device's own response does from phrase to phrase, are two clocks.
    """
    n = min(len(dry), len(wet))
    window = min(n // 6, round(DRIFT_WINDOW_SECONDS * rate_hz))
    if window < rate_hz // 2:
        return 0.0
    energy = np.concatenate([[0.0], np.cumsum(dry[:n] ** 2)])
    power = energy[window:] - energy[:-window]
    third = (n - window) // 3
    starts = [k * third + int(power[k * third : (k + 1) * third].argmax()) for k in range(3)]
    found = [align(dry[s : s + window], wet[s : s + window], rate_hz) for s in starts]
    if not all(one.sure for one in found):
        return 0.0
    first, middle, last = (one.seen for one in found)
    change = last - first
    # a delay belongs to where the energy of its window lies
    places = [s + float(np.average(np.arange(window), weights=dry[s : s + window] ** 2)) for s in starts]
    span = places[2] - places[0]
    on_line = first + change * (places[1] - places[0]) / span
    if abs(change) <= LEAST_DRIFT_SECONDS * rate_hz or abs(middle - on_line) > max(3.0, 0.2 * abs(change)):
        return 0.0
    return 1e6 * change / span


def _correlation(a: np.ndarray, b: np.ndarray, delay: int) -> float:
    """Normalised cross-correlation of two signals at one delay."""
    x, y = shifted(a, b, delay)
    energy = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / energy) if energy > 0 else 0.0


def _envelope_delay(dry: np.ndarray, wet: np.ndarray, rate_hz: int) -> tuple[int, float, float]:
    """Delay of the loudness curves in samples (to about a millisecond), their likeness there and at no delay.

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
    return (best - reach) * frame, float(scores[best]), float(scores[reach])


class SignalFacts(TypedDict):
    """What the two files of a pair say of themselves, before they are compared.

    ``length_difference`` is in samples, wet less dry; ``rates_differ`` is there when it is true.
    """

    wet_format: str
    wet_subtype: str
    wet_rate_hz: int
    wet_channels: int
    wet_seconds: float
    dry_format: str
    dry_subtype: str
    dry_rate_hz: int
    dry_channels: int
    dry_seconds: float
    length_difference: int
    wet_dc: float
    wet_clipped: int
    dry_clipped: int
    peak_db: float
    wet_peak_at_full_scale: bool
    seconds: float
    rates_differ: NotRequired[bool]


class Relation(SignalFacts):
    """What relates the two sides of a pair; delays in samples at ``rate_hz``, see :func:`relate`."""

    dry_file: str
    paired_by: str
    effect: str
    rate_hz: int
    delay_found: int
    response_peak_samples: int
    aligned_by: str
    polarity: int
    correlation: float
    coherence: float
    drift_ppm: float
    segment_samples: int | None


class Found(Relation):
    """A relation, and the wet file it is of."""

    file: str


@dataclass(frozen=True)
class Signals:
    """Both sides of a pair as read: mono, float64, at one rate."""

    dry: np.ndarray
    wet: np.ndarray
    rate_hz: int
    facts: SignalFacts


@dataclass(frozen=True)
class AlignedPair:
    """A pair, and what relates its two sides: delay and segment in samples of the source."""

    signals: Signals
    delay: int
    polarity: int
    segment: int | None

    def cut(self, into_thirds: bool) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """Cut into the segments of the data set, see :func:`cut`.

        With ``into_thirds`` a pair without borders is cut at 80 and 90 % of its length. The third value tells
        that a piece goes on from the one before it, so that its device was not at rest.
        """
        length = min(len(self.signals.dry), len(self.signals.wet))
        if self.segment is not None or not into_thirds:
            whole = segment_bounds(length, self.segment)
            return [(*piece, False) for piece in self._pieces(whole)]
        a, b = int(0.8 * length), int(0.9 * length)
        thirds = self._pieces([(0, a), (a, b), (b, length)])
        return [(*piece, number > 0) for number, piece in enumerate(thirds)]

    def _pieces(self, bounds: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        return cut(self.signals, self.delay, self.polarity, bounds)


def read_pair(pair: PairFiles) -> Signals:
    """Read both files of a pair.

    Raises
    ------
    LeftOut
        When a file cannot be read or is silent, or the lengths differ by more than a second.
    """
    try:
        dry_file = read_recording(pair.dry.path, max_seconds=MAX_PAIR_SECONDS)
    except LeftOut as reason:
        raise LeftOut(f"has no usable dry file: {pair.dry.relative} {reason}") from reason
    wet_file = read_recording(pair.wet.path, max_seconds=MAX_PAIR_SECONDS)
    dry, wet = to_mono(dry_file.audio)[0], to_mono(wet_file.audio)[0]
    rate_hz = dry_file.rate_hz
    seconds = [len(dry) / dry_file.rate_hz, len(wet) / wet_file.rate_hz]
    if abs(seconds[0] - seconds[1]) > LENGTH_TOLERANCE_SECONDS:
        raise LeftOut(
            f"lasts {seconds[1]:.2f} s and its dry file {pair.dry.relative} {seconds[0]:.2f} s; "
            "export both over the same stretch"
        )
    for name, signal in ((pair.dry.relative, dry), (pair.wet.relative, wet)):
        if float(np.abs(signal).max()) < SILENCE:
            raise LeftOut(f"cannot be used: {name} is silent")
        if float(np.ptp(signal)) < 2 * SILENCE:
            raise LeftOut(f"cannot be used: {name} is a constant (DC) without any sound")
    facts: SignalFacts = {
        "wet_format": wet_file.facts["format"],
        "wet_subtype": wet_file.facts["subtype"],
        "wet_rate_hz": wet_file.facts["rate_hz"],
        "wet_channels": wet_file.facts["channels"],
        "wet_seconds": wet_file.facts["seconds"],
        "dry_format": dry_file.facts["format"],
        "dry_subtype": dry_file.facts["subtype"],
        "dry_rate_hz": dry_file.facts["rate_hz"],
        "dry_channels": dry_file.facts["channels"],
        "dry_seconds": dry_file.facts["seconds"],
        "length_difference": len(wet) - len(dry),
        "wet_dc": float(wet.mean()),
        "wet_clipped": clipped_samples(wet),
        "dry_clipped": clipped_samples(dry),
        "peak_db": max(decibels(float(np.abs(file.audio).max())) for file in (dry_file, wet_file)),
        "wet_peak_at_full_scale": bool(np.abs(wet_file.audio).max() > 0.999),
        "seconds": min(seconds),
    }
    if dry_file.rate_hz != wet_file.rate_hz:
        dry, wet = resample(dry, dry_file.rate_hz), resample(wet, wet_file.rate_hz)
        rate_hz = SAMPLE_RATE_HZ
        facts["rates_differ"] = True
    return Signals(dry, wet, rate_hz, facts)


def relate(signals: Signals, pair: PairFiles, segment_samples: int | None) -> Relation:
    """Find delay, polarity and borders of a pair; everything the report wants to know of it.

    Raises
    ------
    LeftOut
        When the two do not belong together (see :mod:`train.data.coherence`), or borders are given in
        samples of two different rates.
    """
    dry, wet, rate_hz = signals.dry, signals.wet, signals.rate_hz
    if segment_samples is not None and signals.facts.get("rates_differ"):
        raise LeftOut("and its dry file have different sample rates; segments need one")
    found = align(dry, wet, rate_hz)
    delay, by = found.delay, "waveform"
    explained = coherence(*shifted(dry, wet, delay))
    if not found.sure:
        late, alike, at_rest = _envelope_delay(dry, wet, rate_hz)
        by = "envelope"
        if abs(late) > 0.005 * rate_hz and alike > at_rest + 0.1:
            # The loudness curve of a steady tone is at home anywhere: the rest must agree.
            there = coherence(*shifted(dry, wet, late))
            if there > explained + 0.05:
                delay, explained = late, there
    drift = drift_ppm(dry, wet, rate_hz)
    if not drift and not found.sure:
        _check_not_far(dry, wet, rate_hz, explained)
    if explained < MIN_COHERENCE:
        if drift:
            raise LeftOut(
                f"runs away from {pair.dry.relative} by {drift:+.0f} ppm: they were recorded by two clocks; "
                "record both with one interface, or cut the pair into shorter files"
            )
        raise LeftOut(
            f"has nothing in common with {pair.dry.relative} (no curve and filter of it explain more than "
            f"{max(0.0, explained):.0%} of the power); is it its partner?"
        )
    return {
        **signals.facts,
        "dry_file": pair.dry.relative,
        "paired_by": pair.why,
        "effect": pair.effect,
        "rate_hz": rate_hz,
        "delay_found": delay,
        "response_peak_samples": found.seen,
        "aligned_by": by,
        "polarity": found.polarity,
        "correlation": found.correlation,
        "coherence": explained,
        "drift_ppm": round(drift, 1),
        "segment_samples": segment_samples or find_borders(dry, wet),
    }


def _check_not_far(dry: np.ndarray, wet: np.ndarray, rate_hz: int, explained: float) -> None:
    """Find out whether a pair without an alignment has one beyond the delays that are searched.

    Raises
    ------
    LeftOut
        It has; the delay is named.
    """
    far = align(dry, wet, rate_hz, FAR_DELAY_SECONDS).delay
    if abs(far) <= MAX_DELAY_SECONDS * rate_hz or coherence(*shifted(dry, wet, far)) < explained + FAR_BETTER:
        return
    raise LeftOut(
        f"comes {abs(far) / rate_hz:.2f} s {'after' if far > 0 else 'before'} its dry file, more than the "
        f"{MAX_DELAY_SECONDS} s that are searched; move it there and export it again"
    )


def common_delays(facts: Sequence[Found]) -> dict[str, int]:
    """Delay to take out of each wet file: pairs of one effect that nearly agree get their earliest.

    The response of one device is the same for every phrase; the phrases only show it more or less clearly.
    The earliest estimate is the one that keeps the device causal.
    """
    by_effect: dict[tuple[str, int], list[Found]] = {}
    for fact in facts:
        by_effect.setdefault((fact["effect"], fact["rate_hz"]), []).append(fact)
    delays: dict[str, int] = {}
    for (_, rate_hz), group in by_effect.items():
        sure = [fact["delay_found"] for fact in group if fact["aligned_by"] == "waveform"]
        agreed = bool(sure) and max(sure) - min(sure) <= SHORTEST_DELAY_SECONDS * rate_hz
        for fact in group:
            delays[fact["file"]] = min(sure) if agreed else fact["delay_found"]
    return delays


def find_borders(dry: np.ndarray, wet: np.ndarray) -> int | None:
    """Detect that a recording is a concatenation of equal segments, from the clicks where they meet.

    A border is a place where the signal jumps: its second difference stands out from its neighbourhood, in
    the dry and in the wet file. Returned is the period of which nearly all multiples show such a jump, if
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
    signals: Signals, delay: int, polarity: int, bounds: list[tuple[int, int]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a pair into segments that know nothing of each other, at 48 kHz.

    The delay is taken out inside each segment (which loses that many samples), the polarity is turned back,
    and each segment is resampled by itself: beyond its ends it is continued by point reflection, so that
    neither the neighbour nor a step to zero rings into it.

    Returns
    -------
    list of (dry, wet)
        float32 [n] each, equal lengths.

    Raises
    ------
    LeftOut
        When the delay is longer than a segment.
    """
    dry, wet, rate_hz = signals.dry, signals.wet, signals.rate_hz
    pieces = []
    for start, stop in bounds:
        a, b = dry[start:stop], polarity * wet[start:stop]
        if abs(delay) >= stop - start:
            raise LeftOut(f"is {delay} samples late, longer than its segments of {stop - start}")
        a, b = shifted(a, b, delay)
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
