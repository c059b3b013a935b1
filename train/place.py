"""``vaectrol place``: where a recorded pedal lies in a run's space of distortions, and how that point sounds.

The recording is aligned as a data set's pairs are. The encoder hears its loudest windows; the mean of what it
says is the point. The flow of the run (:mod:`train.space`) reads it as a type and that type's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.refusal import Refusal

WINDOWS = 8  # that the encoder hears at most
MIN_SECONDS = 0.1


@dataclass(frozen=True)
class Placed:
    """A pair's point in a run's space.

    Attributes
    ----------
    latents : dict of str to float
        By the names of the run's latent table.
    travel : dict of str to float
        The same as places on each knob's travel, 0 to 1.
    effect, probability : str, float
        Likeliest type, and how sure the flow is of it among all.
    parameters : dict of str to float
        As that type would have them; empty for a device whose data stated none.
    amount : float or None
        Where the type's own amount stands, 0 for its least to 1 for its most; None where it has none.
    esr : float
        Error energy over signal energy of the rendering.
    delay_samples, polarity : int
        What was found and taken out.
    rendering : ndarray, shape (n,)
        The dry recording through that point, at 48 kHz, the way up the wet one is.
    """

    latents: dict[str, float]
    travel: dict[str, float]
    effect: str
    probability: float
    others: dict[str, float]
    parameters: dict[str, float]
    amount: float | None
    esr: float
    delay_samples: int
    polarity: int
    rendering: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """All but the sound."""
        return {key: value for key, value in vars(self).items() if key != "rendering"}


def place(folder: str | Path, dry: str | Path, wet: str | Path) -> Placed:
    """Locate a pair of recordings.

    Parameters
    ----------
    folder : path
        A finished drive run. Its flow is fitted on the run's data set the first time, and kept.
    dry, wet : path
        Recordings of any rate, equally long to within a second.

    Raises
    ------
    Refusal
        When the run is of another kind, or the recordings cannot be used or do not belong together.
    """
    from train.fit import load_run
    from train.judges.drive import esr, render
    from train.player import open_player
    from train.space import FILE, open_space
    from train.tasks.drive import DriveTask

    run = load_run(folder)
    task = run.task
    if not isinstance(task, DriveTask):
        raise Refusal(
            f"{folder} is of kind {run.recipe.kind}; only a drive run has a space to place pedals in"
        )
    dry_audio, wet_audio, facts = _read(Path(dry), Path(wet))
    if not (run.directory / FILE).exists():
        run.prepare("train")
    space = open_space(run.directory, task)
    player = open_player(folder)
    windows = task.loud_windows(dry_audio, wet_audio, WINDOWS)
    z = player.encode(np.stack(windows)).mean(0)
    reading = space.read(z)
    rendering = render(player, dry_audio, z)
    names = [row["name"] for row in run.latents]
    places = [
        float(np.interp(value, row["quantiles"], np.linspace(0, 1, len(row["quantiles"]))))
        for value, row in zip(z, run.latents, strict=True)
    ]
    item = {"effect": reading.effect, "parameters": reading.parameters}
    relative = task.relative_amount(item) if reading.effect in task.facts.get("amounts", {}) else float("nan")
    return Placed(
        dict(zip(names, z.tolist(), strict=True)),
        dict(zip(names, places, strict=True)),
        reading.effect,
        reading.probability,
        reading.others,
        reading.parameters,
        (relative + 1) / 2 if np.isfinite(relative) else None,
        esr(rendering, wet_audio),
        facts["delay_found"],
        facts["polarity"],
        facts["polarity"] * rendering,
    )


def _read(dry: Path, wet: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Both sides at 48 kHz, aligned and the same way up, and what was found between them."""
    from train.data.audio import LeftOut
    from train.data.pairing import PairFiles
    from train.data.pairs import AlignedPair, read_pair, relate
    from train.data.source import SourceFile
    from train.data.store import SAMPLE_RATE_HZ

    for path in (dry, wet):
        if not path.is_file():
            raise Refusal(f"there is no file {path}; give the dry and the wet recording")
    pair = PairFiles(
        SourceFile(dry, str(dry), "", {}), SourceFile(wet, str(wet), "", {}), "placed", {}, "told"
    )
    try:
        signals = read_pair(pair)
        facts = relate(signals, pair, None)
        aligned = AlignedPair(signals, facts["delay_found"], facts["polarity"], None)
        (pieces,) = aligned.cut(into_thirds=False)
    except LeftOut as reason:
        raise Refusal(f"{wet} {reason}") from None
    if len(pieces[0]) < MIN_SECONDS * SAMPLE_RATE_HZ:
        raise Refusal(f"{wet} lasts {len(pieces[0]) / SAMPLE_RATE_HZ:.3f} s; give {MIN_SECONDS:g} s or more")
    return pieces[0], pieces[1], facts


def write(placed: Placed, path: Path) -> None:
    """Write the rendering as 32-bit float WAV, under a temporary name first.

    Raises
    ------
    Refusal
        When the disk does not take it.
    """
    import soundfile

    from train.models.drive import RATE_HZ

    temporary = path.with_name(path.name + ".part")
    try:
        soundfile.write(temporary, placed.rendering, RATE_HZ, subtype="FLOAT", format="WAV")
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise Refusal(f"cannot write {path} ({error}); choose another place with -o") from None
