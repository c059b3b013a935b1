"""How right an ear is on mixtures whose strokes are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.models.ear.mixture import Material, Mixture
from train.models.ear.network import GROUPS, HOP, SURE_HOPS
from train.models.ear.picking import matched, picked

WITHIN_S = 0.010
FAMILIES = (0, 1, 2, 0, 3)
"""Of the groups: toms go with kicks, as four families are told apart."""
USUALLY_AFTER = HOP / 2
"""Samples from a stroke's beginning to the end of its hop, in the mean: what is taken out of the times."""

LEARNT_BY, MOST_TAKES = 3, 12
THRESHOLDS = np.arange(-5.0, 5.01, 0.25)


@dataclass
class Tally:
    """Counts over mixtures.

    Attributes
    ----------
    threshold, hold, wait : float, int, int
        As :func:`~train.models.ear.picking.picked` takes them.
    line_db : float
        Events all of whose strokes are so far below all else count as covered.
    """

    threshold: float = 0.0
    hold: int = 6
    wait: int = SURE_HOPS
    line_db: float = -100.0
    wanted: int = 0
    found: int = 0
    right: int = 0
    covered: int = 0
    covered_wanted: int = 0
    named: int = 0
    named_right: int = 0
    loudest_right: int = 0
    family_right: int = 0
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    gates: np.ndarray = field(default_factory=lambda: np.zeros((len(GROUPS), 3), int))

    def add(self, mixture: Mixture, strokes: np.ndarray, scene: np.ndarray | None = None) -> None:
        """Compare what is picked of logits ``[6, hops]`` and scenes with what is in a mixture."""
        found = picked(strokes, self.threshold, self.hold, self.wait, scene)
        times = np.array([one.hop * HOP + USUALLY_AFTER for one in found])
        last = strokes.shape[1] - self.wait
        events = [one for one in mixture.events if one.hop < last and one.clear_db >= self.line_db]
        within = WITHIN_S * SAMPLE_RATE_HZ
        pairs = matched(times, np.array([event.at for event in events], float), within)
        taken = {i for i, _ in pairs}
        below = [one.at for one in mixture.events if one.hop < last and one.clear_db < self.line_db]
        hidden = np.array([*mixture.covered, *below], float)
        late = [event.at for event in mixture.events if event.hop >= last]
        forgiven = 0
        for i, time in enumerate(times.tolist()):
            if i not in taken and any(abs(time - at) <= within for at in (*hidden.tolist(), *late)):
                forgiven += 1
        self.wanted += len(events)
        self.found += len(found) - forgiven
        self.covered += forgiven
        self.covered_wanted += len(hidden)
        self.right += len(pairs)
        self.seconds += len(mixture.audio) / SAMPLE_RATE_HZ
        truth: dict[int, np.ndarray] = {}
        for i, j in pairs:
            event, one = events[j], found[i]
            truth[i] = event.groups
            self.delays.append(((one.hop + 1) * HOP - event.at) / SAMPLE_RATE_HZ)
            self.named += 1
            self.named_right += bool(event.groups[one.group])
            self.loudest_right += one.group == event.loudest
            families = {FAMILIES[g] for g in np.flatnonzero(event.groups)}
            self.family_right += FAMILIES[one.group] in families
        for i, one in enumerate(found):
            there = truth.get(i, np.zeros(len(GROUPS), bool))
            raised = one.raised
            self.gates[:, 0] += raised & there
            self.gates[:, 1] += raised & ~there
        for event in events:
            self.gates[:, 2] += event.groups

    @property
    def missed(self) -> int:
        """Strokes without a gate."""
        return self.wanted - self.right

    @property
    def false(self) -> int:
        """Gates without a stroke."""
        return self.found - self.right

    @property
    def groups_wrong(self) -> int:
        """Strokes that were found and misnamed."""
        return self.named - self.named_right

    def figures(self) -> dict[str, float]:
        """Shares and times; NaN where nothing was asked for."""
        nan = float("nan")
        delays = np.array(self.delays or [nan]) * 1000.0
        found = {
            "onset_f1": 2 * self.right / max(1, self.wanted + self.found),
            "onset_f1_with_covered": 2
            * (self.right + self.covered)
            / max(1, self.wanted + self.covered_wanted + self.found + self.covered),
            "onset_precision": self.right / self.found if self.found else nan,
            "onset_recall": self.right / self.wanted if self.wanted else nan,
            "family_right": self.family_right / self.named if self.named else nan,
            "group_right": self.named_right / self.named if self.named else nan,
            "loudest_group_right": self.loudest_right / self.named if self.named else nan,
            "to_end_of_hop_ms_median": float(np.median(delays)),
            "to_end_of_hop_ms_p95": float(np.percentile(delays, 95)),
        }
        for group, (right, false, wanted) in zip(GROUPS, self.gates.tolist(), strict=True):
            found[f"{group}_precision"] = right / (right + false) if right + false else nan
            found[f"{group}_recall"] = right / wanted if wanted else nan
        return {name: round(float(value), 4) for name, value in found.items()}


def few_shot_auc(
    material: Material, hear: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """Learn every instrument by three strokes, and tell its others from strokes of all other instruments.

    Parameters
    ----------
    material : Material
        Of instruments that were never heard.
    hear : callable
        A sound to strokes, scene and embedding ``[C, hops]``.

    Returns
    -------
    dict
        Of every instrument with at least five takes, the area under its receiver operating characteristic.
    """
    lead = np.zeros(16 * HOP, np.float32)
    rows: dict[str, np.ndarray] = {}
    for name, takes in material.instruments.items():
        found = []
        for take in takes[-MOST_TAKES:]:
            audio = np.concatenate([lead, 0.5 * take.audio[: 16 * HOP], lead])[: 32 * HOP]
            _, _, embedding = hear(audio.astype(np.float32))
            found.append(embedding[:, 16 + SURE_HOPS])
        rows[name] = unit(np.stack(found))
    told: dict[str, float] = {}
    for name, own in rows.items():
        if len(own) < LEARNT_BY + 2:
            continue
        centre = unit(own[:LEARNT_BY].mean(0, keepdims=True))[0]
        others = np.concatenate([other for each, other in rows.items() if each != name]) @ centre
        mine = own[LEARNT_BY:] @ centre
        above = (mine[:, None] > others[None]).mean() + 0.5 * (mine[:, None] == others[None]).mean()
        told[name] = round(float(above), 4)
    return told


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at length 1."""
    return rows / np.maximum(1e-9, np.linalg.norm(rows, axis=1, keepdims=True))


def offset(answers: Sequence[tuple[Mixture, np.ndarray]]) -> float:
    """What to add to the onset's logit so that 0 is the threshold of the best F1.

    Parameters
    ----------
    answers : sequence of (Mixture, ndarray)
        Mixtures, and what the network says of each, ``[6, hops]``.
    """
    scores = []
    for threshold in THRESHOLDS.tolist():
        tally = Tally(threshold=threshold)
        for mixture, strokes in answers:
            tally.add(mixture, strokes)
        scores.append(tally.figures()["onset_f1"])
    return -float(THRESHOLDS[int(np.argmax(scores))])
