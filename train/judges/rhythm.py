"""Judging a rhythm model on unseen drummers.

The trivial opponents are the mean pattern of the training data, cut where its F1 is best, and the oracle
nearest neighbour by onsets, a training pattern chosen using the target. ``stepped`` is the model with its
latents moved by a few gradient steps on the target from where the encoder put them, which a desktop has time
for; ``refined`` with many: what the decoder could do with a better encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import PARTS
from common.figure import COLOURS, new_figure
from common.files import write_picture
from common.page import Sound, picture, sound_source
from train.attributes.rhythm import PATTERN_ATTRIBUTES, measure_pattern
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.rhythm_page import KnobFollowed, Leak, PriorReport, Reconstructed, RhythmReport, write_page
from train.piano_roll import pattern_figure
from train.sonify import sonify
from train.tasks.rhythm import RhythmTask, onset_f1

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from train.data.kinds.rhythm import RhythmItem
    from train.data.store import DataSet

V = len(PARTS)
STEPPED, REFINED = (20, 0.1), (150, 0.03)  # steps, and the length of one
SHOWN = 4  # patterns that the page plays
DRAWN_LATENTS = 8  # which say most
DETAILS: tuple[str, ...] = ()
NOT_ON_CARD = ("spearman_pooled", "f1_by_part", "even", "linear")


def decode(player: Player, z: np.ndarray, knobs: np.ndarray) -> np.ndarray:
    """``z [N, Z]`` and ``knobs [N, 6]`` to patterns ``[N, 27, 32]``."""
    feeds = {
        "z": np.ascontiguousarray(z[:, :, None], np.float32),
        "attributes": np.ascontiguousarray(knobs[:, :, None], np.float32),
    }
    return player.decode(feeds)


def reconstruction(made: np.ndarray, wanted: np.ndarray) -> Reconstructed:
    """Onset F1, overall and by voice; velocity and timing errors where both have an onset."""
    a, b = made[:, :V] >= 0.5, wanted[:, :V] >= 0.5
    both = a & b
    velocity = np.abs(made[:, V : 2 * V] - wanted[:, V : 2 * V])[both]
    micro = np.abs(made[:, 2 * V :] - wanted[:, 2 * V :])[both]
    return {
        "onset_f1": onset_f1(a, b),
        "velocity_mae": float(velocity.mean()) if both.any() else float("nan"),
        "timing_mae_steps": float(micro.mean()) if both.any() else float("nan"),
        "f1_by_part": {v: onset_f1(a[:, i], b[:, i]) for i, v in enumerate(PARTS) if b[:, i].any()},
    }


def judge(
    player: Player, data: DataSet[RhythmItem], split: str, folder: Path, limit: int = 0
) -> Judgement[RhythmReport]:
    """Measure everything on a split; write pictures and sounds to ``folder``."""
    task = player.task
    assert isinstance(task, RhythmTask)
    task.prepare(data, ("train", split))
    patterns, knobs = task.patterns[split], task.knobs[split]
    if limit and limit < len(patterns):
        picked = np.linspace(0, len(patterns) - 1, limit).round().astype(int)
        patterns, knobs = patterns[picked], knobs[picked]
    z = player.encode(patterns)
    made = decode(player, z, knobs)
    more: dict[str, Reconstructed] = {}
    if player.own:
        for who, (steps, rate) in (("stepped", STEPPED), ("refined", REFINED)):
            sought = refine(task, z, knobs, patterns, steps, rate)
            more[who] = reconstruction(decode(player, sought, knobs), patterns)
    folder.mkdir(parents=True, exist_ok=True)
    groups = _write_sounds(patterns, made, folder)
    drawing = descriptor_figure(player)
    write_picture(folder / "descriptors.png", drawing, 90)
    report: RhythmReport = {
        "items": len(patterns),
        "split": split,
        "figures": {
            "model": reconstruction(made, patterns),
            **more,
            "mean": reconstruction(np.repeat(_mean_pattern(task)[None], len(patterns), 0), patterns),
            "nearest": reconstruction(_nearest(task, patterns), patterns),
        },
        "control": control(player, z, knobs),
        "anywhere": control(
            player, player.prior(64, 2), np.random.default_rng(2).uniform(-1, 1, (64, knobs.shape[1]))
        ),
        "motion": motion(player, z, knobs),
        "leakage": leakage(player, task, z, knobs),
        "drawn": prior(player, task),
    }
    return Judgement(
        report, write_page, groups, [("Every attribute along every knob and the first latents", drawing)]
    )


def refine(
    task: RhythmTask, z: np.ndarray, knobs: np.ndarray, patterns: np.ndarray, steps: int, rate: float
) -> np.ndarray:
    """Latents ``[N, Z]`` that reconstruct better: Adam on the pattern, and a weak pull to the prior."""
    import torch

    wanted, attributes = torch.from_numpy(patterns), torch.from_numpy(knobs)[:, :, None]
    sought = torch.tensor(z, requires_grad=True)
    optimizer = torch.optim.Adam([sought], rate)
    for _ in range(steps):
        logits = task.model.decoder.logits(sought[:, :, None], attributes)
        far = task.distance(task.reconstruction(logits, wanted)) * len(z) + 0.05 * (sought**2).sum()
        optimizer.zero_grad()
        far.backward()
        optimizer.step()
    return sought.detach().numpy()


def _mean_pattern(task: RhythmTask) -> np.ndarray:
    """Mean of the training patterns with its onsets cut at the threshold of best training F1."""
    train = task.patterns["train"]
    there = train[:, :V] >= 0.5
    mean = there.mean(0)
    cuts = np.linspace(0.05, 0.7, 27)
    best = max(cuts, key=lambda cut: onset_f1(np.broadcast_to(mean >= cut, there.shape), there))
    counts = np.maximum(1, there.sum(0))
    velocity = (train[:, V : 2 * V] * there).sum(0) / counts
    micro = (train[:, 2 * V :] * there).sum(0) / counts
    return np.concatenate([(mean >= best).astype(np.float32), velocity, micro]).astype(np.float32)


def _nearest(task: RhythmTask, patterns: np.ndarray) -> np.ndarray:
    """The training pattern with the best onset F1 for each."""
    train = (task.patterns["train"][:, :V] >= 0.5).reshape(len(task.patterns["train"]), -1).astype(np.float32)
    sums = train.sum(1)
    chosen = []
    for first in range(0, len(patterns), 256):
        wanted = (patterns[first : first + 256, :V] >= 0.5).reshape(-1, V * 32).astype(np.float32)
        score = 2 * wanted @ train.T / np.maximum(1, wanted.sum(1)[:, None] + sums[None])
        chosen.append(score.argmax(1))
    return task.patterns["train"][np.concatenate(chosen)]


def control(player: Player, z: np.ndarray, knobs: np.ndarray, positions: int = 11) -> dict[str, KnobFollowed]:
    """How the measured attribute follows each knob over its travel.

    Spearman's coefficient, median over the patterns given and of all together, and the span: by how much the
    attribute differs between the ends of the travel, over by how much the knob says it should, median over
    the patterns. Latents ``z [N, Z]`` and the other knobs ``[N, 6]`` are those of test patterns, or anywhere
    a hand may put them.
    """
    import torch
    from scipy.stats import spearmanr

    task = player.task
    assert isinstance(task, RhythmTask)
    some = np.linspace(0, len(z) - 1, min(64, len(z))).round().astype(int)
    travel = np.linspace(-1, 1, positions)
    ends = task.from_knobs(torch.tensor([[-1.0], [1.0]]).expand(2, knobs.shape[1]))
    asked = (ends[1] - ends[0]).numpy()
    out: dict[str, KnobFollowed] = {}
    for number, name in enumerate(PATTERN_ATTRIBUTES):
        found, spans, pooled_knob, pooled_value = [], [], [], []
        for index in some:
            moved = np.repeat(knobs[index : index + 1], positions, 0)
            moved[:, number] = travel
            patterns = decode(player, np.repeat(z[index : index + 1], positions, 0), moved)
            values = np.array([measure_pattern(p)[number] for p in patterns])
            found.append(spearmanr(travel, values).statistic if np.ptp(values) > 0 else 0.0)
            spans.append((values[-1] - values[0]) / max(1e-9, float(asked[number])))
            pooled_knob += list(travel)
            pooled_value += list(values)
        out[name] = {
            "spearman_median": float(np.median(found)),
            "spearman_pooled": float(spearmanr(pooled_knob, pooled_value).statistic),
            "span_median": float(np.median(spans)),
        }
    return out


def motion(player: Player, z: np.ndarray, knobs: np.ndarray, events: int = 64) -> dict[str, float]:
    """Spearman while an LFO turns the knob and slower ones turn every latent and the other knobs."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    t = np.arange(events) / events
    out = {}
    for number, name in enumerate(PATTERN_ATTRIBUTES):
        found = []
        for _ in range(8):
            a, b = rng.integers(0, len(z), 2)
            sway = 0.5 - 0.5 * np.cos(2 * np.pi * (t + rng.random()))[:, None]
            path = z[a] * (1 - sway) + z[b] * sway
            moved = knobs[a] * (1 - sway) + knobs[b] * sway
            moved[:, number] = np.sin(2 * np.pi * (3 * t + rng.random()))
            values = [measure_pattern(p)[number] for p in decode(player, path, moved)]
            found.append(spearmanr(moved[:, number], values).statistic if np.ptp(values) > 0 else 0.0)
        out[name] = float(np.median(found))
    return out


