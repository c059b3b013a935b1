"""The procedure from a float model to an int8 one: prune, tune, calibrate, refine, tune again, write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Literal, TypedDict

import numpy as np
import onnx

from common.measures import measure
from common.refusal import Refusal
from quantize.cost import layer_cycles
from quantize.data.calibration_set import CalibrationSet
from quantize.data.examples import teach
from quantize.data.kept import Kept
from quantize.data.lender import Lender, balanced_as, borrowed, clipped, plan_as
from quantize.data.quality import lost_percent, measure_that_counts
from quantize.data.tune import Effort, fine_tune
from quantize.formats.qdq import to_qdq
from quantize.graph.channels import TRACE_FRAMES, trace_channels
from quantize.graph.graph import Graph
from quantize.graph.layers import count_parameters, layers
from quantize.graph.network import Network
from quantize.integers.balance import balance_entries
from quantize.integers.calibrate import Observations, activation_tensors, dead_channels, observe
from quantize.integers.equalise import equalise
from quantize.integers.mixed import Choice, Goal, goal_by_noise, goal_by_truth, mixed_scales, search
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import Plan, Quantized, make_plan
from quantize.integers.rounding import refine
from quantize.progress import Progress
from quantize.prune.axes import eased
from quantize.prune.refit import refitted
from quantize.prune.select import REGRESSION, Ranking, Step, prune, prune_iteratively
from quantize.prune.surgery import layer_macs

Width = Literal["16", "8", "mixed"]
REFINING_FEEDS = 4
TUNING_FLOAT, TUNING_INTEGERS = "tuning the float weights", "tuning the integers"
FLOAT_SHARE = 0.7  # of the fine-tuning, in float after pruning; the rest tunes the integers
LEAST_SNR_DB = 35.0  # that mixed widths keep where the data do not say what is right


@dataclass(frozen=True)
class Settings:
    """What the procedure does.

    Attributes
    ----------
    keep : float
        Share of the cost that pruning leaves; 1 prunes nothing.
    criterion, per_cycle, scope, rounds, rewind
        See ``quantize.prune.select``.
    activations : {"16", "8", "mixed"}
        Widths of the activations.
    estimator_16, estimator_8 : str
        Range estimators.
    least_snr_db : float or None
        Output SNR that mixed precision keeps; None: where the data say what is right, their measure decides.
    most_loss_percent : float
        What mixed precision may lose of that measure, in percent.
    equalise, adapt, correct : bool
        Cross-layer equalisation, adaptive rounding, bias correction.
    board : str
        Whose predicted cycles weigh the channels.
    effort : Effort
        Of all fine-tuning: after pruning in float and then of the integers, else of the integers alone.
    tune_rate, tune_rate_events : float
        Learning rates of the float fine-tuning: of streams, and of models that decode one event at a time.
    learns : bool
        Whether float weights are tuned although nothing is pruned.
    qat_rate, qat_rate_8 : float
        Learning rates of the integers, with 16-bit and with any 8-bit activations, whose gradients are rough.
    """

    keep: float = 1.0
    criterion: str = "taylor"
    per_cycle: bool = True
    scope: str = "global"
    rounds: int = 1
    rewind: bool = False
    activations: Width = "16"
    estimator_16: str = "minmax"
    estimator_8: str = "mse"
    least_snr_db: float | None = None
    most_loss_percent: float = 2.0
    equalise: bool = False
    adapt: bool = True
    correct: bool = True
    board: str = "patch_sm"
    effort: Effort = field(default_factory=lambda: Effort(seconds=360.0))
    tune_rate: float = 2e-3
    tune_rate_events: float = 4e-3
    qat_rate: float = 5e-5
    qat_rate_8: float = 2e-5
    learns: bool = False

    @property
    def tunes_float(self) -> bool:
        """Whether float weights are tuned before they are rounded."""
        return self.keep < 1.0 or self.learns

    @property
    def float_effort(self) -> Effort:
        """What the float weights are tuned with after pruning."""
        return self.effort.part(FLOAT_SHARE)

    @property
    def integer_effort(self) -> Effort:
        """What the integers are tuned with."""
        return self.effort.part(1.0 - FLOAT_SHARE) if self.tunes_float else self.effort


class StageRecord(TypedDict):
    """A :class:`Stage` as plain data."""

    name: str
    parameters: int
    macs_per_tick: float
    measures: dict[str, float]
    seconds: float
    cpu_s: float


@dataclass
class Stage:
    """A stage of the procedure: what was measured at its end, and the time it took.

    Attributes
    ----------
    seconds, cpu_s : float
        Wall-clock time, and CPU time (all threads), since the stage before; measuring counts.
    """

    name: str
    parameters: int
    macs_per_tick: float
    measures: dict[str, float]
    seconds: float
    cpu_s: float

    def record(self) -> StageRecord:
        """Give it as plain data, for JSON."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "macs_per_tick": self.macs_per_tick,
            "measures": dict(self.measures),
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
        }


