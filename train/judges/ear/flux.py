"""The usual way without learning: spectral flux for onsets, and the nearest mean picture for groups."""

from __future__ import annotations

import numpy as np
import torch

from common.audio import SAMPLE_RATE_HZ
from train.models.ear.figures import Tally
from train.models.ear.mixture import Material, Mixture, drums, leveled
from train.models.ear.network import GROUP_OF, GROUPS, HOP, SURE_HOPS
from train.models.source_filter.ear import Ear

BANDS = 40
MEAN_HOPS = 16
LEARNT, SECONDS = 24, 8.0
THRESHOLDS = np.linspace(0.5, 8.0, 31)


class Flux:
    """A detector whose one threshold, and one mean picture of every group, come of a split.

    Parameters
    ----------
    material : Material
        Of the split.
    count : int
        Mixtures of it.
    """

    def __init__(self, material: Material, count: int = LEARNT):
        self.ear = Ear(BANDS)
        self.threshold = 0.0
        samples = round(SECONDS * SAMPLE_RATE_HZ / HOP) * HOP
        rngs = [np.random.default_rng([19, number]) for number in range(count)]
        mixtures = [leveled(drums(material, rng, samples), rng, -18.0, 0.0) for rng in rngs]
        self.pictures = self._pictures(material)
        scores = []
        for threshold in THRESHOLDS:
            self.threshold = float(threshold)
            scores.append(self._f1(mixtures))
        self.threshold = float(THRESHOLDS[int(np.argmax(scores))])

    def _f1(self, mixtures: list[Mixture]) -> float:
        tally = Tally()
        for mixture in mixtures:
            tally.add(mixture, self.strokes(mixture.audio))
        return tally.figures()["onset_f1"]

    def _bands(self, audio: np.ndarray) -> np.ndarray:
        whole = np.pad(audio, (0, -len(audio) % HOP)).astype(np.float32)
        with torch.no_grad():
            return self.ear(torch.from_numpy(whole)[None, None])[0, :-1].numpy()

    def _pictures(self, material: Material) -> np.ndarray:
        """Of every group the mean bands of its strokes, without their level, ``[5, bands]``."""
        found: list[list[np.ndarray]] = [[] for _ in GROUPS]
        for takes in material.instruments.values():
            for take in takes[:4]:
                bands = self._bands(take.audio[: 8 * HOP])[:, : SURE_HOPS + 1]
                picture = bands.mean(1)
                found[GROUP_OF[take.label]].append(picture - picture.mean())
        silent = np.zeros(BANDS)
        return np.stack([np.mean(rows, axis=0) if rows else silent for rows in found])

    def strokes(self, audio: np.ndarray) -> np.ndarray:
        """Numbers in the place of the ear's logits, ``[6, hops]``: above 0 where there is a stroke."""
        bands = self._bands(audio)
        rise = np.diff(bands, axis=1, prepend=bands[:, :1]).clip(0).sum(0)
        kernel = np.ones(MEAN_HOPS) / MEAN_HOPS
        mean = np.convolve(np.pad(rise, (MEAN_HOPS, 0), mode="edge"), kernel)[
            MEAN_HOPS : MEAN_HOPS + len(rise)
        ]
        onset = 8.0 * (rise - mean - 0.25 * self.threshold)
        hops = bands.shape[1]
        heard = np.stack([bands[:, max(0, t - SURE_HOPS) : t + 1].mean(1) for t in range(hops)])
        heard -= heard.mean(1, keepdims=True)
        far = ((heard[:, None] - self.pictures[None]) ** 2).mean(2)
        nearest = far.min(1, keepdims=True)
        return np.concatenate([onset[None], (nearest - far + 1e-6).T * 1000.0])
