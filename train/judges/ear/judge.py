"""Judging an ear: kits that were never heard, struck by a drummer who was never heard, and what is no drum.

The opponent is the usual one: the rise of the mel bands against a local mean (spectral flux), at its best
threshold, and the class whose mean picture of a stroke is nearest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.page import Page
from common.spectrogram import excerpt
from common.spectrogram import player as player_of
from train.judges.ear.flux import LEARNT, Flux
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.reports import Judged
from train.models.ear.figures import Tally, few_shot_auc
from train.models.ear.mixture import Material, drums, leveled, noise
from train.models.ear.network import HOP, SCENES
from train.models.ear.picking import found_hops, picked, scenes_of
from train.tasks.ear import EarTraining

if TYPE_CHECKING:
    from train.data.store import DataSet

DETAILS: tuple[str, ...] = ("opponent", "few_shot_by_instrument", "by_level")
LINES_DB = (-20.0, -10.0, 0.0)
"""Strokes further than this below all else are neither asked for nor counted."""
NOT_ON_CARD: tuple[str, ...] = ("few_shot_by_instrument",)
MIXTURES, SECONDS, SHOWN, SCENE_TRIALS = 80, 8.0, 4, 12
GATED = 3
"""Groups with a gate of their own: kick, snare, hat."""
CLIPPED = 8.0
ASKED = ("onset", "family", "group", "loudest")
"""What the opponent is asked: it has no gates of groups."""
DEAF_S = 1.0
"""Of what begins all at once, the beginning: a cable that is plugged in is a stroke."""


class EarReport(Judged):
    """What ``report.json`` says of an ear."""

    strokes: dict[str, float]
    opponent: dict[str, float]
    by_line: dict[str, float]
    by_level: dict[str, float]
    scenes_right: float
    scene: dict[str, float]
    other_minutes: float
    false_a_minute: float
    false_a_minute_clipped: float
    onsets_a_minute: float
    onsets_a_minute_clipped: float
    few_shot_auc: float
    few_shot_by_instrument: dict[str, float]
    false_in_trouble: dict[str, float]


def judge(player: Player, data: DataSet, split: str, folder: Path, limit: int = 0) -> Judgement[EarReport]:
    """Listen to mixtures of a split, and to what is no drum."""
    task = player.task
    assert isinstance(task, EarTraining)
    task.prepare(data, (split,))
    material = task.material[split]
    folder.mkdir(parents=True, exist_ok=True)
    own, flux = Tally(), Flux(Material(data, "validation"), min(LEARNT, limit or LEARNT))
    opponent = Tally()
    rings: dict[str, Tally] = {"-30": Tally(), "-12": Tally(), "0": Tally()}
    lines = {f"{line:g} dB": Tally(line_db=line) for line in LINES_DB}
    groups = []
    samples = round(SECONDS * SAMPLE_RATE_HZ / HOP) * HOP
    count = limit or MIXTURES
    for number in range(count):
        rng = np.random.default_rng([11, number])
        mixture = leveled(drums(material, rng, samples), rng, -18.0, 0.0)
        said, scene_said, _ = hear(player, mixture.audio)
        own.add(mixture, said, scene_said)
        for tally in lines.values():
            tally.add(mixture, said, scene_said)
        opponent.add(mixture, flux.strokes(mixture.audio))
        for level, tally in rings.items():
            if number % 4 == 0:
                quieter = mixture.audio * np.float32(10 ** (float(level) / 20) / np.abs(mixture.audio).max())
                tally.add(mixture, hear(player, quieter)[0])
        if number < SHOWN:
            title = f"mixture {number + 1}, {len(mixture.events)} strokes"
            groups.append([player_of(title, excerpt(mixture.audio, SAMPLE_RATE_HZ, 4.0), SAMPLE_RATE_HZ)])
    others = [sound for sounds in material.others.values() for sound in sounds]
    minutes = sum(len(sound) for sound in others) / SAMPLE_RATE_HZ / 60
    by_instrument = few_shot_auc(material, lambda audio: hear(player, audio))
    false, clipped = (false_a_minute(player, others, times) for times in (1.0, CLIPPED))
    scene = scenes(player, material, min(SCENE_TRIALS, count))
    report: EarReport = {
        "items": count,
        "split": split,
        "strokes": own.figures(),
        "opponent": {name: value for name, value in opponent.figures().items() if name.startswith(ASKED)},
        "by_line": {line: tally.figures()["onset_f1"] for line, tally in lines.items()},
        "by_level": {f"{level} dBFS": t.figures()["onset_f1"] for level, t in rings.items()},
        "scene": scene,
        "scenes_right": float(np.mean(list(scene.values()))),
        "other_minutes": round(minutes, 2),
        "false_a_minute": false[0],
        "onsets_a_minute": false[1],
        "false_a_minute_clipped": clipped[0],
        "onsets_a_minute_clipped": clipped[1],
        "few_shot_auc": float(np.mean(list(by_instrument.values()) or [float("nan")])),
        "few_shot_by_instrument": by_instrument,
        "false_in_trouble": trouble(player, min(60, 4 * count)),
    }

    def write(page: Page, judged: Judgement[EarReport]) -> None:
        page.opening.figures(
            {
                "F1 of onsets": f"{report['strokes']['onset_f1']:.3f}",
                "spectral flux": f"{report['opponent']['onset_f1']:.3f}",
                "families right": f"{report['strokes']['family_right']:.3f}",
                "false gates a minute on what is no drum": f"{report['false_a_minute']:.2f}",
            }
        )
        page.section("Strokes", "Of kits and a drummer that were never heard.").table(
            ["measure", "ear", "spectral flux and nearest picture"],
            [
                [name.replace("_", " "), f"{value:.3f}", f"{report['opponent'].get(name, np.nan):.3f}"]
                for name, value in report["strokes"].items()
            ],
        )
        page.section("Learnt by three strokes", "AUC of an instrument beside all others.").table(
            ["instrument", "AUC"], [[name, f"{value:.3f}"] for name, value in by_instrument.items()]
        )
        section = page.section("Some mixtures")
        for group in judged.groups:
            section.sounds(group)

    return Judgement(report, write, groups)


def hear(player: Player, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strokes, scene and embedding of a sound of whole hops, each ``[C, hops]``."""
    whole = np.pad(audio, (0, -len(audio) % HOP))
    strokes, scene, embedding = player.answer({"audio": whole[None, None].astype(np.float32)})
    return strokes[0], scene[0], embedding[0]


