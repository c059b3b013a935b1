"""What is measured, by name and unit: one table for every page and terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.page import number


@dataclass(frozen=True)
class Measure:
    """How a figure is called and written.

    Attributes
    ----------
    name : str
        As people say it.
    unit : str
        "%" shows shares times 100.
    better : str
        "lower", "higher", or "" where neither is.
    """

    name: str
    unit: str = ""
    better: str = ""

    @property
    def title(self) -> str:
        """Name, unit, and which way is better: the head of a column or row."""
        unit = f", {self.unit}" if self.unit else ""
        arrow = {"lower": " (lower is better)", "higher": " (higher is better)"}.get(self.better, "")
        return f"{self.name}{unit}{arrow}"

    def write(self, value: float) -> str:
        """Write a value without its unit, but for "%"."""
        if math.isnan(value):
            return "–"
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        return number(value)

    def say(self, value: float) -> str:
        """Write name, value and unit, as in a sentence."""
        unit = f" {self.unit}" if self.unit not in ("", "%") else ""
        return f"{self.name} {self.write(value)}{unit}"


MEASURES = {
    "snr_db": Measure("signal-to-noise ratio", "dB", "higher"),
    "worst_snr_db": Measure("worst signal-to-noise ratio", "dB", "higher"),
    "mr_stft": Measure("multi-resolution STFT distance", "", "lower"),
    "multi_resolution_stft": Measure("multi-resolution STFT distance", "", "lower"),
    "lsd_db": Measure("log-spectral distance", "dB", "lower"),
    "log_spectral_db": Measure("log-spectral distance", "dB", "lower"),
    "mel_distance_db": Measure("log-mel distance", "dB", "lower"),
    "esr": Measure("error-to-signal ratio", "", "lower"),
    "onset_ms_median": Measure("onset error, median", "ms", "lower"),
    "onset_error_ms": Measure("onset error, median", "ms", "lower"),
    "onset_within_1ms": Measure("onsets within 1 ms", "%", "higher"),
    "loudness_db_median": Measure("loudness error, median", "dB", "lower"),
    "noise_over_db": Measure("noise louder than the note's, median", "dB", "lower"),
    "noise_within_3db": Measure("notes with noise at most 3 dB louder", "%", "higher"),
    "peak_difference": Measure("largest difference", "", "lower"),
    "onset_f1": Measure("F1 of onsets", "", "higher"),
    "onsets_alike": Measure("same onsets", "%", "higher"),
    "onset_agreement": Measure("same onsets", "%", "higher"),
    "chord_agreement": Measure("same chords", "%", "higher"),
    "slot_accuracy": Measure("chords right", "%", "higher"),
    "root_accuracy": Measure("roots right", "%", "higher"),
    "quality_accuracy": Measure("qualities right", "%", "higher"),
    "whole": Measure("windows right throughout", "%", "higher"),
    "nats_per_bar": Measure("cost of a bar", "nats", "lower"),
    "velocity_mae": Measure("velocity error, mean", "", "lower"),
    "timing_mae_steps": Measure("timing error, mean", "steps", "lower"),
    "esr_static": Measure("error-to-signal ratio of curve and filter", "", "lower"),
    "esr_static_own": Measure("error-to-signal ratio of the oracle curve and filter", "", "lower"),
    "esr_device_point": Measure("error-to-signal ratio from the device's point", "", "lower"),
    "mr_stft_static": Measure("multi-resolution STFT distance of curve and filter", "", "lower"),
    "better_than_static": Measure("nearer than curve and filter", "%", "higher"),
    "better_than_nearest": Measure("nearer than the oracle nearest neighbour", "%", "higher"),
    "better_than_first": Measure("nearer than the nearest neighbour", "%", "higher"),
    "beside_first": Measure("distance as a part of the nearest neighbour's", "", "lower"),
    "told_made": Measure("made from recordings, told from real", "%", "lower"),
    "told_random": Measure("at random latents, told from real", "%", "lower"),
    "told_recordings": Measure("unseen recordings, told from real", "%"),
    "told_kits_least": Measure("real kits told from others, least", "%"),
    "told_kits_most": Measure("real kits told from others, most", "%"),
    "distance_made": Measure("Fréchet distance, made from recordings", "", "lower"),
    "distance_random": Measure("Fréchet distance, at random latents", "", "lower"),
    "distance_recordings": Measure("Fréchet distance, unseen recordings"),
    "distance_kits_least": Measure("Fréchet distance, real kits, least"),
    "distance_kits_most": Measure("Fréchet distance, real kits, most"),
    "line_db": Measure("1 kHz line beside real", "dB", "lower"),
    "hop_line_db": Measure("line at the rate of hops beside real", "dB", "lower"),
    "below_80_hz_db": Measure("energy below 80 Hz, off by", "dB", "lower"),
    "time_to_peak_ms": Measure("time to peak, off by", "ms", "lower"),
    "tonal_share": Measure("tonal share, off by", "", "lower"),
    "centroid_octaves": Measure("centroid, off by", "octaves", "lower"),
    "noon_octaves": Measure("centroid at noon, off by", "octaves", "lower"),
    "loudness_bias_db": Measure("loudness bias, median", "dB"),
    "hiss_dbfs": Measure("hiss after the hit, worst class", "dBFS", "lower"),
    "named_noon": Measure("hits at noon named rightly", "%", "higher"),
    "named_random": Measure("hits at random latents named rightly", "%", "higher"),
    "named_recordings": Measure("unseen recordings named rightly", "%", "higher"),
    "spectral_loss": Measure("spectral loss", "", "lower"),
    "spectral_loss_sought": Measure("spectral loss, sought latents, of some notes", "", "lower"),
    "spectral_loss_of_those": Measure("spectral loss of those notes, by the encoder", "", "lower"),
    "spectral_loss_nearest": Measure("spectral loss, nearest training note", "", "lower"),
    "spectral_loss_oracle": Measure("spectral loss, oracle of five", "", "lower"),
    "spectral_loss_floor": Measure("spectral loss, analysed and made again", "", "lower"),
    "better_than_oracle": Measure("notes nearer than the oracle's", "%", "higher"),
    "learnt_instruments": Measure("notes of instruments that were learnt", "%"),
    "latents_alive": Measure("latents that say something", "", "higher"),
    "silence_dbfs": Measure("peak of what should be silent", "dBFS", "lower"),
    "curve_db": Measure("loudness of notes, off by", "dB", "lower"),
    "curve_db_habits": Measure("the same, by habits", "dB", "lower"),
    "shape_db": Measure("shape of the loudness, off by", "dB", "lower"),
    "shape_db_habits": Measure("shape by habits, off by", "dB", "lower"),
    "curve_cents": Measure("pitch, off by", "cents", "lower"),
    "curve_cents_flat": Measure("flat pitch, off by", "cents", "lower"),
    "told_notes": Measure("made notes of unseen instruments, told from real", "%", "lower"),
    "told_notes_learnt": Measure("made notes of learnt instruments, told from real", "%", "lower"),
    "told_habits": Measure("made by habits, told from real", "%", "lower"),
    "better_than_components": Measure("nearer than principal components", "%", "higher"),
    "score": Measure("score", "", "lower"),
    "level": Measure("loss of level", "", "lower"),
    "loudest": Measure("loss of the loudest moment", "", "lower"),
    "spectral": Measure("spectral loss", "", "lower"),
    "bands": Measure("loss of band envelopes", "", "lower"),
    "kl": Measure("KL divergence", "nats"),
    "active_latents": Measure("latents in use"),
    "spearman_median": Measure("Spearman, median", "", "higher"),
    "spearman_pooled": Measure("Spearman, pooled", "", "higher"),
    "span_median": Measure("moved over asked, median", ""),
    "accuracy": Measure("right answers", "%", "higher"),
}
_AGAINST = {"truth": "against the data", "unrounded": "against unrounded weights", "task": "training task"}
_UNITS = {"db": "dB", "dbfs": "dBFS", "ms": "ms", "s": "s", "hz": "Hz", "percent": "%"}


def measure(key: str) -> Measure:
    """Look a figure up by its key in a report, with or without what it is against: ``truth/mr_stft``.

    A key that nobody named is spelt out, its unit taken from its end.
    """
    *against, last = key.split("/")
    known = MEASURES.get(last)
    if known is None:
        words = last.split("_")
        unit = _UNITS.get(words[-1], "") if len(words) > 1 else ""
        known = Measure(" ".join(words[:-1] if unit else words), unit if unit != "%" else "percent")
    if not against:
        return known
    within = ", ".join(_AGAINST.get(word, word.replace("_", " ")) for word in against)
    return Measure(f"{known.name}, {within}", known.unit, known.better)
