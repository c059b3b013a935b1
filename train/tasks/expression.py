"""Training of an expression: curves of loudness, pitch and breath from what begins and ends a note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from train.analysis.note.events import event_of
from train.analysis.note.loudness import swell_db
from train.analysis.note.trained_voice import TrainedVoice
from train.export.export import Port
from train.losses import kl_loss, kl_per_latent, ramp
from train.models.expression.network import (
    CurveCritic,
    ExpressionVAE,
    clocks,
    noise_of,
    told_of,
)
from train.models.expression.shape import (
    CENTS,
    CURVES,
    EVENTS,
    NOISES,
    SEEN,
    SEEN_EVERY,
    SEEN_FRAMES,
    ExpressionShape,
    told_names,
)
from train.models.voice.network import control_of, seen_of
from train.models.voice.shape import (
    FRAMES_PER_S,
    HARMONICS,
    HOP,
    LOG_PER_DB,
    LOUDNESS_DB,
    PITCH_HZ,
)
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from train.data.kinds.voice import NoteItem
    from train.data.store import DataSet

LONGEST_FRAMES = 2 * FRAMES_PER_S
QUIETEST_DB = -75.0
"""What is quieter counts as silence: −75 dB of full scale."""
HEARD_DB = 40.0
"""Frames this far below the loudest of a note say nothing of its pitch and breath."""
MOST_CENTS, MOST_BREATH = 80.0, 3.0
UNKNOWN_VELOCITY = 100
WEIGHTS = (1.0, 0.3, 0.15)
"""Of loudness, pitch and breath in the distance of two curves."""
HEARD_WEIGHT = 3.0
"""How much more the loudness counts where it is heard."""
EXAMPLE_FRAMES = 300
LOUDNESS = 0
EARLY_FRAMES, LATE_FRAMES = 30, 60
"""After the begin of a note, and after it is let go, where much happens."""
WHOLE_FRAMES = 375
"""Of a note that a critic sees."""
WHOLE_SHARE = 8
"""Of a batch so many times fewer notes, while they are whole."""
LOWEST, HIGHEST = -4.5, 4.5
"""Of what is told: latents of a voice, octaves."""


class ExpressionModelSection(Section):
    """Sizes; see ``ExpressionShape``."""

    latents: int = Field(default=2, ge=1, le=8)
    voice_latents: int = Field(default=8, ge=1, le=16)
    width: int = Field(default=32, ge=8, multiple_of=4)
    kernels: tuple[int, ...] = (1, 1, 1)
    encoder: int = Field(default=24, ge=8, multiple_of=4)


class ExpressionLossSection(Section):
    """Weights."""

    critic: float = Field(default=0.02, ge=0, description="weight of what the critic says")
    critic_from: float = Field(default=0.5, ge=0, le=1, description="part of the training without a critic")
    critic_rate: float = Field(default=1e-3, gt=0, description="the critic's learning rate")


class ExpressionAugmentSection(Section):
    """What is told less exactly while it trains."""

    timbre: float = Field(default=0.25, ge=0, description="spread of the noise on a voice's latents")
    octaves: float = Field(default=0.1, ge=0, description="spread of the noise on the pitch")
    nameless: float = Field(default=0.5, ge=0, le=1, description="part of the notes whose event is not told")


class ExpressionRecipe(Recipe):
    """A recipe of kind ``expression``."""

    kind: Literal["expression"]
    voice: str = Field(
        default="voice", description="a voice's run, its model file, or a factory model's name"
    )
    window: int = Field(default=10, ge=4, description="frames of 4 ms in a window, before a critic looks")
    windows: int = Field(default=4, ge=1, description="windows of every note of a batch")
    model: ExpressionModelSection = ExpressionModelSection()
    loss: ExpressionLossSection = ExpressionLossSection()
    augment: ExpressionAugmentSection = ExpressionAugmentSection()


@dataclass(frozen=True)
class PlayedNote:
    """A note of a split as its curves, with what is known of it.

    Attributes
    ----------
    name, label : str
        Its own and its instrument's.
    held : int
        Frames until it is let go.
    note : Tensor, shape (3,)
        Octaves above 220 Hz, octaves from the last note, velocity from −1 to 1.
    z : Tensor, shape (Z,)
        Its timbre, as the voice hears it.
    event : Tensor, shape (4,)
        One 1, or none.
    curves : Tensor, shape (3, frames)
        As the network answers.
    heard : Tensor, shape (frames,)
        1 where pitch and breath can be heard.
    seen : Tensor, shape (SEEN, SEEN_FRAMES)
        As the encoder reads it.
    """

    name: str
    label: str
    held: int
    note: Tensor
    z: Tensor
    event: Tensor
    curves: Tensor
    heard: Tensor
    seen: Tensor

    @property
    def frames(self) -> int:
        """Its length."""
        return self.curves.shape[1]

    @property
    def source(self) -> str:
        """What notes of one instrument have in common; those of a soundfont are called ``FONT__NUMBER``."""
        return self.name.rpartition("__")[0] or self.label

    @classmethod
    def of(cls, data: DataSet[NoteItem], index: int, voice: TrainedVoice) -> PlayedNote:
        """Read a note of a data set; what is longer than two seconds is left out."""
        item = data.manifest[index]
        first = int(data.arrays["offsets"][index]) // HOP
        frames = min(item["frames"], LONGEST_FRAMES)

        def rows(name: str) -> Tensor:
            return torch.from_numpy(np.array(data.arrays[name][first : first + frames], np.float32))

        f0, loudness, harmonics, noise = map(rows, ("f0", "loudness", "harmonics", "noise"))
        held = min(item["held"], frames)
        z = voice.timbre(seen_of(f0, loudness, harmonics, noise).numpy())
        control = control_of(f0[None], loudness[None], torch.zeros(1, dtype=torch.long), torch.tensor([held]))
        said = torch.from_numpy(voice.numbers(z, control[0].numpy())[HARMONICS:]).T
        said = said + (loudness * LOG_PER_DB)[:, None]
        breath = 0.5 * (torch.logsumexp(2 * noise, 1) - torch.logsumexp(2 * said, 1))
        heard = loudness > loudness.max() - HEARD_DB
        middle = f0[:held][heard[:held]].median() if bool(heard[:held].any()) else f0.median()
        cents = (1200 * torch.log2(f0 / middle)).clamp(-MOST_CENTS, MOST_CENTS)
        if swell := item.get("swell"):  # hands did that, as dynamics do on the module
            loudness = loudness - torch.from_numpy(swell_db(swell, held, frames))
        quiet = loudness.clamp(min=QUIETEST_DB)
        curves = torch.stack(
            [
                (quiet + LOUDNESS_DB) / LOUDNESS_DB,
                torch.where(heard, cents / CENTS, 0.0),
                torch.where(heard, breath.clamp(-MOST_BREATH, MOST_BREATH), 0.0),
            ]
        )
        octaves = float(torch.log2(middle / PITCH_HZ))
        velocity = 2 * item.get("velocity", UNKNOWN_VELOCITY) / 127 - 1
        event = torch.tensor([float(name == event_of(item["label"])) for name in EVENTS])
        return cls(
            item["name"],
            item["label"],
            held,
            torch.tensor([octaves, _interval(data, index, octaves), velocity]),
            torch.from_numpy(z),
            event,
            curves,
            heard.float(),
            seen_of_curves(curves, heard.float(), held, octaves),
        )


def _interval(data: DataSet[NoteItem], index: int, octaves: float) -> float:
    """Octaves from the note before in the same recording; 0 where there is none."""
    before = data.manifest[index - 1] if index else None
    if before is None or before["file"] != data.manifest[index]["file"]:
        return 0.0
    return float(np.clip(octaves - (before["key"] - 57) / 12, -2, 2))


def seen_of_curves(curves: Tensor, heard: Tensor, held: int, octaves: float) -> Tensor:
    """What the encoder reads of a note, ``[SEEN, SEEN_FRAMES]``: curves, gate, what is heard, pitch."""
    frames = curves.shape[1]
    gate = (torch.arange(frames) < held).float()
    rows = torch.cat([curves, gate[None], heard[None], torch.full((1, frames), octaves)])
    rows = rows[:, ::SEEN_EVERY][:, :SEEN_FRAMES]
    missing = SEEN_FRAMES - rows.shape[1]
    end = torch.tensor([(QUIETEST_DB + LOUDNESS_DB) / LOUDNESS_DB, 0.0, 0.0, 0.0, 0.0, octaves])
    return torch.cat([rows, end[:, None].expand(-1, missing)], 1)


class ExpressionTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = ExpressionRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("voice",)
    judge: ClassVar[str] = "train.judges.expression.judge"
    recipe: ExpressionRecipe
    model: ExpressionVAE

    def __init__(self, recipe: ExpressionRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.notes: dict[str, list[PlayedNote]] = {}
        self.alike: list[list[int]] = []
        self.table = NoteTable([])

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """Which voice it was trained for."""
        return {"voice_codec": about.voice_codec}

    def build(self) -> ExpressionVAE:
        """Make the untrained model."""
        return ExpressionVAE(ExpressionShape(**self.recipe.model.model_dump()))

    def build_opponent(self) -> nn.Module | None:
        """A critic of curves."""
        return CurveCritic(len(CURVES), self.known) if self.recipe.loss.critic > 0 else None

    @property
    def voice_latents(self) -> int:
        """Of the voice."""
        return self.recipe.model.voice_latents

    @property
    def known(self) -> int:
        """Channels that the critic knows of a note: all that is told but the noise."""
        return len(told_names(self.voice_latents)) - NOISES

    def opponent_rate(self) -> float:
        """Learning rate of the critic."""
        return self.recipe.loss.critic_rate

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[NoteItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Read the curves of the notes, and let the voice hear them."""
        voice = TrainedVoice.open(self.recipe.voice)
        wanted = self.facts.get("voice_codec")
        if wanted and wanted != voice.about.codec:
            raise Refusal(
                f"{self.recipe.name} was trained for another voice than {self.recipe.voice} "
                f"({wanted[:8]}, not {voice.about.codec[:8]}); train it again for this one"
            )
        if voice.latents != self.voice_latents:
            raise Refusal(
                f"{self.recipe.voice} has {voice.latents} latents, and an expression is made for "
                f"{self.voice_latents}; set model.voice_latents={voice.latents}"
            )
        self.facts["voice_codec"] = voice.about.codec
        for split in splits:
            picked = self.items_of(data, split, "add instruments and prepare again")
            self.notes[split] = [PlayedNote.of(data, int(index), voice) for index in picked]
        if "train" in splits:
            self._find_alike()

    def _find_alike(self) -> None:
        notes = self.notes["train"]
        self.table = NoteTable(notes)
        by_source: dict[str, list[int]] = {}
        for index, note in enumerate(notes):
            by_source.setdefault(note.source, []).append(index)
        self.alike = [by_source[note.source] for note in notes]

    def share(self, other: Task) -> bool:
        """Take the notes of another task of the same data set and voice."""
        if not isinstance(other, ExpressionTask) or other.recipe.voice != self.recipe.voice:
            return False
        self.notes, self.alike, self.table = dict(other.notes), other.alike, other.table
        self.facts["voice_codec"] = other.facts["voice_codec"]
        return bool(self.notes)

    def draw(self, step: int) -> Batch:
        """Pick notes, each with the timbre of another of its instrument: windows first, then whole ones."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        late = recipe.loss.critic > 0 and self._progress_at(step) >= recipe.loss.critic_from
        count = max(1, recipe.fit.batch // WHOLE_SHARE) if late else recipe.fit.batch
        notes = self.notes["train"]
        picked = rng.integers(0, len(notes), count).tolist()
        others = [int(rng.choice(self.alike[index])) for index in picked]
        rows = torch.tensor(picked).repeat_interleave(1 if late else recipe.windows)
        firsts = torch.zeros_like(rows) if late else self._begins(rows, rng)
        batch = self.table.windows(rows, firsts, WHOLE_FRAMES if late else recipe.window, self.past)
        blur, each = recipe.augment, len(rows) // count
        z = self.table.z[others]
        z = z + torch.from_numpy(rng.normal(0, blur.timbre, z.shape).astype(np.float32))
        batch["z"] = z.repeat_interleave(each, 0)
        moved = torch.from_numpy(rng.normal(0, blur.octaves, count).astype(np.float32))
        batch["note"][:, 0] += moved.repeat_interleave(each)
        named = torch.from_numpy((rng.random((count, 1)) >= blur.nameless).astype(np.float32))
        batch["event"] = batch["event"] * named.repeat_interleave(each, 0)
        batch["seen"] = self.table.seen[picked]
        return {**batch, "names": [notes[index].name for index in picked]}

    def _progress_at(self, step: int) -> float:
        return max(step / self.recipe.fit.steps, self.time_progress)

    def _begins(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """Where windows begin: with the note, around its being let go, or anywhere."""
        last = (self.table.frames[rows] - self.recipe.window).clamp(min=0).numpy()
        where, anywhere = rng.random(len(rows)), rng.random(len(rows))
        early = np.floor(EARLY_FRAMES * anywhere**2)
        late = self.table.held[rows].numpy() - self.recipe.window + np.floor(LATE_FRAMES * anywhere)
        first = np.select([where < 0.25, where < 0.5], [early, late], np.floor((last + 1) * anywhere))
        return torch.from_numpy(np.clip(first, 0, last).astype(np.int64))

    @property
    def past(self) -> int:
        """Frames that the network looks back."""
        return sum(kernel - 1 for kernel in self.recipe.model.kernels)

    def validation_batches(self) -> list[Batch]:
        """Whole notes, as far as the longest window goes, with the timbre of the next of their instrument."""
        notes = self.notes["validation"]
        longest = max(note.frames for note in notes)
        batch = stretches(notes, longest)
        batch["z"] = torch.stack([next_alike(notes, index).z for index in range(len(notes))])
        return [{**batch, "names": [note.name for note in notes]}]

    # Losses ---------------------------------------------------------------------------------------

    def distance(self, made: Tensor, batch: Batch) -> Tensor:
        """L1 distance of curves ``[N, 3, T]`` from the note's; silence is silence however deep."""
        wanted, heard = batch["curves"], batch["heard"]
        floor = (QUIETEST_DB + LOUDNESS_DB) / LOUDNESS_DB
        far = (made - wanted).abs()
        loud = (made[:, :1].clamp(min=floor) - wanted[:, :1]).abs() * batch["there"]
        rest = far[:, 1:] * heard
        weight = 1 + HEARD_WEIGHT * heard
        loud, share = loud * weight, (batch["there"] * weight).mean().clamp(min=1e-3)
        sums = [loud.mean() / share, *(rest.mean((0, 2)) / heard.mean().clamp(min=1e-3))]
        return sum(weight * one for weight, one in zip(WEIGHTS, sums, strict=True))  # type: ignore[return-value]

    def made(self, batch: Batch, w: Tensor, noise: Tensor) -> Tensor:
        """Curves of a batch."""
        told = told_of(batch["note"], batch["z"], batch["event"], batch["clock"], noise)
        latent = w[..., None].expand(-1, -1, told.shape[2])
        return self.model.decoder(latent, told)  # type: ignore[no-any-return]

    def by_chance(self, batch: Batch) -> Tensor:
        """Curves with w and noise drawn."""
        count, frames = len(batch["z"]), batch["clock"].shape[2]
        seed = int(torch.randint(0, 1 << 30, ()))
        return self.made(batch, torch.randn(count, self.latents), noise_of(seed, count, frames))

    def judged(self, curves: Tensor, batch: Batch) -> Tensor:
        """What the critic says of curves."""
        assert self.opponent is not None
        quiet = (QUIETEST_DB + LOUDNESS_DB) / LOUDNESS_DB
        seen = torch.cat([curves[:, :1].clamp(min=quiet), curves[:, 1:] * batch["heard"]], 1)
        clear = batch["there"]
        known = told_of(batch["note"], batch["z"], batch["event"], batch["clock"], batch["clock"][:, :0])
        return self.opponent(seen * clear, known * clear)  # type: ignore[no-any-return]

    def criticised(self) -> bool:
        """Whether the critic is asked by now."""
        return self.opponent is not None and self.progress >= self.recipe.loss.critic_from

    def opponent_loss(self, batch: Batch) -> Tensor | None:
        """Hinge: real curves above 1, made ones below −1."""
        if not self.criticised():
            return None
        with torch.no_grad():
            made = self.by_chance(batch)
        real, fake = self.judged(batch["curves"], batch), self.judged(made, batch)
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Curves, half of them with w as heard and half with w at rest; KL; and what the critic says."""
        mean, log_variance = self.model.encoder(batch["seen"][::2])
        w = torch.zeros(len(batch["seen"]), self.latents)
        w[::2] = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        w = w.repeat_interleave(len(batch["z"]) // len(w), 0)
        still = torch.zeros(len(w), NOISES, batch["clock"].shape[2])
        terms = {
            "distance": self.distance(self.made(batch, w, still), batch),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        total = terms["distance"] + self.beta() * terms["kl"]
        if self.criticised():
            terms["critic"] = -self.judged(self.by_chance(batch), batch).mean()
            begun = ramp(self.progress - self.recipe.loss.critic_from, 0.1)
            total = total + self.recipe.loss.critic * begun * terms["critic"]
        return total, terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Loudness error in dB, w at rest and without noise, of the frames that are heard."""
        w = torch.zeros(len(batch["z"]), self.latents)
        made = self.made(batch, w, torch.zeros(len(w), NOISES, batch["clock"].shape[2]))
        mean, log_variance = self.model.encoder(batch["seen"])
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": loudness_error_db(made, batch).mean(),
            "distance": self.distance(made, batch),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    # The way out ----------------------------------------------------------------------------------

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """W and what is told in, curves out."""
        latent = Port("latent", "latent", f"1/{HOP}", self._names(), -4, 4)
        told = Port("told", "condition", f"1/{HOP}", told_names(self.voice_latents), LOWEST, HIGHEST)
        return [latent, told], [Port("curves", "condition", f"1/{HOP}", CURVES, -4.0, 4.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Curves in; the posterior out."""
        channels = tuple(f"f{i}" for i in range(SEEN))
        seen = Port("frames", "pattern", "event", channels, -4.0, 4.0, SEEN_FRAMES)
        names = self._names()
        return [seen], [
            Port("mean", "latent", "event", names, -4, 4),
            Port("log_variance", "latent", "event", names, -8, 3),
        ]

    def _names(self) -> tuple[str, ...]:
        return tuple(f"w{i + 1}" for i in range(self.latents))

    def decoder_metadata(self) -> dict[str, Any]:
        """Which voice it is for."""
        return {"voice_codec": self.facts.get("voice_codec", "")}

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The decoder's first convolution."""
        return self.model.decoder.inlet.conv, slice(0, self.latents)  # type: ignore[union-attr,return-value]

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Curves of all notes."""
        notes = self.notes[split]
        for first in range(0, len(notes), 64):
            yield torch.stack([note.seen for note in notes[first : first + 64]])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Loudness, how long it takes to its loudest, and how it is sustained, of every note."""
        notes = self.notes[split]
        held = [note.curves[LOUDNESS, : note.held] for note in notes]
        rows = {
            "loudness": [float(one.max()) for one in held],
            "attack": [int(one.argmax()) for one in held],
            "sustain": [float(one[-25:].mean() - one.max()) for one in held],
        }
        return {name: np.array(values) for name, values in rows.items()}

    def kinds_of_items(self, split: str) -> list[str]:
        """The instrument of every note."""
        return [note.label for note in self.notes[split]]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """The beginnings of notes, one a batch, with w as it is heard and noise as it is played."""
        notes = self.notes[split]
        rng = np.random.default_rng(seed)
        for index in evenly(rng.permutation(len(notes)), count).tolist():
            batch = stretches([notes[index]], EXAMPLE_FRAMES)
            with torch.no_grad():
                mean, _ = self.model.encoder(batch["seen"])
            noise = noise_of(index, 1, EXAMPLE_FRAMES)
            told = told_of(batch["note"], batch["z"], batch["event"], batch["clock"], noise)
            feeds = {
                "latent": mean[..., None].expand(-1, -1, EXAMPLE_FRAMES).numpy().copy(),
                "told": told.numpy(),
            }
            yield feeds, {"curves": batch["curves"].numpy()}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray | None, int]:
        """The loudness of a note of half a second a row."""
        from common.figure import COLOURS, new_figure

        frames, held, count = FRAMES_PER_S, FRAMES_PER_S // 2, len(z)
        clock = clocks(torch.zeros(count, dtype=torch.long), torch.full((count,), held), frames)
        timbre = torch.stack([note.z for note in self.notes["train"]]).mean(0).expand(count, -1)
        note = torch.tensor([0.0, 0.0, 0.3]).expand(count, -1)
        told = told_of(
            note, timbre, torch.zeros(count, len(EVENTS)), clock, torch.zeros(count, NOISES, frames)
        )
        with torch.no_grad():
            made = self.model.decoder(z[..., None].expand(-1, -1, frames), told)
        figure, axes = new_figure(width=6, height=3.2)
        axis = axes[0, 0]
        for number, row in enumerate(made[:, LOUDNESS].numpy()):
            colour = COLOURS[number % len(COLOURS)]
            axis.plot(np.arange(frames) / FRAMES_PER_S, row * LOUDNESS_DB - LOUDNESS_DB, color=colour)
        axis.set(xlabel="s", ylabel="dB", title=title)
        return figure, None, SAMPLE_RATE_HZ


def next_alike(notes: Sequence[PlayedNote], index: int) -> PlayedNote:
    """The next note of the same instrument; the note itself where there is no other."""
    source = notes[index].source
    order = [*range(index + 1, len(notes)), *range(index)]
    return next((notes[i] for i in order if notes[i].source == source), notes[index])


class NoteTable:
    """Notes side by side, from which stretches are cut; behind the end of a note there is silence."""

    def __init__(self, notes: Sequence[PlayedNote]):
        if not notes:
            return
        frames = LONGEST_FRAMES
        quiet = torch.tensor([(QUIETEST_DB + LOUDNESS_DB) / LOUDNESS_DB, 0.0, 0.0])[:, None]
        self.curves = quiet.repeat(len(notes), 1, frames)
        self.heard = torch.zeros(len(notes), frames)
        for row, note in enumerate(notes):
            self.curves[row, :, : note.frames] = note.curves
            self.heard[row, : note.frames] = note.heard
        self.frames = torch.tensor([note.frames for note in notes])
        self.held = torch.tensor([note.held for note in notes])
        self.seen = torch.stack([note.seen for note in notes])
        self.note = torch.stack([note.note for note in notes])
        self.z = torch.stack([note.z for note in notes])
        self.event = torch.stack([note.event for note in notes])

    def windows(self, rows: Tensor, firsts: Tensor, frames: int, past: int) -> Batch:
        """Cut stretches of some notes, in which ``past`` frames are unknown before but at a note's begin.

        Returns
        -------
        dict
            ``seen``, ``note``, ``z``, ``event``, ``clock``, ``curves``; and of one channel each, ``there``, 1
            where a frame is of the note and what came before is known, and ``heard``, 1 where its pitch and
            breath can be heard too.
        """
        at = firsts[:, None] + torch.arange(frames)
        known = (at < self.frames[rows, None]) & ((firsts[:, None] == 0) | (torch.arange(frames) >= past))
        at = at.clamp(max=LONGEST_FRAMES - 1)
        there = known.float()
        return {
            "seen": self.seen[rows],
            "note": self.note[rows],
            "z": self.z[rows],
            "event": self.event[rows],
            "clock": clocks(firsts, self.held[rows], frames),
            "curves": self.curves[rows].gather(2, at[:, None].expand(-1, self.curves.shape[1], -1)),
            "there": there[:, None],
            "heard": (self.heard[rows].gather(1, at) * there)[:, None],
        }


def stretches(notes: Sequence[PlayedNote], frames: int) -> Batch:
    """Notes from their beginning; see :meth:`NoteTable.windows`."""
    rows = torch.arange(len(notes))
    return NoteTable(notes).windows(rows, torch.zeros_like(rows), frames, 0)


def loudness_error_db(made: Tensor, batch: Batch) -> Tensor:
    """Mean error of the loudness of every note's frames that are heard, dB, ``[N]``."""
    far = (made[:, LOUDNESS] - batch["curves"][:, LOUDNESS]).abs() * LOUDNESS_DB
    heard = batch["heard"][:, 0]
    return (far * heard).sum(1) / heard.sum(1).clamp(min=1)