@dataclass
class Outcome:
    """Everything the procedure produced.

    Attributes
    ----------
    original, graph : Graph
        Float model before and after pruning and tuning.
    network : QuantizedNetwork
        The integers.
    model : ModelProto
        QDQ file.
    stages : list of Stage
        Float, pruned, tuned, int8, int8 tuned.
    seen : Observations
        Calibration of `graph`.
    """

    original: Graph
    graph: Graph
    network: QuantizedNetwork
    quantized: Quantized
    model: onnx.ModelProto
    stages: list[Stage]
    seen: Observations
    widths: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def base_ticks(graph: Graph) -> int:
    """Base ticks (samples where rates are known, frames otherwise) of a trace; 1 for events."""
    if graph.is_event:
        return 1
    slow = graph.slowest_rate
    return TRACE_FRAMES if slow is None else int(TRACE_FRAMES / slow)


def macs_per_tick(graph: Graph) -> float:
    """Multiply-accumulates of the linear layers for one base tick (or one event)."""
    channels = trace_channels(graph)
    macs = (layer_macs(channels, n, layer) for _, n, layer in layers(graph) if n.inputs[1] in graph.constants)
    return sum(macs) / base_ticks(graph)


def budgets(settings: Settings) -> dict[str, float]:
    """Stage → seconds that it may take, of the stages that have a time budget."""
    named = {TUNING_FLOAT: settings.float_effort} if settings.tunes_float else {}
    named[TUNING_INTEGERS] = settings.integer_effort
    return {name: effort.seconds for name, effort in named.items() if effort and effort.seconds is not None}


def line_of(stage: Stage, first: Stage) -> str:
    """One line on a stage: what is left of the model, and the measure that counts."""
    parts = []
    if stage.macs_per_tick < first.macs_per_tick:
        parts.append(f"{stage.macs_per_tick / first.macs_per_tick:.0%} of the multiply-accumulates")
    key, larger = measure_that_counts(stage.measures)
    value, base = stage.measures[key], first.measures[key]
    if stage is first:
        parts.append(f"{stage.parameters:,} parameters")
    if np.isfinite(value):
        parts.append(measure(key).say(value))
    if stage is not first and key.startswith("truth/"):
        lost = lost_percent(value, base, larger)
        parts.append(f"{abs(lost):.1f} % {'worse' if lost > 0 else 'better'} than float")
    return f"{stage.name}: {', '.join(parts)}"


