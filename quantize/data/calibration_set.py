"""What a model is calibrated, tuned and judged on: from a run, a folder, or made from its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.files import files_below
from common.refusal import Refusal
from quantize.data.examples import Example, run, teach
from quantize.data.feeds import FeedMaker, read_folder, read_wav
from quantize.data.quality import compare, compare_truth
from quantize.data.tune import Judge, Objective, pool_judge, pool_objective
from quantize.graph.graph import Feed, Graph
from quantize.graph.network import Network

SECONDS = 0.25  # of each made-up feed of a streaming model
BATCH = 4
POOL = 12
TEST_ITEMS = 64
WIDTH_ITEMS = 32  # of each of the training and the validation split
SEARCHED = 3  # feeds that a search for widths is judged on where the data do not say what is right
# shortest wave files that are worth a training example
LEAST_SAMPLES = 2048
SILENCE = 1e-4  # a recording below this peak is not brought to full scale


@dataclass
class CalibrationSet:
    """Everything that the procedure from float to integers looks at.

    Attributes
    ----------
    graph : Graph
        The float model.
    feeds : list of Feed
        Feeds for ranges and criteria: typical ones, and controls held at their extremes.
    test : list of Example
        Held-out feeds with the float model's answers.
    objective : callable
        Makes the fine-tuning loss.
    judge : Judge
        What fine-tuning must improve.
    figures : callable or None
        Figures of the training task on its validation data, for a run.
    source : str
        Where it came from, for the report.
    width_examples : callable
        Makes the examples that widths are chosen by; none is in `test`. With truths where the data have them.
    learns : bool
        Whether the float model is tuned also where nothing is pruned: its target is another model.
    """

    graph: Graph
    feeds: list[Feed]
    test: list[Example]
    objective: Callable[[], Objective]
    judge: Judge
    source: str
    figures: Callable[[Network], dict[str, float]] | None = None
    pool: list[Example] = field(default_factory=list)
    width_examples: Callable[[], list[Example]] = list
    learns: bool = False

    @property
    def kind(self) -> str:
        """The model's kind, "" when it does not say."""
        return self.graph.about.kind

    def compare(self, network: Network) -> dict[str, float]:
        """Measures of `network` against the float model on the test feeds."""
        pairs = [(e.taught, run(network, e.feed)) for e in self.test]
        return _mean(compare(w[n], m[n], self.kind) for w, m in pairs for n in w)

    def measure(self, network: Network, unrounded: Network | None = None) -> dict[str, float]:
        """All measures on the test feeds, each of which the network runs once.

        Parameters
        ----------
        network : Network
            What is measured.
        unrounded : Network, optional
            Float network that its integers were rounded from.

        Returns
        -------
        dict
            Plain keys: against the float model; "truth/…": against what the data say, where they say it;
            "unrounded/…": against `unrounded`; "task/…": the training task's own figures, for a run.
        """
        plain, truth, rounding = [], [], []
        for example in self.test:
            made = run(network, example.feed)
            answers = {} if unrounded is None else run(unrounded, example.feed)
            plain += [compare(w, made[n], self.kind) for n, w in example.taught.items()]
            rounding += [compare(w, made[n], self.kind) for n, w in answers.items()]
            truth += [compare_truth(w, made[n], self.kind) for n, w in (example.truth or {}).items()]
        found = _mean(plain)
        found |= {f"truth/{k}": v for k, v in _mean(truth).items()}
        found |= {f"unrounded/{k}": v for k, v in _mean(rounding).items()}
        if self.figures:
            found |= {f"task/{k}": v for k, v in self.figures(network).items()}
        return found


