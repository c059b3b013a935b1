"""Judging a drive model on phrases it never met.

Every figure stands beside that of the best static curve and linear filter (:mod:`train.judges.static_curve`),
fitted to the training pairs of the same device at the same setting, or of the same effect where the setting
is new. A second one, fitted to the very window that the encoder hears (an oracle), says what a curve
could do at best: a memoryless toy effect is one. Where the very device and setting is in the training data, a
second point is tried as well, heard from those training pairs, as the curve and filter were fitted to them:
what differs between the two is the encoder's doing, not the decoder's.

How far the latents mean something is measured as a hand would: types told apart by their neighbours,
parameters read by regression and by the flow, the amount turned while a sine goes through.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.figure import COLOURS, new_figure
from common.files import write_picture
from common.spectrogram import excerpt, spectrogram_figure
from common.spectrogram import player as player_of
from train.judges.distances import mr_stft
from train.judges.drive_page import (
    AmountFollowed,
    DriveFigures,
    DriveReport,
    DriveRow,
    Error,
    ParametersRead,
    ReadBy,
    Safety,
    write_page,
)
from train.judges.judged import Judgement
from train.judges.player import Player
from train.judges.static_curve import StaticCurve, fit_static_curve
from train.latents.space import Space, fit_space
from train.models.drive import HOP
from train.tasks.base import evenly
from train.tasks.drive import DriveTask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from train.data.kinds.drive import DriveItem
    from train.data.store import DataSet

WINDOWS = 4  # of an item that the encoder hears; their posteriors are averaged
HEARD_OF_DEVICE = 12  # training items that the point of a device is heard from
REFERENCE = 100  # training items of an effect that neighbours are sought among
NEIGHBOURS = 5
POSITIONS = 11  # of the amount
SINE_HZ = 187.5  # 256 samples a period
SINE_LEVELS = (0.1, 0.25, 0.5)
NOISE_MINUTES = 10.0
EXCERPT_S = 1.5  # that the page plays
CHUNK = 480_000  # samples rendered at a time
LOUDEST = 12 * SAMPLE_RATE_HZ  # most of a long item that is measured
DETAILS: tuple[str, ...] = ("curves",)
NOT_ON_CARD = ("curves", "parameters", "line", "esr_static_own", "mr_stft_static")


def judge(
    player: Player, data: DataSet[DriveItem], split: str, folder: Path, limit: int = 0
) -> Judgement[DriveReport]:
    """Measure reconstruction, control and safety on a split; write sounds and pictures to ``folder``."""
    task = player.task
    assert isinstance(task, DriveTask)
    task.prepare(data, ("train", split))
    picked = task.picked[split]
    if limit:
        picked = evenly(picked, limit)
    folder.mkdir(parents=True, exist_ok=True)
    train = _reference(task)
    known, spreads = hear(player, train)
    heard, _ = hear(player, picked)
    rows, shown = _reconstruct(player, split, picked, heard)
    _write_sounds([sound for group in shown for sound in group], folder)
    groups = [
        [
            player_of(title, excerpt(sound, SAMPLE_RATE_HZ, EXCERPT_S), SAMPLE_RATE_HZ)
            for title, sound in group
        ]
        for group in shown
    ]
    items = {"train": [data.manifest[i] for i in train], "judged": [data.manifest[i] for i in picked]}
    space = fit_space(items["train"], known, spreads, task.recipe.seed)
    thd = amount_control(player, items["train"], known, space)
    drawings = _draw(player, items["train"], known, thd, folder)
    report: DriveReport = {
        "items": len(rows),
        "split": split,
        "figures": _figures(rows),
        "by_effect": {
            name: _figures([row for row in rows if row["device"] == name])
            for name in sorted({row["device"] for row in rows})
        },
        "amount": {way: {k: v["spearman"] for k, v in found.items()} for way, found in thd.items()},
        "types": types_apart(task, items["train"], known, items["judged"], heard, space),
        "parameters": parameters_read(items["train"], known, items["judged"], heard, space),
        "silence_dbfs": silence(player),
        "safety": safety(player),
        "rows": rows,
        "curves": thd,
    }
    return Judgement(report, write_page, groups, drawings)


def hear(player: Player, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of items, each averaged over the loudest windows, and how much the windows differ.

    Returns
    -------
    means, spreads : ndarray, shape (N, Z)
    """
    task = player.task
    assert isinstance(task, DriveTask)
    means, spreads = [], []
    for index in indices:
        z = player.encode(np.stack(task.windows_heard(int(index), WINDOWS)))
        means.append(z.mean(0))
        spreads.append(z.std(0) + 0.02)
    return np.stack(means), np.stack(spreads)