def run_procedure(
    calibration_set: CalibrationSet,
    settings: Settings,
    progress: Progress | None = None,
    kept: Kept | None = None,
    lender: Lender | None = None,
) -> Outcome:
    """Prune, tune, quantize, refine and tune again.

    Parameters
    ----------
    calibration_set : CalibrationSet
        Model and data.
    settings : Settings
        What to do.
    progress : Progress, optional
        Hears which stage is at work, and what each came to.
    kept : Kept, optional
        Where tunings keep their states, to go on with when they were interrupted.
    lender : Lender, optional
        Model of the same shape whose scales and widths are taken.

    Raises
    ------
    Refusal
        When pruning can't reach its goal, a tensor is not finite, or the loss is not.
    """
    progress = progress or Progress()
    if calibration_set.learns and calibration_set.judge(Network(calibration_set.graph)) > 0.0:
        settings = replace(settings, learns=True)  # else it is its own teacher: only integers can learn
    progress.plan(budgets(settings))
    stages: list[Stage] = []
    begin = time.monotonic(), time.process_time()

    def measured(name: str, network: Network) -> None:
        nonlocal begin
        graph = network.graph
        progress.at("measuring")
        measures = calibration_set.measure(
            network, Network(graph_before) if isinstance(network, QuantizedNetwork) else None
        )
        now = time.monotonic(), time.process_time()
        spent = now[0] - begin[0], now[1] - begin[1]
        stages.append(Stage(name, count_parameters(graph), macs_per_tick(graph), measures, *spent))
        begin = now
        progress.ended(line_of(stages[-1], stages[0]))

    original = graph_before = calibration_set.graph
    measured("float", Network(original))
    graph, widths = original, {}
    if settings.keep < 1.0:
        step = _pruned(calibration_set, settings, progress, kept)
        graph, widths = step.graph, step.widths
        measured("pruned", Network(graph))
    if settings.effort and settings.tunes_float:
        student = Network(graph)
        effort = settings.float_effort
        tell = partial(progress.at, TUNING_FLOAT)
        _tune(student, calibration_set, settings, effort, tell, _place(kept, TUNING_FLOAT))
        graph = student.to_graph()
        measured("pruned, tuned" if settings.keep < 1.0 else "tuned", Network(graph))
    graph_before = graph
    alone = settings if lender is None or settings.activations == "8" else replace(settings, activations="16")
    outcome = _quantized(graph, calibration_set, alone, progress)
    if lender is not None:
        outcome = _lent(outcome, graph, lender, calibration_set, settings, progress)
    measured(f"int8, {_width_name(settings)}", outcome.network)
    if settings.effort:
        tell = partial(progress.at, TUNING_INTEGERS)
        keep = _place(kept, TUNING_INTEGERS)
        _tune_integers(outcome.network, calibration_set, settings, tell, keep)
        measured(f"int8, {_width_name(settings)}, tuned", outcome.network)
    outcome.original, outcome.stages, outcome.widths = original, stages, widths
    finish(outcome, settings)
    return outcome


def _place(kept: Kept | None, name: str) -> tuple[Kept, str] | None:
    """Where a tuning of this name keeps its state."""
    return None if kept is None else (kept, name)


def _width_name(settings: Settings) -> str:
    return {"16": "W8A16", "8": "W8A8", "mixed": "mixed"}[settings.activations]


def _tune(
    student: Network,
    calibration_set: CalibrationSet,
    settings: Settings,
    effort: Effort,
    tell: Callable[[float], None],
    kept: tuple[Kept, str] | None = None,
) -> None:
    rate = settings.tune_rate_events if calibration_set.graph.is_event else settings.tune_rate
    objective, judge = calibration_set.objective(), calibration_set.judge
    fine_tune(student, objective, judge, effort, learning_rate=rate, progress=tell, kept=kept)


def _tune_integers(
    network: QuantizedNetwork,
    calibration_set: CalibrationSet,
    settings: Settings,
    tell: Callable[[float], None],
    kept: tuple[Kept, str] | None = None,
) -> None:
    """Tune the integers within the task, as the float model was trained.

    The waveform of the float model is the wrong goal: its loud part decides, and what int8 weights leave
    ringing in a tail, 40 dB below the peak, is audible.
    """
    rate = settings.qat_rate if settings.activations == "16" else settings.qat_rate_8
    effort = settings.integer_effort
    objective, judge = calibration_set.objective(), calibration_set.judge
    fine_tune(network, objective, judge, effort, learning_rate=rate, progress=tell, kept=kept)