def false_a_minute(player: Player, sounds: list[np.ndarray], times: float) -> tuple[float, float]:
    """Gates of kick, snare or hat, and of any onset, a minute, on sounds without a stroke.

    Each sound is at a peak of half full scale, or louder by so many times.
    """
    gates, onsets, seconds = 0, 0, 0.0
    for sound in sounds:
        loud = sound * np.float32(0.5 * times / max(1e-4, float(np.abs(sound).max())))
        strokes, scene, _ = hear(player, np.clip(loud, -1.0, 1.0))
        found = picked(strokes, scene=scene)
        onsets += len(found)
        gates += sum(bool(one.raised[:GATED].any()) for one in found)
        seconds += len(sound) / SAMPLE_RATE_HZ
    minutes = max(1e-9, seconds / 60.0)
    return round(gates / minutes, 3), round(onsets / minutes, 3)


def scenes(player: Player, material: Material, trials: int) -> dict[str, float]:
    """How often each scene is told right after four seconds of it."""
    samples = 4 * SAMPLE_RATE_HZ // HOP * HOP
    right: dict[str, list[bool]] = {name: [] for name in SCENES}
    for number in range(trials):
        rng = np.random.default_rng([13, number])
        beaten = drums(material, rng, samples)
        heard = {"noise": 0.3 * noise(rng, samples), "silence": 1e-5 * noise(rng, samples)}
        if any(event.at > samples - SAMPLE_RATE_HZ for event in beaten.events):
            heard["drums"] = leveled(beaten, rng, -18.0, 0.0).audio
        for sounds in material.others.values():
            long = [sound for sound in sounds if len(sound) >= samples // 2]
            if long:
                heard["pitched"] = long[int(rng.integers(len(long)))][:samples]
        for name, audio in heard.items():
            _, said, _ = hear(player, audio)
            right[name].append(int(scenes_of(said)[-1]) == SCENES.index(name))
    return {name: round(float(np.mean(told)), 3) for name, told in right.items() if told}


def trouble(player: Player, seconds: int) -> dict[str, float]:
    """Gates in silence, in a constant, in a clipped tone and in clipped noise, once begun."""
    count = seconds * SAMPLE_RATE_HZ // HOP * HOP
    time = np.arange(count) / SAMPLE_RATE_HZ
    rng = np.random.default_rng(17)
    sounds = {
        "silence": np.zeros(count),
        "constant": np.full(count, 1.0),
        "clipped_tone": np.sign(np.sin(2 * np.pi * 110.0 * time)),
        "clipped_noise": np.sign(rng.standard_normal(count)),
    }
    begun = round(DEAF_S * SAMPLE_RATE_HZ / HOP)
    return {
        name: float(len(found_hops(hear(player, audio.astype(np.float32))[0][0, begun:], 0.0, 6)))
        for name, audio in sounds.items()
    }