def render(player: Player, dry: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Distort ``dry [n]`` with held ``z [Z]``, from rest, a piece at a time; ``[n]``."""
    task = player.task
    assert isinstance(task, DriveTask)
    lead = task.lead
    padded = np.concatenate([np.zeros(lead, np.float32), dry, np.zeros(-len(dry) % HOP, np.float32)])
    out = []
    for start in range(lead, len(padded), CHUNK):
        piece = np.ascontiguousarray(padded[start - lead : start + CHUNK], np.float32)
        latent = np.repeat(z[None, :, None].astype(np.float32), len(piece) // HOP, 2)
        out.append(player.decode({"audio": piece[None, None], "latent": latent})[0, 0, lead:])
    return np.concatenate(out)[: len(dry)]


def esr(made: np.ndarray, wanted: np.ndarray) -> float:
    """Error energy over signal energy."""
    return float(((made - wanted) ** 2).sum() / max(float((wanted**2).sum()), 1e-12))


def _reference(task: DriveTask) -> np.ndarray:
    """Training items, at most so many of an effect: sets are uneven."""
    chosen = [evenly(np.array(members), REFERENCE) for members in task.by_effect.values()]
    return np.sort(np.concatenate(chosen))


# Reconstruction -------------------------------------------------------------------------------------------


def _setting(item: DriveItem) -> tuple[str, str]:
    """Effect and parameters, in words."""
    parameters = sorted((item["parameters"] or {}).items())
    return item["effect"], ", ".join(f"{key} {value:g}" for key, value in parameters)


def _reconstruct(
    player: Player, split: str, picked: np.ndarray, heard: np.ndarray
) -> tuple[list[DriveRow], list[list[tuple[str, np.ndarray]]]]:
    task = player.task
    assert isinstance(task, DriveTask)
    manifest = task.data.manifest
    train = task.picked["train"].tolist()
    trained: dict[tuple[str, str], list[int]] = {}
    for index in train:
        trained.setdefault(_setting(manifest[index]), []).append(index)
    curves: dict[str, StaticCurve] = {}
    points: dict[str, np.ndarray] = {}
    rows: list[DriveRow] = []
    shown: dict[str, list[tuple[str, np.ndarray]]] = {}
    for index, z in zip(picked.tolist(), heard, strict=True):
        item = manifest[index]
        dry, wet = (side[:LOUDEST] for side in task.pairs[index])
        # Effect and setting where the training data has that setting, else the effect.
        own_training = trained.get(_setting(item), [])
        device = " ".join(_setting(item)).strip() if own_training else item["effect"]
        if device not in curves:
            same = own_training or [i for i in train if manifest[i]["effect"] == item["effect"]] or train
            curves[device] = fit_static_curve([task.pairs[i] for i in evenly(np.array(same), 60).tolist()])
            if own_training:
                points[device] = hear(player, evenly(np.array(own_training), HEARD_OF_DEVICE))[0].mean(0)
        window = task.heard(index)
        own = fit_static_curve([(window[0], window[1])])
        first = task.lead if item["continues"] else 0  # what was before is not known
        made = {"model": render(player, dry, z), "static": curves[device](dry)}

        def far(sound: np.ndarray, wet: np.ndarray = wet, first: int = first) -> Error:
            return {"esr": esr(sound[first:], wet[first:])}

        row: DriveRow = {
            "name": item["name"],
            "effect": item["effect"],
            "device": device,
            "model": far(made["model"]),
            "static": far(made["static"]),
            "static_own": far(own(dry)),
        }
        if own_training:
            row["device_point"] = far(render(player, dry, points[device]))
        for judged, sound in ((row["model"], made["model"]), (row["static"], made["static"])):
            judged["mr_stft"] = mr_stft(sound[first:].astype(np.float32), wet[first:])
        rows.append(row)
        if device not in shown:
            shown[device] = [
                (f"{device}, dry", dry),
                ("wet", wet),
                (f"made, error to signal {row['model']['esr']:.3f}", made["model"]),
                (
                    f"curve and filter, error to signal {row['static']['esr']:.3f}",
                    made["static"].astype(np.float32),
                ),
            ]
    return rows, list(shown.values())


def _figures(rows: list[DriveRow]) -> DriveFigures:
    """Medians, and how often the model is nearer than the opponent."""

    def median(who: Literal["model", "static", "static_own"], what: Literal["esr", "mr_stft"]) -> float:
        return float(np.median([row[who][what] for row in rows]))

    devices = [row["device_point"]["esr"] for row in rows if "device_point" in row]
    found: DriveFigures = {
        "items": len(rows),
        "esr": median("model", "esr"),
        "esr_static": median("static", "esr"),
        "esr_static_own": median("static_own", "esr"),
        "mr_stft": median("model", "mr_stft"),
        "mr_stft_static": median("static", "mr_stft"),
        "better_than_static": float(np.mean([r["model"]["esr"] < r["static"]["esr"] for r in rows])),
    }
    if devices:
        found["esr_device_point"] = float(np.median(devices))
    return found


# What the latents mean ------------------------------------------------------------------------------------


def distortion_of(player: Player, z: np.ndarray) -> float:
    """Part of the amplitude that is not the fundamental, mean over three levels of a sine; 0 to 1."""
    period = round(SAMPLE_RATE_HZ / SINE_HZ)
    task = player.task
    assert isinstance(task, DriveTask)
    settle = -(-task.lead // period) * period + 4800 // period * period
    length = settle + 16 * period
    parts = []
    for level in SINE_LEVELS:
        sine = level * np.sin(2 * np.pi * SINE_HZ * np.arange(length) / SAMPLE_RATE_HZ)
        power = np.abs(np.fft.rfft(render(player, sine.astype(np.float32), z)[settle:])) ** 2
        harmonics = power[32::16].sum()
        parts.append(np.sqrt(harmonics / max(float(harmonics + power[16]), 1e-20)))
    return float(np.mean(parts))


def amount_control(
    player: Player, items: list[DriveItem], z: np.ndarray, space: Space
) -> dict[str, dict[str, AmountFollowed]]:
    """Turn the amount of every type that has one, and measure the distortion of a sine.

    Three ways to turn it, each from the 5th to the 95th percentile of what the type's training items have,
    everything else in the type's middle: ``knob``, the latent that was tied to the amount, where one was;
    ``line``, the straight line that the type's latents follow as its amount grows (regression on the amount);
    ``flow``, the amount's coordinate of the flow.
    """
    from scipy.stats import spearmanr

    task = player.task
    assert isinstance(task, DriveTask)
    tied = next((i for i, row in enumerate(player.latents) if row.get("tied") == "amount"), None)
    effects = np.array([item["effect"] for item in items])
    amounts = np.array([task.relative_amount(item) for item in items])
    found: dict[str, dict[str, AmountFollowed]] = {}
    for effect in sorted(set(effects.tolist())):
        mine = (effects == effect) & np.isfinite(amounts)
        if mine.sum() < 3 or np.ptp(amounts[mine]) == 0:
            continue
        middle, own = z[mine].mean(0), amounts[mine]
        paths = {}
        travel = _between(own)
        slope = ((z[mine] - middle) * (own - own.mean())[:, None]).mean(0) / own.var()
        paths["line"] = middle + (travel - own.mean())[:, None] * slope
        if tied is not None:
            path = np.repeat(middle[None], POSITIONS, 0)
            path[:, tied] = _between(z[mine][:, tied])
            paths["knob"] = path
        if effect in space.table.effects and space.table.scales[space.table.effects.index(effect)]:
            stated = space.table.standardised([i for i, m in zip(items, mine, strict=True) if m])[:, 0]
            u = np.repeat(np.median(space.coordinates(z[mine], effect), 0)[None], POSITIONS, 0)
            ends = _between(stated)
            # Coordinates rise with the parameter; the amount may fall with it.
            rising = np.corrcoef(stated, own)[0, 1] >= 0
            u[:, 0] = ends if rising else ends[::-1]
            paths["flow"] = space.latents(effect, u)
        for way, path in paths.items():
            values = [distortion_of(player, point) for point in path]
            rank = float(spearmanr(np.arange(POSITIONS), values).statistic) if np.ptp(values) > 0 else 0.0
            found.setdefault(way, {})[effect] = {"spearman": rank, "distortion": values}
    return found


def _between(values: np.ndarray) -> np.ndarray:
    """Even positions from the 5th to the 95th percentile."""
    low, high = np.quantile(values, [0.05, 0.95])
    return np.linspace(float(low), float(high), POSITIONS)


def types_apart(
    task: DriveTask,
    items: list[DriveItem],
    z: np.ndarray,
    judged: list[DriveItem],
    heard: np.ndarray,
    space: Space,
) -> dict[str, float]:
    """How often the type is right by nearest neighbours and by the flow, items and types counted evenly."""
    from sklearn.neighbors import KNeighborsClassifier

    known, wanted = ([item["effect"] for item in some] for some in (items, judged))
    spread = z.std(0) + 1e-6

    def right(told: list[str]) -> tuple[float, float]:
        hits = np.array([a == b for a, b in zip(told, wanted, strict=True)])
        each = [hits[[w == effect for w in wanted]].mean() for effect in set(wanted)]
        return float(hits.mean()), float(np.mean(each))

    out = {}
    parts = {"knn": slice(None)}
    if task.recipe.direction == "topology":
        parts["knn_type_latents"] = slice(0, task.recipe.type_latents)
    for name, part in parts.items():
        neighbours = KNeighborsClassifier(min(NEIGHBOURS, len(items)))
        neighbours.fit((z / spread)[:, part], known)
        told = neighbours.predict((heard / spread)[:, part]).tolist()
        out[name], out[f"{name}_by_type"] = right(told)
    out["flow"], out["flow_by_type"] = right([space.read(point).effect for point in heard])
    return out


def parameters_read(
    items: list[DriveItem],
    z: np.ndarray,
    judged: list[DriveItem],
    heard: np.ndarray,
    space: Space,
) -> ParametersRead:
    """R² of every parameter of every effect, read from the latents of items whose type is known.

    Read by kernel ridge regression (width and ridge chosen by cross-validation on the training items), and by
    the flow. ``pooled`` counts standardised errors of all together.
    """
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV

    spread = z.std(0) + 1e-6
    grid = {"alpha": [0.3, 0.1, 0.03, 0.01, 0.003], "gamma": [0.01, 0.03, 0.1, 0.3]}
    table = space.table
    errors: dict[str, list[tuple[float, float, float, bool]]] = {}
    each: dict[str, ReadBy] = {}
    for effect, scales in zip(table.effects, table.scales, strict=True):
        mine = [n for n, item in enumerate(items) if item["effect"] == effect]
        theirs = [n for n, item in enumerate(judged) if item["effect"] == effect]
        if len(theirs) < 2 or len(mine) < 10:
            continue
        stated = table.standardised([items[n] for n in mine])
        truth = table.standardised([judged[n] for n in theirs])
        flow = space.coordinates(heard[theirs], effect)
        for column, scale in enumerate(scales):
            search = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=min(5, len(mine)))
            search.fit((z / spread)[mine], stated[:, column])
            told = search.predict((heard / spread)[theirs])
            wanted = truth[:, column]
            errors.setdefault(effect, []).extend(
                zip(wanted, told - wanted, flow[:, column] - wanted, [column == 0] * len(wanted), strict=True)
            )
            each[f"{effect}.{scale.name}"] = {
                "regression": _r2(wanted, told - wanted),
                "flow": _r2(wanted, flow[:, column] - wanted),
            }
    together = np.array([row for rows in errors.values() for row in rows], float).reshape(-1, 4)
    amounts = together[together[:, 3] > 0]
    return {
        "pooled": {"regression": _r2(*together.T[:2]), "flow": _r2(together[:, 0], together[:, 2])},
        "amounts": {"regression": _r2(*amounts.T[:2]), "flow": _r2(amounts[:, 0], amounts[:, 2])},
        "each": each,
    }


def _r2(wanted: np.ndarray, error: np.ndarray) -> float:
    spread = float(((wanted - wanted.mean()) ** 2).sum()) if len(wanted) else 0.0
    return 1.0 - float((error**2).sum()) / spread if spread > 1e-9 else float("nan")


# Safety ---------------------------------------------------------------------------------------------------


def silence(player: Player) -> float:
    """Loudest sample, dBFS, of a second of silence with latents moving at random; −200 when exactly zero."""
    frames = SAMPLE_RATE_HZ // HOP
    latent = np.ascontiguousarray(player.prior(frames, 0).T[None])
    made = player.decode({"audio": np.zeros((1, 1, SAMPLE_RATE_HZ), np.float32), "latent": latent})
    return 20 * float(np.log10(max(float(np.abs(made).max()), 1e-10)))


def safety(player: Player) -> Safety:
    """Peaks under full-scale square, DC and minutes of noise, at random places of the latents' travel."""
    task = player.task
    assert isinstance(task, DriveTask)
    time = np.arange(2 * SAMPLE_RATE_HZ)
    tests = {
        "square": np.where(time // 240 % 2 == 0, 1.0, -1.0).astype(np.float32),
        "dc": np.ones(2 * SAMPLE_RATE_HZ, np.float32),
    }
    peaks = {
        name: np.array([np.abs(render(player, signal, z)).max() for z in player.prior(8, 1)])
        for name, signal in tests.items()
    }
    noise = _noise_peaks(player)
    half = max(1, len(noise) // 2)
    return {
        "square_peak": float(peaks["square"].max()),
        "dc_peak": float(peaks["dc"].max()),
        "noise_minutes": NOISE_MINUTES,
        "noise_peak": float(noise.max()),
        "noise_peak_late_over_early": float(noise[-half:].max() / max(float(noise[:half].max()), 1e-9)),
        "finite": all(bool(np.isfinite(some).all()) for some in (*peaks.values(), noise)),
    }


def _noise_peaks(player: Player) -> np.ndarray:
    """Peak of every chunk of a long full-scale noise, the past carried from chunk to chunk."""
    task = player.task
    assert isinstance(task, DriveTask)
    rng = np.random.default_rng(3)
    total = round(NOISE_MINUTES * 60 * SAMPLE_RATE_HZ)
    past = np.zeros(task.lead, np.float32)
    places = player.prior(-(-total // CHUNK), 2)
    peaks = []
    for number, z in enumerate(places):
        size = min(CHUNK, total - number * CHUNK) // HOP * HOP
        noise = np.concatenate([past, rng.uniform(-1, 1, size).astype(np.float32)])
        latent = np.repeat(z[None, :, None], len(noise) // HOP, 2)
        made = player.decode({"audio": noise[None, None], "latent": latent})[0, 0, task.lead :]
        peaks.append(np.abs(made).max())
        past = noise[len(noise) - task.lead :]
    return np.array(peaks)


# Sounds and pictures --------------------------------------------------------------------------------------


def _write_sounds(shown: list[tuple[str, np.ndarray]], folder: Path) -> None:
    """Dry, wet, made, opponent of each device: a picture and one WAV with a quarter second between."""
    import soundfile

    gap = np.zeros(SAMPLE_RATE_HZ // 4, np.float32)
    joined = np.concatenate([part for _, sound in shown for part in (sound[: 2 * SAMPLE_RATE_HZ], gap)])
    soundfile.write(folder / "reconstructions.wav", np.clip(joined, -1, 1), SAMPLE_RATE_HZ)
    figure = spectrogram_figure(
        [(title, sound[:SAMPLE_RATE_HZ]) for title, sound in shown], SAMPLE_RATE_HZ, columns=4
    )
    write_picture(folder / "reconstructions.png", figure, 80)


def _draw(
    player: Player,
    items: list[DriveItem],
    z: np.ndarray,
    thd: dict[str, dict[str, AmountFollowed]],
    folder: Path,
) -> list[tuple[str, Figure]]:
    """Where the types lie, what they do, and the distortion as the amount turns; files and for the page."""
    drawn = {
        "space": ("Training items in the first latents, by type", space_figure(player, items, z)),
        "curves": (
            "What the middle of each type does to a sine: wet over dry",
            curves_figure(player, items, z),
        ),
    }
    if thd:
        drawn["amount"] = ("Distortion as the amount turns, by the way it is turned", amount_figure(thd))
    for name, (_, figure) in drawn.items():
        write_picture(folder / f"{name}.png", figure, 90)
    return list(drawn.values())


def amount_figure(thd: dict[str, dict[str, AmountFollowed]]) -> Figure:
    """Draw the distortion of a sine as the amount of every type turns, for every way to turn it."""
    figure, axes = new_figure(1, len(thd), 3.6 * len(thd) + 1.2, 3.2, sharey=True)
    for place, (way, found) in zip(axes[0], thd.items(), strict=True):
        for number, (effect, one) in enumerate(found.items()):
            colour, style = COLOURS[number % len(COLOURS)], "--" if number >= len(COLOURS) else "-"
            place.plot(
                np.linspace(0, 1, POSITIONS), one["distortion"], style, color=colour, lw=1.2, label=effect
            )
        place.set(title=way, xlabel="amount")
    axes[0, 0].set_ylabel("part that is not the fundamental")
    axes[0, -1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def space_figure(player: Player, items: list[DriveItem], z: np.ndarray) -> Figure:
    """Draw training items in the first latents, by type."""
    effects = sorted({item["effect"] for item in items})
    figure, axes = new_figure(1, 2, 9, 3.6)
    pairs = ((0, 1), (min(2, z.shape[1] - 1), min(3, z.shape[1] - 1)))
    for place, (a, b) in zip(axes[0], pairs, strict=True):
        for number, effect in enumerate(effects):
            mine = np.array([item["effect"] == effect for item in items])
            mark = "o^s"[number // len(COLOURS) % 3]
            colour = COLOURS[number % len(COLOURS)]
            place.scatter(z[mine, a], z[mine, b], s=7, color=colour, marker=mark, label=effect)
        place.set(
            xlabel=" ".join([f"z{a + 1}", player.latents[a].get("tied", "")]),
            ylabel=" ".join([f"z{b + 1}", player.latents[b].get("tied", "")]),
        )
    axes[0, 1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves_figure(player: Player, items: list[DriveItem], z: np.ndarray) -> Figure:
    """Draw the curve that a sine draws at each type's middle."""
    effects = sorted({item["effect"] for item in items})
    columns = min(8, len(effects))
    rows = -(-len(effects) // columns)
    figure, axes = new_figure(rows, columns, 1.25 * columns + 0.4, 1.45 * rows, sharex=True)
    for axis in axes.flat[len(effects) :]:
        axis.remove()
    sine = (0.5 * np.sin(2 * np.pi * 100 * np.arange(4800) / SAMPLE_RATE_HZ)).astype(np.float32)
    for number, (effect, axis) in enumerate(zip(effects, axes.flat, strict=False)):
        mine = np.array([item["effect"] == effect for item in items])
        curve = render(player, sine, z[mine].mean(0))
        axis.plot(sine[-960:], curve[-960:], lw=1.2, color=COLOURS[number % len(COLOURS)])
        axis.set_title(effect, fontsize=8)
        axis.tick_params(labelsize=6)
    return figure
