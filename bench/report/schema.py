"""The report of ``vaectrol bench``, field by field, as it stands in ``report.json``.

Shares are fractions of one core. What is *predicted* comes from the emulated Cortex-M7 and was never measured
on a board; what is *measured* (``live``, ``device``, the loopback) names the machine.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final


class Cpu(TypedDict):
    """Shares of one core: ``worst`` of any callback, ``p99`` of 99 in a hundred, ``headroom`` at worst."""

    mean: float
    worst: float
    p99: float
    headroom: float
    worst_over_mean: float
    mean_cycles: float
    worst_cycles: float


class Layer(TypedDict):
    """One layer, or the scheduler (index −1): means a callback; ``share`` of the model, ``cpu`` of a core."""

    index: int
    name: str
    what: str
    kernel: str
    region: str
    macs: float
    cycles: float
    cycles_per_mac: float | None
    share: float
    cpu: float
    instructions: float
    line_fills: float


class Memory(TypedDict):
    """Bytes of one region: of the board, taken by port and stack, used by the image, left."""

    region: str
    title: str
    bytes: int
    port: int
    used: int
    left: int


class Latency(TypedDict):
    """Where the delay from control to sound comes from."""

    parts_ms: dict[str, float]
    total_ms: float
    filter_bank_group_delay_ms: float
    compiler_samples: float


class Agreement(TypedDict):
    """Outputs compared bit for bit with the host build."""

    compared: int
    differing: int


class Estimate(TypedDict):
    """What the compiler reckons without an emulator."""

    cpu_mean: float
    cpu_worst: float


@final
class StreamPrediction(TypedDict):
    """A model that runs in every callback; ``traffic``, ``stalls`` and layers are means a callback."""

    model: str
    block: int
    callbacks: int
    clock_hz: float
    cycles_per_callback: float
    cpu: Cpu
    callback_cycles: list[int]
    layers: list[Layer]
    memory: list[Memory]
    stack_bytes: int
    latency: Latency
    traffic: dict[str, dict[str, int]]
    stalls: dict[str, int]
    bit_exact: Agreement
    macs_per_sample: float
    parameters: int
    weight_bytes: int
    state_bytes: int
    heap_bytes: int
    compiler_estimate: Estimate


@final
class EventPrediction(TypedDict):
    """A model that decodes events in steps spread over callbacks; ``cpu`` is of its steps."""

    model: str
    block: int
    event: Literal[True]
    bit_exact: Agreement
    clock_hz: float
    cycles_per_callback: float
    steps: list[int]
    cycles: int
    milliseconds_alone: float
    cpu: Cpu
    memory: list[Memory]
    parameters: int
    weight_bytes: int
    state_bytes: int
    heap_bytes: int


Prediction = StreamPrediction | EventPrediction


class BlockRow(TypedDict):
    """One block size: figures, or why not."""

    block: int
    cpu_mean: NotRequired[float]
    cpu_worst: NotRequired[float]
    latency_ms: NotRequired[float]
    refused: NotRequired[str]


class FormatRow(TypedDict):
    """One format of the same model: predicted cost, or why there is none."""

    cpu_mean: NotRequired[float]
    cpu_worst: NotRequired[float]
    weight_bytes: NotRequired[int]
    state_bytes: NotRequired[int]
    refused: NotRequired[str]


Measures = dict[str, float]
"""A measure of ``bench.quality.MEASURES`` → its value."""


class Quality(TypedDict):
    """How every format differs from float, and all of them from the data where there are any."""

    inputs: str
    items: int
    output: str
    formats: dict[str, Measures]
    recordings: NotRequired[dict[str, Measures]]


class Timing(TypedDict):
    """Measured times of callbacks in microseconds; ``xruns`` took longer than their period."""

    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    jitter_us: float
    xruns: int
    load: float
    callbacks: int


class Machine(TypedDict):
    """What was measured on."""

    processor: str
    cores: int | None
    governor: str
    system: str
    load_of_a_minute: NotRequired[float | None]


class SideBySide(TypedDict):
    """Ours and other runtimes at one block; who is absent, and why."""

    block: int
    rows: dict[str, Timing]
    absent: dict[str, str]


class Live(TypedDict):
    """Measured on this machine."""

    machine: Machine
    core: int | None
    block: int
    ours: Timing
    side_by_side: SideBySide


class ModelPart(TypedDict):
    """Everything about one model file."""

    file: str
    predicted: NotRequired[Prediction]
    formats: NotRequired[dict[str, FormatRow]]
    sweep: NotRequired[list[BlockRow]]
    quality: NotRequired[Quality]
    live: NotRequired[Live]


class InstrumentPart(TypedDict):
    """A whole instrument on the emulated module: engine, controls and every voice."""

    script: str
    block: int
    seconds: float
    traced_from_s: float
    callbacks_traced: int
    cpu: Cpu
    callback_cycles: list[int]
    cycles_per_callback: float
    cpu_by_function: dict[str, float]
    samples_that_differ_from_host: int
    largest_difference_from_host: float


class Emulated(TypedDict):
    """What ``vaectrol emulate`` writes beside the sound."""

    version: str
    instrument: str
    board: str
    block: int
    seconds: float
    traced_from_s: float
    callbacks_traced: int
    predicted_cpu: Cpu | None
    predicted_cycles: list[int]
    cpu_by_function: dict[str, float]
    largest_difference_from_host: float
    samples_that_differ: int
    equals_host: bool
    complaint: str | None
    peak: float


class Who(TypedDict):
    """What a module says of itself."""

    board: str
    instrument: str
    model: str
    version: str


class Shares(TypedDict):
    """Measured shares of a callback."""

    mean: float
    worst: float
    p99: float


class Device(TypedDict):
    """Measured by the module itself; with ``incomplete`` alone where nobody answered.

    ``layers`` are [mean, worst] of each, in cycles of a callback.
    """

    who: NotRequired[Who]
    block: NotRequired[int]
    callbacks: NotRequired[int]
    clock_hz: NotRequired[float]
    cycles_per_callback: NotRequired[float]
    cpu: NotRequired[Shares]
    layers: NotRequired[list[list[float]]]
    answers: NotRequired[int]
    incomplete: NotRequired[str]


class Report(TypedDict):
    """The whole file."""

    format: int
    kind: str
    target: str
    board: str
    board_title: str
    line_fill_cycles: dict[str, int]
    version: str
    models: dict[str, ModelPart]
    instrument: NotRequired[InstrumentPart]
    device: NotRequired[Device]


class Spread(TypedDict):
    """Of delays found."""

    median: float
    min: float
    max: float
    spread: float


class RoundTrip(TypedDict):
    """Delays through a loopback cable; ``histogram`` holds [samples, count]."""

    samples: Spread
    ms: Spread
    histogram: list[list[int]]
    found: int
    lost: int
    incomplete: NotRequired[str]


class LatencyReport(RoundTrip):
    """A round trip with its settings: what ``vaectrol latency`` writes."""

    kind: str
    device: str
    rate_hz: int
    block: int
    periods: int
    repeats: int
    buffers_ms: float
    beyond_buffers_ms: float
    xruns: int
    fifo: bool
    machine: Machine
