"""Training of a voice: analysed levels first, then what is heard of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from common.model_metadata import ModelMetadata
from train.analysis.note import changes, habits
from train.analysis.note.changes import Levels
from train.export.export import Port
from train.losses import SpectralLoss, kl_loss, kl_per_latent
from train.models.hit.bands import centres_hz, warped
from train.models.hit.shape import NOISE_LOWEST
from train.models.voice.bank import log_loudness
from train.models.voice.network import (
    LOUDEST_PART,
    PART_SCALE,
    QUIETEST_PART,
    SEEN,
    SEEN_FRAMES,
    VoiceDecoder,
    VoiceVAE,
    control_of,
    seen_of,
)
from train.models.voice.shape import (
    BANDS,
    CONTROLS,
    FADE_TO,
    FRAMES_PER_S,
    HARMONICS,
    HIGHEST_OCTAVE,
    HOP,
    LOWEST_LOG,
    LOWEST_OCTAVE,
    PITCH_HZ,
    VoiceShape,
)
from train.recipe import Recipe, Section
from train.tasks.base import Batch, Task, evenly

if TYPE_CHECKING:
    from train.data.kinds.voice import NoteItem
    from train.data.store import DataSet

JUDGED_SIZES = (2048, 512, 128)
LONGEST_FRAMES = 2 * FRAMES_PER_S
EXAMPLE_FRAMES = 150
PARTNERS = 8
"""Of so many notes the nearest in pitch may be mixed with one."""
QUIET_LOG = 2 * np.log(1e-5)
"""Harmonics about −100 dB count as silence."""
QUIET_NOISE_LOG = -24.0


class VoiceModelSection(Section):
    """Sizes; see ``VoiceShape``."""

    latents: int = Field(default=8, ge=1, le=16)
    width: int = Field(default=64, ge=8, multiple_of=4)
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    encoder: int = Field(default=96, ge=8, multiple_of=4)


class VoiceLossSection(Section):
    """Weights of the reconstruction."""

    analysed: float = Field(
        default=0.6, ge=0, le=1, description="part of the training on analysed levels alone"
    )
    noise: float = Field(default=0.5, ge=0, description="weight of the noise's analysed levels")
    later: float = Field(default=0.2, ge=0, description="weight of the analysed levels once it listens")


class VoiceAugmentSection(Section):
    """Versions of a note beside the recording, while the training looks at levels alone."""

    speeds: float = Field(default=0.5, ge=0, le=1, description="part of the notes played at another speed")
    octaves: float = Field(default=0.5, ge=0, description="by how much, at most")
    bodies: float = Field(default=0.5, ge=0, le=1, description="part of the notes given another body")
    body_db: float = Field(default=4.0, ge=0, description="how much a body's response bends, dB")
    mixed: float = Field(default=0.4, ge=0, le=1, description="part of the notes mixed with another one")


class VoiceRecipe(Recipe):
    """A recipe of kind ``voice``."""

    kind: Literal["voice"]
    window: int = Field(default=150, ge=16, description="frames of 4 ms in a training window")
    model: VoiceModelSection = VoiceModelSection()
    loss: VoiceLossSection = VoiceLossSection()
    augment: VoiceAugmentSection = VoiceAugmentSection()


@dataclass(frozen=True)
class Note:
    """A note of a split: its sound and what it is made of, frame by frame."""

    name: str
    label: str
    held: int
    loud: bool
    audio: Tensor
    f0: Tensor
    loudness: Tensor
    harmonics: Tensor
    noise: Tensor
    seen: Tensor

    @classmethod
    def of(cls, data: DataSet[NoteItem], index: int) -> Note:
        """Read a note of a data set; what is longer than two seconds is left out."""
        item = data.manifest[index]
        first = int(data.arrays["offsets"][index]) // HOP
        frames = min(item["frames"], LONGEST_FRAMES)

        def rows(name: str) -> Tensor:
            return torch.from_numpy(np.array(data.arrays[name][first : first + frames], np.float32))

        f0, loudness, harmonics, noise = map(rows, ("f0", "loudness", "harmonics", "noise"))
        audio = torch.from_numpy(data.texture(index)[: frames * HOP].copy())
        seen = seen_of(f0, loudness, harmonics, noise)
        loud = item.get("velocity", habits.LOUD) >= habits.LOUD
        name, label, held = item["name"], item["label"], item["held"]
        return cls(name, label, held, loud, audio, f0, loudness, harmonics, noise, seen)

    @property
    def frames(self) -> int:
        """Its length."""
        return len(self.f0)

    def apart(self, other: Note) -> float:
        """Octaves between its pitch and another's."""
        return abs(float(torch.log2(self.f0[0] / other.f0[0])))

    def control(self) -> Tensor:
        """The control of all of it, ``[1, C, T]``."""
        return control_of(
            self.f0[None], self.loudness[None], torch.zeros(1, dtype=torch.long), torch.tensor([self.held])
        )