def ranking_of(settings: Settings, graph: Graph) -> Ranking:
    """What decides which channels of a graph go."""
    return Ranking(
        settings.criterion,
        settings.per_cycle,
        settings.scope,
        base_ticks(graph),
        lambda current: layer_cycles(current, settings.board),
    )


def prune_once(calibration_set: CalibrationSet, settings: Settings, *, fits: bool = True) -> Step:
    """Prune in one shot, without tuning; `fits`: fit the weights anew where the criterion counts on it."""
    graph, pool = calibration_set.graph, calibration_set.pool[:REFINING_FEEDS]
    if settings.criterion != REGRESSION:
        return prune(graph, pool, settings.keep, ranking_of(settings, graph))
    whole = eased(graph, pool)
    step = prune(whole, pool, settings.keep, ranking_of(settings, whole))
    return replace(step, graph=refitted(step.graph, whole, step.kept, calibration_set.pool)) if fits else step


def _pruned(
    calibration_set: CalibrationSet, settings: Settings, progress: Progress, kept: Kept | None
) -> Step:
    progress.at("pruning")
    if settings.rounds <= 1:
        return prune_once(calibration_set, settings)
    effort = settings.float_effort.part(1 / (2 * settings.rounds))

    turns = iter(range(1, settings.rounds))

    def tune(current: Graph) -> Graph:
        student, name = Network(current), f"pruning, round {next(turns)} of {settings.rounds}"
        _tune(student, calibration_set, settings, effort, partial(progress.at, name), _place(kept, name))
        return student.to_graph()

    graph, pool = calibration_set.graph, calibration_set.pool[:REFINING_FEEDS]
    ranking = ranking_of(settings, graph)
    return prune_iteratively(
        graph, pool, settings.keep, tune, ranking, rounds=settings.rounds, rewind=settings.rewind
    )


def _quantized(
    graph: Graph, calibration_set: CalibrationSet, settings: Settings, progress: Progress
) -> Outcome:
    """Calibrate and round; the result still awaits its tuning."""
    progress.at("calibrating")
    bits = 8 if settings.activations == "8" else 16
    plan = make_plan(graph, bits)
    if not plan.linear_positions():
        raise Refusal("this model has no layer that can run in integers; compile its float file instead.")
    seen = observe(Network(graph), activation_tensors(plan), calibration_set.feeds)
    eased = equalise(graph, seen) if settings.equalise else graph
    if bits == 16 and settings.adapt:
        eased = balance_entries(eased, seen)
    if eased is not graph:
        graph, plan = eased, make_plan(eased, bits)
        seen = observe(Network(graph), activation_tensors(plan), calibration_set.feeds)
    notes = [
        f"{len(dead)} of {len(seen.peaks[name])} channels of {name} stay at zero on the calibration data"
        for name, dead in dead_channels(plan, seen).items()
        if name not in graph.input_names
    ]
    estimators = (settings.estimator_16, settings.estimator_8)

    def rounded() -> QuantizedNetwork:
        network = QuantizedNetwork(plan, mixed_scales(plan, seen, estimators))
        if settings.adapt or settings.correct:
            refine(
                network,
                Network(graph),
                calibration_set.feeds[:REFINING_FEEDS],
                adapt=settings.adapt,
                correct=settings.correct,
            )
        return network

    progress.at("rounding")
    network = rounded()
    if settings.activations == "mixed":
        goal = _goal(graph, calibration_set, settings)
        network, note = _narrowed(network, rounded, seen, goal, estimators, progress)
        notes.append(note)
    return Outcome(graph, graph, network, network.to_quantized(), onnx.ModelProto(), [], seen, {}, notes)


