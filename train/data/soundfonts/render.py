"""Render drum kits of soundfonts with fluidsynth: one file a hit, and a manifest that names its kit."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.files import write_text
from common.refusal import Refusal
from train.data.soundfonts.kits import KITS, VELOCITIES, Key, keys_of
from train.data.source import PATH_COLUMNS, read_manifest

HIT_S = 2.5  # between strokes
TICKS_PER_BEAT, BEAT_S = 480, 0.5
DRUM_CHANNEL = 9
SILENT = 1e-4  # peak below which a key is empty
SAME_CORRELATION = 0.9995  # above which two hits are one

Watch = Callable[[Sequence[Any], str], Iterable[Any]]


@dataclass(frozen=True)
class Stroke:
    """One hit of a kit: its key's drum and how hard."""

    key: int
    drum: Key
    velocity: int


def strokes_of(program: int) -> list[Stroke]:
    """Everything that is struck on a kit, in order."""
    return [Stroke(key, drum, velocity) for key, drum in keys_of(program).items() for velocity in VELOCITIES]


def write_midi(program: int, strokes: Sequence[Stroke], path: Path) -> None:
    """Write the strokes as a MIDI file, ``HIT_S`` apart."""
    import mido

    song = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    track = mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=round(BEAT_S * 1e6)))
    track.append(mido.Message("program_change", channel=DRUM_CHANNEL, program=program))
    apart = round(HIT_S / BEAT_S * TICKS_PER_BEAT)
    for stroke in strokes:
        told = {"channel": DRUM_CHANNEL, "note": stroke.key, "velocity": stroke.velocity}
        track.append(mido.Message("note_on", time=0, **told))
        track.append(mido.Message("note_off", time=apart, **told))
    song.save(str(path))


def rendered(soundfont: Path, program: int, strokes: Sequence[Stroke]) -> Iterator[np.ndarray]:
    """Play the strokes dry and give each one's sound, float32 mono; a `Refusal` as `played` has it."""
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "kit.mid"
        write_midi(program, strokes, song)
        audio = played(soundfont, song)
    length = round(HIT_S * SAMPLE_RATE_HZ)
    for number in range(len(strokes)):
        yield audio[number * length : (number + 1) * length]


def played(soundfont: Path, song: Path) -> np.ndarray:
    """What fluidsynth makes of a MIDI file without reverberation or chorus, float32 mono.

    Raises
    ------
    Refusal
        fluidsynth is not there, or fails.
    """
    import soundfile

    player = shutil.which("fluidsynth")
    if player is None:
        raise Refusal("fluidsynth is not installed; install the package fluidsynth and run this again")
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "song.wav"
        quiet = ("-q", "-n", "-i", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(SAMPLE_RATE_HZ))
        done = subprocess.run(
            [player, *quiet, "-O", "float", "-F", str(sound), str(soundfont), str(song)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not sound.is_file():
            last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise Refusal(f"fluidsynth could not play {soundfont}: {last}; is it a soundfont?")
        mono: np.ndarray = soundfile.read(sound, dtype="float32", always_2d=True)[0].mean(1)
    return mono


class Heard:
    """Tells hits that were rendered before: kits share drums."""

    LOOK = SAMPLE_RATE_HZ // 4

    def __init__(self) -> None:
        self.known: dict[int, list[np.ndarray]] = {}

    def again(self, key: int, sound: np.ndarray) -> bool:
        """Whether this key sounded like that before, at any level; remembers it."""
        part = sound[: self.LOOK].astype(np.float64)
        part = part / max(1e-12, float(np.linalg.norm(part)))
        before = self.known.setdefault(key, [])
        if any(float(part @ other) > SAME_CORRELATION for other in before):
            return True
        before.append(part)
        return False


def render_kits(soundfonts: Sequence[Path], out: Path, beside: Path | None, watch: Watch) -> dict[str, int]:
    """Render every kit of some soundfonts into a folder, with a manifest.

    Parameters
    ----------
    soundfonts : sequence of Path
        ``.sf2`` or ``.sf3`` with drum kits in bank 128, which fluidsynth plays on channel 10.
    out : Path
        Must not be there, or be empty.
    beside : Path, optional
        A folder of one-shots with a manifest of its own to take into ``out`` too, as links.
    watch : callable
        Shows progress over the kits.

    Returns
    -------
    dict of str to int
        Hits of each kit.

    Raises
    ------
    Refusal
        A soundfont is missing, ``out`` holds something, or fluidsynth fails.
    """
    import soundfile

    check(soundfonts, out)
    rows = _beside(beside, out) if beside else []
    counts: dict[str, int] = {}
    heard = Heard()
    todo = [(soundfont, program) for soundfont in soundfonts for program in KITS]
    for soundfont, program in watch(todo, "rendering"):
        kit = f"{soundfont.stem.lower().replace('_', '-')}-{KITS[program]}"
        counts[kit] = 0
        strokes = strokes_of(program)
        for stroke, sound in zip(strokes, rendered(soundfont, program, strokes), strict=False):
            if not len(sound) or np.abs(sound).max() < SILENT or heard.again(stroke.key, sound):
                continue
            label, name = stroke.drum.label, stroke.drum.name
            relative = f"{label}/{kit}__{name}_vl{stroke.velocity}.flac"
            (out / label).mkdir(parents=True, exist_ok=True)
            soundfile.write(out / relative, np.clip(sound, -1, 1), SAMPLE_RATE_HZ, subtype="PCM_24")
            rows.append({"path": relative, "category": label, "set": kit, "licence": "MIT"})
            counts[kit] += 1
    write_manifest(rows, out)
    return counts


def check(soundfonts: Sequence[Path], out: Path) -> None:
    """Refuse a soundfont that is not there, or a folder that holds something."""
    for soundfont in soundfonts:
        if not soundfont.is_file():
            raise Refusal(f"there is no soundfont {soundfont}; name an .sf2 or .sf3 file")
    if out.exists() and any(out.iterdir()):
        raise Refusal(f"{out} is not empty; name a folder that is not there yet")


def _beside(folder: Path, out: Path) -> list[dict[str, str]]:
    """Link the files of another folder into ``out``; their rows of the manifest."""
    _, rows, _ = read_manifest(folder)
    if not rows:
        raise Refusal(f"{folder} has no manifest; only a folder of one-shots with one can be taken along")
    kept = []
    for relative, row in rows.items():
        if not (folder / relative).is_file():
            continue
        place = out / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((folder / relative).resolve())
        told = {k: str(v) for k, v in row.items() if k in ("category", "class", "set", "kit", "licence")}
        kept.append({PATH_COLUMNS[0]: relative, **told})
    return kept


def write_manifest(rows: Sequence[dict[str, str]], out: Path) -> None:
    """Write ``manifest.csv``."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "manifest.csv", text.getvalue())