class VoiceTask(Task):
    """See :class:`train.tasks.base.Task`."""

    recipe_type: ClassVar[type[Recipe]] = VoiceRecipe
    data_kinds: ClassVar[tuple[str, ...]] = ("voice",)
    judge: ClassVar[str] = "train.judges.voice.judge"
    recipe: VoiceRecipe
    model: VoiceVAE

    def __init__(self, recipe: VoiceRecipe, facts: dict[str, Any] | None = None):
        super().__init__(recipe, facts)
        self.spectral = SpectralLoss(JUDGED_SIZES)
        self.notes: dict[str, list[Note]] = {}
        self.places = torch.from_numpy(warped(centres_hz(BANDS)))

    @classmethod
    def facts_of_file(cls, about: ModelMetadata) -> dict[str, Any]:
        """How loudness moves."""
        return {"habits": about.habits}

    def build(self) -> VoiceVAE:
        """Make the untrained model."""
        return VoiceVAE(VoiceShape(**self.recipe.model.model_dump()))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What says the levels learns faster: they span ten nats."""
        network = self.model.decoder.network
        fast = list(network.outlet.parameters())  # type: ignore[union-attr,operator]
        known = {id(p) for p in fast}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        return [{"params": rest, "pace": 1.0}, {"params": fast, "pace": 3.0}]

    # Data -----------------------------------------------------------------------------------------

    def prepare(self, data: DataSet[NoteItem], splits: Sequence[str] = ("train", "validation")) -> None:
        """Take the notes into memory."""
        for split in splits:
            picked = self.items_of(data, split, "add instruments and prepare again")
            self.notes[split] = [Note.of(data, int(index)) for index in picked]

    def share(self, other: Task) -> bool:
        """Take the notes of another task of the same data set."""
        if not isinstance(other, VoiceTask):
            return False
        self.notes = dict(other.notes)
        return bool(self.notes)

    def listens(self) -> bool:
        """Whether the training hears what it makes by now."""
        return self.progress >= self.recipe.loss.analysed

    def draw(self, step: int) -> Batch:
        """Pick notes and windows of them; some from their beginning, some at another speed."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.global_rank if self._trainer else 0])
        late = max(step / recipe.fit.steps, self.time_progress) >= recipe.loss.analysed
        count = max(1, recipe.fit.batch // 3) if late else recipe.fit.batch
        notes = [self.notes["train"][i] for i in rng.integers(0, len(self.notes["train"]), count)]
        begins = rng.random(count) > 0.3
        firsts = [
            int(rng.integers(0, max(1, note.frames - recipe.window + 1))) * int(later)
            for note, later in zip(notes, begins, strict=True)
        ]
        batch = windows(notes, firsts, recipe.window, sound=late)
        if not late:
            self._change(batch, notes, firsts, rng)
            shift = rng.uniform(-recipe.augment.octaves, recipe.augment.octaves, count)
            shift *= rng.random(count) < recipe.augment.speeds
            self._at_speed(batch, torch.from_numpy(shift.astype(np.float32)))
        return {**batch, "names": [note.name for note in notes]}

    def _change(self, batch: Batch, notes: list[Note], firsts: list[int], rng: np.random.Generator) -> None:
        """Give notes of a batch another body, or something of another instrument, in place."""
        section, count = self.recipe.augment, len(notes)
        change = changes.drawn(rng, count, section.bodies, section.body_db)
        every = self.notes["train"]
        asked = [[every[i] for i in row] for row in rng.integers(0, len(every), (count, PARTNERS))]
        partners = [min(row, key=note.apart) for note, row in zip(notes, asked, strict=True)]
        near = [note.apart(other) < changes.NEAR_OCTAVES for note, other in zip(notes, partners, strict=True)]
        share = rng.uniform(0, 0.7, count) * (rng.random(count) < section.mixed) * near
        part = torch.from_numpy(share.astype(np.float32))
        window = self.recipe.window
        begins = [
            min(first, max(0, other.frames - window)) for first, other in zip(firsts, partners, strict=True)
        ]
        others = windows(partners, begins, window, sound=False)
        sung = _sung(batch)
        made = change.of(changes.mixed(sung, _sung(others), part)).as_loud_as(sung)
        level = log_loudness(batch["control"])
        for name, new in (("harmonics", made.harmonics), ("noise", made.noise)):
            batch[name] = torch.where(new > changes.SILENT, new + level, batch[name])
        read = _read(batch["seen"])
        read = change.of(changes.mixed(read, _read(others["seen"]), part)).as_loud_as(read)
        batch["seen"][:, :HARMONICS] = (read.harmonics.clamp(QUIETEST_PART, LOUDEST_PART)) * PART_SCALE
        batch["seen"][:, HARMONICS:-2] = (read.noise.clamp(QUIETEST_PART, LOUDEST_PART)) * PART_SCALE

    def _at_speed(self, batch: Batch, octaves: Tensor) -> None:
        """Shift the pitch of a batch with all that sounds, in place: as of a smaller or a larger body."""
        batch["control"][:, 0] += octaves[:, None]
        batch["seen"][:, -2] += octaves[:, None]
        hz = torch.from_numpy(centres_hz(BANDS))
        for row, octave in enumerate(octaves.tolist()):
            if octave:
                place = torch.from_numpy(warped((hz / 2**octave).numpy()))
                at = ((place - self.places[0]) / (self.places[1] - self.places[0])).clamp(0, BANDS - 1.001)
                left, part = at.long(), (at - at.long()).float()[:, None]
                for name, rows in (
                    ("noise", batch["noise"][row]),
                    ("seen", batch["seen"][row, HARMONICS:-2]),
                ):
                    moved = rows[left] * (1 - part) + rows[left + 1] * part
                    if name == "noise":
                        batch["noise"][row] = moved
                    else:
                        batch["seen"][row, HARMONICS:-2] = moved

    def validation_batches(self) -> list[Batch]:
        """Whole notes, as far as the longest window goes."""
        notes = self.notes["validation"]
        longest = min(LONGEST_FRAMES, max(note.frames for note in notes))
        return [
            {**windows(part, [0] * len(part), longest, sound=True), "names": [note.name for note in part]}
            for part in (notes[k : k + 16] for k in range(0, len(notes), 16))
        ]

    # Losses ---------------------------------------------------------------------------------------

    def numbers(self, batch: Batch, z: Tensor) -> Tensor:
        """What the network says of a batch."""
        control = batch["control"]
        return self.model.decoder.network(z[..., None].expand(-1, -1, control.shape[2]), control)  # type: ignore[no-any-return]

    def analysed_loss(self, numbers: Tensor, batch: Batch) -> Tensor:
        """L1 distance of log levels from the analysed ones; what is quieter than −100 dB is silence."""
        level = log_loudness(batch["control"])
        tones, noise = numbers[:, :HARMONICS] + level, numbers[:, HARMONICS:] + level
        hz = PITCH_HZ * torch.exp2(batch["control"][:, :1])
        order = torch.arange(1, HARMONICS + 1)[:, None]
        valid = (order * hz < FADE_TO * SAMPLE_RATE_HZ).float() * batch["there"]
        valid = valid / valid.sum(1, keepdim=True).clamp(min=1)

        def soft(logs: Tensor, floor: float) -> Tensor:
            return 0.5 * torch.logaddexp(2 * logs, torch.tensor(floor))

        far = (soft(tones, QUIET_LOG) - soft(batch["harmonics"], QUIET_LOG)).abs()
        hiss = (soft(noise, QUIET_NOISE_LOG) - soft(batch["noise"], QUIET_NOISE_LOG)).abs()
        share = batch["there"].mean().clamp(min=1e-3)
        heard = (hiss * batch["there"]).mean() / share
        return (valid * far).sum(1).mean() / share + self.recipe.loss.noise * heard

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Levels and KL; later spectra too."""
        mean, log_variance = self.model.encoder(batch["seen"])
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        numbers = self.numbers(batch, z)
        terms = {
            "analysed": self.analysed_loss(numbers, batch),
            "kl": kl_loss(mean, log_variance, self.recipe.kl.free_bits),
        }
        total = self.beta() * terms["kl"]
        if "audio" not in batch:
            return total + terms["analysed"], terms
        made = self.model.decoder.sound(numbers, batch["control"])
        terms["spectral"] = self.spectral(made, batch["audio"])
        return total + self.recipe.loss.later * terms["analysed"] + terms["spectral"], terms

    def score(self, batch: Batch) -> dict[str, Tensor]:
        """Spectral distance, as the judge takes it, at the posterior's mean."""
        mean, log_variance = self.model.encoder(batch["seen"])
        numbers = self.numbers(batch, mean)
        made = self.model.decoder.sound(numbers, batch["control"])
        kl = kl_per_latent(mean, log_variance)
        return {
            "score": self.spectral(made * batch["sounds"], batch["audio"]),
            "analysed": self.analysed_loss(numbers, batch),
            "kl": kl.sum(),
            "active_latents": (kl > 0.05).sum().float(),
        }

    # The way out ----------------------------------------------------------------------------------

    def take_network(self, network: nn.Module) -> None:
        """It says the levels, whose sound is made as before."""
        assert isinstance(self.model.decoder, VoiceDecoder)
        self.model.decoder.network = network

    def decoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Z and the control in, sound out."""
        latent = Port("latent", "latent", f"1/{HOP}", self._names(), -4, 4)
        control = Port("control", "condition", f"1/{HOP}", CONTROLS, LOWEST_OCTAVE, HIGHEST_OCTAVE)
        return [latent, control], [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)]

    def encoder_ports(self) -> tuple[list[Port], list[Port]]:
        """Analysed frames in; the posterior out."""
        channels = tuple(f"f{i}" for i in range(SEEN))
        seen = Port("frames", "pattern", "event", channels, -4.0, 4.0, SEEN_FRAMES)
        names = self._names()
        return [seen], [
            Port("mean", "latent", "event", names, -4, 4),
            Port("log_variance", "latent", "event", names, -8, 3),
        ]

    def _names(self) -> tuple[str, ...]:
        return tuple(f"z{i + 1}" for i in range(self.latents))

    def decoder_metadata(self) -> dict[str, Any]:
        """How loudness moves."""
        return {"habits": self.facts.get("habits") or habits.plain(self.latents).tolist()}

    def know_latents(self, means: np.ndarray) -> None:
        """Fit how loudness moves to latents and pitch."""
        notes = self.notes["train"]
        numbers = np.stack([habits.measured(note.loudness.numpy(), note.held) for note in notes])
        octaves = np.array([float(torch.log2(note.f0.median() / PITCH_HZ)) for note in notes])
        loud = np.array([note.loud for note in notes])
        self.facts["habits"] = habits.fitted(numbers, means, octaves, loud).tolist()

    def latent_layer(self) -> tuple[nn.Module, slice]:
        """The decoder's first convolution."""
        return self.model.decoder.network.inlet.conv, slice(0, self.latents)  # type: ignore[union-attr,return-value]

    def encoder_inputs(self, split: str) -> Iterator[Tensor]:
        """Frames of all notes."""
        notes = self.notes[split]
        for first in range(0, len(notes), 64):
            yield torch.stack([note.seen for note in notes[first : first + 64]])

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Brightness, sustain and hiss of every note."""
        brightness, sustain, hiss = [], [], []
        order = torch.arange(1, HARMONICS + 1, dtype=torch.float32)
        for note in self.notes[split]:
            power = torch.exp(2 * note.harmonics[: note.held]).sum(0)
            brightness.append(float(torch.log((power * order).sum() / power.sum())))
            late = note.loudness[max(0, note.held - 25) : note.held].mean()
            sustain.append(float(late - note.loudness.max()))
            hiss.append(float(torch.exp(2 * note.noise[: note.held]).sum(0).sum().log() - power.sum().log()))
        rows = {"brightness": brightness, "sustain": sustain, "hiss": hiss}
        return {name: np.array(values) for name, values in rows.items()}

    def kinds_of_items(self, split: str) -> list[str]:
        """The instrument of every note."""
        return [note.label for note in self.notes[split]]

    def decoder_examples(
        self, split: str, count: int, seed: int
    ) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
        """The beginnings of notes, one a batch."""
        notes = self.notes[split]
        for index in evenly(np.random.default_rng(seed).permutation(len(notes)), count).tolist():
            note = notes[index]
            frames = min(note.frames, EXAMPLE_FRAMES)
            with torch.no_grad():
                mean, _ = self.model.encoder(note.seen[None])
            feeds = {
                "latent": mean[..., None].expand(-1, -1, frames).numpy().copy(),
                "control": note.control()[..., :frames].numpy(),
            }
            yield feeds, {"audio": note.audio[None, None, : frames * HOP].numpy()}

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray, int]:
        """A note of half a second a row, as hands would play it."""
        frames = FRAMES_PER_S // 2
        held = frames * 3 // 4
        time = torch.arange(frames) / FRAMES_PER_S
        loudness = -20 + 20 * torch.log10(1e-3 + (1 - torch.exp(-time / 0.02)))
        loudness = loudness - 120 * (time - held / FRAMES_PER_S).clamp(min=0)
        control = control_of(
            torch.full((1, frames), 220.0),
            loudness[None],
            torch.zeros(1, dtype=torch.long),
            torch.tensor([held]),
        ).expand(len(z), -1, -1)
        with torch.no_grad():
            sound = self.model.decoder(z[:, :, None].expand(-1, -1, frames), control)[:, 0].numpy()
        from common.spectrogram import spectrogram_figure

        rows = [(f"{title} {i + 1}", audio) for i, audio in enumerate(sound)]
        figure = spectrogram_figure(rows, SAMPLE_RATE_HZ, columns=len(z))
        return figure, np.clip(sound.reshape(-1), -1, 1), SAMPLE_RATE_HZ


def _sung(batch: Batch) -> Levels:
    """What is to be said of a batch, less its loudness."""
    level, there = log_loudness(batch["control"]), batch["there"] > 0

    def less(logs: Tensor, lowest: float) -> Tensor:
        return torch.where(there & (logs > lowest), logs - level, QUIETEST_PART).clamp(min=QUIETEST_PART)

    hz = PITCH_HZ * torch.exp2(batch["control"][:, :1])
    return Levels(less(batch["harmonics"], LOWEST_LOG), less(batch["noise"], NOISE_LOWEST), hz)


def _read(seen: Tensor) -> Levels:
    """What an encoder reads, as levels."""
    parts = seen[:, :-2] / PART_SCALE
    return Levels(parts[:, :HARMONICS], parts[:, HARMONICS:], PITCH_HZ * torch.exp2(seen[:, -2:-1]))


def windows(notes: Sequence[Note], firsts: Sequence[int], frames: int, *, sound: bool) -> Batch:
    """Stretches of notes; behind the end of a note there is silence.

    Returns
    -------
    dict
        ``seen``, ``control``, ``harmonics``, ``noise``; ``there``, 1 where a frame is of the note; and with
        ``sound`` also ``audio`` and ``sounds``, the same by samples.
    """
    fills = {"f0": None, "loudness": -100.0, "harmonics": LOWEST_LOG, "noise": NOISE_LOWEST}
    columns: dict[str, list[Tensor]] = {name: [] for name in (*fills, "there", "audio")}
    for note, first in zip(notes, firsts, strict=True):
        part = slice(first, first + frames)
        here = min(note.frames - first, frames)
        for name, fill in fills.items():
            rows = getattr(note, name)[part]
            if here < frames:
                last = rows[-1:] if fill is None else torch.full_like(rows[-1:], fill)
                rows = torch.cat([rows, last.expand(frames - here, *rows.shape[1:])])
            columns[name].append(rows)
        columns["there"].append((torch.arange(frames) < here).float())
        if sound:
            audio = note.audio[first * HOP : (first + here) * HOP]
            columns["audio"].append(nn.functional.pad(audio, (0, frames * HOP - len(audio))))
    stacked = {name: torch.stack(rows) for name, rows in columns.items() if rows}
    held = torch.tensor([note.held for note in notes])
    batch: Batch = {
        "seen": torch.stack([note.seen for note in notes]).clone(),
        "control": control_of(stacked["f0"], stacked["loudness"], torch.tensor(list(firsts)), held),
        "harmonics": stacked["harmonics"].transpose(1, 2),
        "noise": stacked["noise"].transpose(1, 2),
        "there": stacked["there"][:, None],
    }
    if sound:
        batch["audio"] = stacked["audio"][:, None]
        batch["sounds"] = batch["there"].repeat_interleave(HOP, 2)
    return batch