def _lent(
    own: Outcome,
    graph: Graph,
    lender: Lender,
    calibration_set: CalibrationSet,
    settings: Settings,
    progress: Progress,
) -> Outcome:
    """Round `graph` anew to a lender's scales; a note says what they cost beside its own."""
    progress.at("rounding to the scales of another model")
    balanced = balanced_as(graph, lender)
    plan = plan_as(balanced, lender)
    seen = observe(Network(balanced), activation_tensors(plan), calibration_set.feeds)
    network = borrowed(plan, lender)
    over, total = clipped(network)
    refine(
        network,
        Network(balanced),
        calibration_set.feeds[:REFINING_FEEDS],
        adapt=settings.adapt,
        correct=settings.correct,
    )
    snr = [calibration_set.compare(one)["snr_db"] for one in (own.network, network)]
    note = (
        f"with the scales of {lender.name} {snr[1]:.1f} dB of signal to noise, with its own {snr[0]:.1f} dB, "
        f"both before tuning: they cost {snr[0] - snr[1]:.1f} dB; {over:,} of {total:,} weights are clipped"
    )
    return replace(own, graph=balanced, network=network, seen=seen, notes=[*own.notes, note])


def _narrowed(
    wide: QuantizedNetwork,
    rounded: Callable[[], QuantizedNetwork],
    seen: Observations,
    goal: Goal,
    estimators: tuple[str, str],
    progress: Progress,
) -> tuple[QuantizedNetwork, str]:
    """Give 8 bits to what the goal allows: the network, and a sentence on what got them.

    Its weights are rounded anew for these widths, or as they were for 16 bits: what harms less.
    """
    plan = wide.plan
    macs = reading_macs(plan)
    choices = search(plan, seen, goal, macs, estimators, lambda s: progress.at("searching widths", s), wide)
    as_they_were = QuantizedNetwork(plan, mixed_scales(plan, seen, estimators))
    as_they_were.take_weights(wide)
    tried = [(goal.harm(network), network) for network in (as_they_were, rounded())]
    least, network = min(tried, key=lambda pair: pair[0])
    lost = f"{goal.told(least)} on the examples it was chosen by, {goal.told(goal.most)} allowed"
    return network, f"{_widths_note(plan, macs, choices)}; {lost}"


def _goal(graph: Graph, calibration_set: CalibrationSet, settings: Settings) -> Goal:
    """What mixed widths may cost: of the data's own measure where there is one, else in noise."""
    examples = calibration_set.width_examples()
    if settings.least_snr_db is None and any(e.truth for e in examples):
        return goal_by_truth(examples, graph, settings.most_loss_percent)
    taught = teach(graph, [e.feed for e in examples])
    least = LEAST_SNR_DB if settings.least_snr_db is None else settings.least_snr_db
    return goal_by_noise(taught, least)


def _widths_note(plan: Plan, macs: dict[str, float], choices: list[Choice]) -> str:
    """One sentence on what got 8 bits."""
    small = [c for c in choices if all(plan.bits[root] == 8 for root in c.roots)]
    share = sum(macs.get(root, 0.0) for c in small for root in c.roots)
    kept = [c.roots[0] for c in sorted(choices, key=lambda c: -c.harm) if c not in small]
    wide = f"; 16 are kept, by what 8 would cost, for {', '.join(kept)}" if kept else ""
    return (
        f"{len(small)} of {len(choices)} groups of tensors have 8 bits, which {share:.0%} of the "
        f"multiply-accumulates read{wide}"
    )


def reading_macs(plan: Plan) -> dict[str, float]:
    """Scale class → share of all multiply-accumulates whose input it is."""
    channels = trace_channels(plan.graph)
    shares: dict[str, float] = {}
    macs = {p: layer_macs(channels, n, layer) for p, n, layer in layers(plan.graph) if p in plan.integer}
    total = float(sum(macs.values())) or 1.0
    for position, count in macs.items():
        root = plan.scale_class[plan.graph.nodes[position].inputs[0]]
        shares[root] = shares.get(root, 0.0) + count / total
    return shares


def finish(outcome: Outcome, settings: Settings) -> None:
    """Write the QDQ model with what was done to it in its metadata."""
    outcome.quantized = outcome.network.to_quantized()
    note = {
        "settings": asdict(settings),
        "stages": [s.record() for s in outcome.stages],
    }
    outcome.model = to_qdq(outcome.quantized, {"quantization": note})