def _mean(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of every key over rows."""
    table: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            table.setdefault(key, []).append(value)
    return {key: float(np.mean(values)) for key, values in table.items()}


def from_pool(
    graph: Graph, feeds: list[Feed], source: str, extremes: list[Feed] | None = None
) -> CalibrationSet:
    """A calibration set of feeds alone: the float model is the teacher."""
    if not feeds:
        raise Refusal(f"{source} gives nothing to calibrate with.")
    held_out = max(1, len(feeds) // 4) if len(feeds) > 1 else 0
    examples = teach(graph, feeds)
    pool, test = (examples[:-held_out], examples[-held_out:]) if held_out else (examples, examples)
    kind = graph.about.kind
    return CalibrationSet(
        graph,
        [e.feed for e in pool] + list(extremes or []),
        test,
        lambda: pool_objective(pool, kind),
        pool_judge(test, kind),
        source,
        pool=pool,
        width_examples=lambda: pool[-SEARCHED:],
    )


def from_metadata(
    graph: Graph, seed: int = 0, audio: list[np.ndarray] | None = None, count: int = POOL, batch: int = BATCH
) -> CalibrationSet:
    """A calibration set made from the model's own metadata: its inputs as the module moves them."""
    maker = FeedMaker(graph, audio or [], seed)
    size = 16 * batch if graph.is_event else batch
    feeds = [maker.make(SECONDS, size) for _ in range(count)]
    return from_pool(graph, feeds, "feeds made from the model's metadata", extremes(graph, maker))


def extremes(graph: Graph, maker: FeedMaker) -> list[Feed]:
    """Controls held at the two ends of their travel, all together and one after the other.

    Audio that is read meanwhile reaches full scale, which a module's input may do at any time.
    """
    feeds = []
    audio = [n for n, e in maker.entries.items() if e.role == "audio"]
    names = [n for n, e in maker.entries.items() if e.role in ("latent", "attribute", "condition")]
    for name in names:
        shape = graph.fixed_shape(name)
        channels = int(shape[1] or 1)
        base = maker.make(SECONDS, 2 * channels + 2)
        table = maker.tables(name)
        low = np.array([t[0] for t in table], np.float32)
        high = np.array([t[-1] for t in table], np.float32)
        signal = base[name]
        signal[0], signal[1] = low[:, None], high[:, None]
        for channel in range(channels):
            signal[2 + channel, channel] = low[channel]
            signal[2 + channels + channel, channel] = high[channel]
        for input_name in audio:
            peaks = np.abs(base[input_name]).max((1, 2), keepdims=True)
            top = max(map(abs, maker.entries[input_name].limits))
            base[input_name] *= np.float32(top) / np.maximum(peaks, SILENCE).astype(np.float32)
        feeds.append(base)
    return feeds


def recordings(graph: Graph, feeds: list[Feed]) -> list[np.ndarray]:
    """What the audio inputs hear in feeds, one array [samples] a row."""
    names = [spec.name for spec in graph.about.inputs if spec.role == "audio"]
    return [row.reshape(-1) for feed in feeds for name in names for row in feed[name]]


def from_folder(graph: Graph, folder: Path, seed: int = 0) -> CalibrationSet:
    """Take examples from a folder; recordings fill the audio inputs that the metadata describe."""
    recordings = [file for file in files_below(folder) if file.suffix.lower() == ".wav"]
    if recordings and graph.about.inputs:
        audio = [x for x in (read_wav(p, graph) for p in recordings[:64]) if len(x) >= LEAST_SAMPLES]
        return from_metadata(graph, seed, audio)
    feeds = read_folder(folder, graph)
    return from_pool(graph, feeds, str(folder))


def from_run(
    folder: Path, data: Path | None = None, seed: int = 0, batch: int | None = None
) -> CalibrationSet:
    """A calibration set from a training run: its data, its losses, its validation figures.

    Raises
    ------
    Refusal
        When the run, its model file or its data can't be read.
    """
    from quantize.data.training_task import examples_of_run, open_training_task
    from quantize.graph.load import load_graph

    graph = load_graph(decoder_of(folder))
    if any(spec.role == "state" for spec in graph.about.inputs):  # it goes on from what it said itself
        return from_pool(graph, examples_of_run(folder, data, WIDTH_ITEMS, seed), f"{folder} with its data")
    training_task = open_training_task(folder, graph, data, batch)
    feeds = training_task.capture(POOL)
    ends = extremes(graph, FeedMaker(graph, recordings(graph, feeds), seed))

    def width_examples() -> list[Example]:
        chosen = [p for split in ("train", "validation") for p in training_task.examples(split, WIDTH_ITEMS)]
        return teach(graph, [feed for feed, _ in chosen], [truth for _, truth in chosen])

    pairs = training_task.examples("test", TEST_ITEMS)
    pool = teach(graph, feeds)
    return CalibrationSet(
        graph,
        [e.feed for e in pool] + ends,
        teach(graph, [feed for feed, _ in pairs], [truth for _, truth in pairs]),
        training_task.objective,
        training_task.judge(),
        f"{folder} with its data",
        training_task.figures,
        pool,
        width_examples,
    )


def decoder_of(folder: Path) -> Path:
    """The decoder's model file in a run."""
    recipe = folder / "recipe.toml"
    if not recipe.is_file():
        raise Refusal(
            f"{folder} is not a run (no recipe.toml); train one with `vaectrol train RECIPE --data DIR`."
        )
    found = [p for p in sorted(folder.glob("*.onnx")) if not p.name.endswith((".encoder.onnx", ".int8.onnx"))]
    if not found:
        raise Refusal(f"{folder} holds no decoder (.onnx); finish its training first.")
    return found[0]