def leakage(
    player: Player, task: RhythmTask, z: np.ndarray, knobs: np.ndarray, bins: int = 8
) -> dict[str, Leak]:
    """How well fresh classifiers tell an attribute's quantile bin from z, beside always-the-commonest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    train = task.patterns["train"]
    some = np.linspace(0, len(train) - 1, min(4000, len(train))).round().astype(int)
    known, known_knobs = player.encode(train[some]), task.knobs["train"][some]
    out: dict[str, Leak] = {}
    for number, name in enumerate(PATTERN_ATTRIBUTES):
        want = np.clip(((known_knobs[:, number] + 1) / 2 * bins).astype(int), 0, bins - 1)
        truth = np.clip(((knobs[:, number] + 1) / 2 * bins).astype(int), 0, bins - 1)
        network = MLPClassifier((64,), max_iter=60, random_state=0, early_stopping=True)
        out[name] = {
            "commonest": float(np.bincount(truth, minlength=bins).max() / len(truth)),
            "even": 1 / bins,
            "linear": float(LogisticRegression(max_iter=300).fit(known, want).score(z, truth)),
            "mlp": float(network.fit(known, want).score(z, truth)),
        }
    return out


def prior(player: Player, task: RhythmTask, count: int = 512) -> PriorReport:
    """Validity and diversity of patterns at random knob positions.

    Valid: has a kick or a snare, and a density and an onset count within the training data's 1 % to 99 %.
    Diversity: mean part of the onsets in which two patterns differ, beside the same of training patterns.
    """
    rng = np.random.default_rng(1)
    knobs = rng.uniform(-1, 1, (count, len(PATTERN_ATTRIBUTES)))
    made = decode(player, player.prior(count, 1), knobs)[:, :V] >= 0.5
    train = task.patterns["train"][:, :V] >= 0.5
    low, high = np.quantile(train.sum((1, 2)), [0.01, 0.99])
    onsets = made.sum((1, 2))
    valid = (onsets >= low) & (onsets <= high) & made[:, :2].any((1, 2))
    unique = len({row.tobytes() for row in np.packbits(made.reshape(count, -1), axis=1)})
    known = {row.tobytes() for row in np.packbits(train.reshape(len(train), -1), axis=1)}
    new = sum(row.tobytes() not in known for row in np.packbits(made.reshape(count, -1), axis=1))

    def spread(patterns: np.ndarray) -> float:
        a, b = patterns[rng.integers(0, len(patterns), 2000)], patterns[rng.integers(0, len(patterns), 2000)]
        union = (a | b).sum((1, 2))
        return float(np.mean((a ^ b).sum((1, 2)) / np.maximum(1, union)))

    return {
        "valid": float(valid.mean()),
        "unique": unique / count,
        "not_in_training": new / count,
        "difference": spread(made),
        "difference_of_training": spread(train),
    }


def _write_sounds(patterns: np.ndarray, made: np.ndarray, folder: Path) -> list[list[Sound]]:
    """Some patterns as played and as made: a picture, one WAV, and players for the page."""
    import soundfile
    from scipy.signal import resample_poly

    some = np.linspace(0, len(patterns) - 1, SHOWN).round().astype(int)
    pairs = [[("played", patterns[i]), ("made", made[i])] for i in some]
    flat = [one for pair in pairs for one in pair]
    write_picture(folder / "reconstructions.png", pattern_figure(flat), 90)
    audio = [sonify(pattern) for _, pattern in flat]
    soundfile.write(folder / "reconstructions.wav", np.concatenate(audio), SAMPLE_RATE_HZ)
    groups = []
    for number, pair in enumerate(pairs, start=1):
        group = []
        for title, pattern in pair:
            plain = resample_poly(sonify(pattern), 1, 2)  # half the size
            drawn = picture(pattern_figure([("", pattern)]), f"Piano roll, pattern {number}, {title}")
            source = sound_source(plain, SAMPLE_RATE_HZ // 2)
            group.append(Sound(f"pattern {number}, {title}", source, drawn))
        groups.append(group)
    return groups


def descriptor_figure(player: Player, positions: int = 17) -> Figure:
    """How every attribute moves along every knob and the first latents, others in the middle."""
    names = list(PATTERN_ATTRIBUTES)
    centre = np.array([[row["mean"] for row in player.latents]], np.float32)
    places = np.linspace(0, 1, positions)
    figure, axes = new_figure(2, len(names), 2.2 * len(names), 4.6, sharex="row")
    for number, name in enumerate(names):
        for other, other_name in enumerate(names):
            knobs = np.zeros((positions, len(names)))
            knobs[:, other] = 2 * places - 1
            made = decode(player, np.repeat(centre, positions, 0), knobs)
            values = [measure_pattern(p)[number] for p in made]
            axes[0, number].plot(
                places,
                values,
                lw=2.4 if other == number else 0.7,
                color=COLOURS[other],
                label=other_name.replace("_", " "),
            )
        for row, latent in enumerate(player.latents[:DRAWN_LATENTS]):
            if latent["sign"] == "unused":
                continue
            z = np.repeat(centre, positions, 0)
            z[:, row] = np.interp(places, np.linspace(0, 1, len(latent["quantiles"])), latent["quantiles"])
            made = decode(player, z, np.zeros((positions, len(names))))
            values = [measure_pattern(p)[number] for p in made]
            axes[1, number].plot(
                places, values, lw=0.9, color=COLOURS[row % len(COLOURS)], label=latent["name"]
            )
        axes[0, number].set_title(name.replace("_", " "))
        axes[1, number].set_xlabel("position")
    axes[0, 0].set_ylabel("along each knob")
    axes[1, 0].set_ylabel("along each latent")
    for row in range(2):
        if axes[row, -1].lines:
            axes[row, -1].legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
