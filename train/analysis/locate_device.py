"""``vaectrol place``: where a recorded pedal lies in a run's space of distortions, and how that point sounds.

The recording is aligned as a data set's pairs are, and then by the model itself: one phrase alone shows a
device's delay only to within the delay of the device's own filters, and of the delays so near the one that
the model explains best is taken. The encoder hears the loudest windows; the mean of what it says is the
point. The flow of the run (:mod:`train.latents.space`) reads it as a type and that type's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.files import whole
from common.refusal import Refusal

if TYPE_CHECKING:
    from train.attributes.effect import Setting
    from train.data.pairs import Relation, Signals
    from train.judges.player import Player

WINDOWS = 8  # that the encoder hears at most
ROUNDS = 4  # of hearing at one delay and looking for a better one
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
        What was found and taken out, samples as recorded.
    rendering : ndarray, shape (n,)
        The dry recording through that point, at 48 kHz, without the delay, the way up the wet one is.
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
    from train.judges.drive import esr, render
    from train.judges.player import open_player
    from train.latents.space import FILE, open_space
    from train.run import load_run
    from train.tasks.drive import DriveTask

    run = load_run(folder)
    task = run.task
    if not isinstance(task, DriveTask):
        raise Refusal(
            f"{folder} is of kind {run.recipe.kind}; only a drive run has a space to place pedals in"
        )
    signals, facts = _read(Path(dry), Path(wet))
    if not (run.directory / FILE).exists():
        run.prepare("train")
    space = open_space(run.directory, task)
    player = open_player(folder)
    delay, z = _settle(player, signals, facts)
    reading = space.read(z)
    dry_audio, wet_audio = _aligned(signals, delay, facts["polarity"])
    rendering = render(player, dry_audio, z)
    error = esr(rendering, wet_audio)
    if delay:  # what is handed out is all of the dry recording
        rendering = render(player, _aligned(signals, 0, 1)[0], z)
    names = [row["name"] for row in run.latents]
    places = [
        float(np.interp(value, row["quantiles"], np.linspace(0, 1, len(row["quantiles"]))))
        for value, row in zip(z, run.latents, strict=True)
    ]
    item: Setting = {"effect": reading.effect, "parameters": reading.parameters}
    relative = task.relative_amount(item) if reading.effect in task.facts.get("amounts", {}) else float("nan")
    return Placed(
        dict(zip(names, z.tolist(), strict=True)),
        dict(zip(names, places, strict=True)),
        reading.effect,
        reading.probability,
        reading.others,
        reading.parameters,
        (relative + 1) / 2 if np.isfinite(relative) else None,
        error,
        delay,
        facts["polarity"],
        facts["polarity"] * rendering,
    )


def _read(dry: Path, wet: Path) -> tuple[Signals, Relation]:
    """Both recordings, and what was found between them."""
    from common.audio import SAMPLE_RATE_HZ
    from common.refusal import LeftOut
    from train.data.pairing import PairFiles
    from train.data.pairs import read_pair, relate
    from train.data.source import SourceFile

    for path in (dry, wet):
        if not path.is_file():
            raise Refusal(f"there is no file {path}; give the dry and the wet recording")
    pair = PairFiles(
        SourceFile(dry, str(dry), "", {}), SourceFile(wet, str(wet), "", {}), "placed", {}, "told"
    )
    try:
        signals = read_pair(pair)
        facts = relate(signals, pair, None)
        pieces = _aligned(signals, facts["delay_found"], facts["polarity"])
    except LeftOut as reason:
        raise Refusal(f"{wet} {reason}") from None
    if len(pieces[0]) < MIN_SECONDS * SAMPLE_RATE_HZ:
        raise Refusal(f"{wet} lasts {len(pieces[0]) / SAMPLE_RATE_HZ:.3f} s; give {MIN_SECONDS:g} s or more")
    return signals, facts


def _aligned(signals: Signals, delay: int, polarity: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides at 48 kHz, a delay (in samples as read) taken out, the wet one turned the right way up."""
    from train.data.pairs import AlignedPair

    (piece,) = AlignedPair(signals, delay, polarity, None).cut(into_thirds=False)
    return piece[0], piece[1]


def _settle(player: Player, signals: Signals, facts: Relation) -> tuple[int, np.ndarray]:
    """The delay, near the one found, at which the model explains loud windows best; and the point there.

    The point is heard at one delay and decides the next, until none is better.
    """
    from common.audio import SAMPLE_RATE_HZ
    from train.data.pairs import SHORTEST_DELAY_SECONDS

    found, per_sample = facts["delay_found"], SAMPLE_RATE_HZ / signals.rate_hz
    reach = round(SHORTEST_DELAY_SECONDS * signals.rate_hz)
    delay, tried = found, {}
    for _ in range(ROUNDS):
        windows = player.task.loud_windows(*_aligned(signals, delay, facts["polarity"]), WINDOWS)  # type: ignore[operator]
        z = player.encode(np.stack(windows)).mean(0)
        errors = _errors_when_late(player, windows, z, round(reach * per_sample))
        tried[delay] = errors[0], z
        near = {
            shift: error
            for shift, error in errors.items()
            if abs(delay + round(shift / per_sample) - found) <= reach
        }
        delay += round(min(near, key=lambda shift: near[shift]) / per_sample)
        if delay in tried:
            break
    delay = min(tried, key=lambda one: tried[one][0])
    return delay, tried[delay][1]


def _errors_when_late(
    player: Player, windows: list[np.ndarray], z: np.ndarray, reach: int
) -> dict[int, float]:
    """Error energy over signal energy in windows ``[2, S]``, were the wet side so many samples late."""
    from train.judges.drive import esr, render

    made = np.stack([render(player, window[0], z) for window in windows])
    wet = np.stack([window[1] for window in windows])
    size = wet.shape[1]
    first = min(player.task.lead, size // 2) + reach  # type: ignore[operator]
    part = made[:, first : size - reach]
    return {
        shift: esr(part, wet[:, first + shift : size - reach + shift]) for shift in range(-reach, reach + 1)
    }


def write(placed: Placed, path: Path) -> None:
    """Write the rendering as 32-bit float WAV, under a temporary name first.

    Raises
    ------
    Refusal
        When the disk does not take it.
    """
    import soundfile

    from common.audio import SAMPLE_RATE_HZ

    try:
        with whole(path) as part:
            soundfile.write(part, placed.rendering, SAMPLE_RATE_HZ, subtype="FLOAT", format="WAV")
    except RuntimeError as error:
        raise Refusal(f"cannot write {path} ({error}); choose another place with -o") from None
