"""What ``report.json`` of a compiled model holds, key by key; plain data and cheap to import.

All cycles are predicted. Keys marked NotRequired are those of a stream alone, or of an event model alone.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class CallbackReport(TypedDict):
    """Cycles of a callback."""

    mean: float
    worst: float
    worst_over_mean: float


class StepsReport(TypedDict):
    """An event's steps: cycles of the longest, and their number."""

    worst: float
    steps: int


class RegionReport(TypedDict):
    """Bytes of a memory region; ``left`` is None where no board sets a limit."""

    used: int
    left: int | None


class PlacedReport(TypedDict):
    """Something in memory, the layer it belongs to, its region, and why it lies there."""

    name: str
    layer: str
    region: str
    bytes: int
    bytes_per_second: float
    why: str


class MemoryReport(TypedDict):
    """The memory plan."""

    regions: dict[str, RegionReport]
    tensors: list[PlacedReport]


class LayerReport(TypedDict):
    """What a layer is, how often it fires, what it costs.

    ``name`` is the compiler's, ``origin`` the file's name of the tensor that it makes; an event model costs
    nothing by the second.
    """

    index: int
    name: str
    origin: str
    op: str
    what: str
    kernel: str
    weight_bytes: int
    cycles_per_second: float
    firings_per_second: NotRequired[float]
    macs_per_second: NotRequired[float]
    cycles_per_event: NotRequired[float]
    macs_per_event: NotRequired[float]
    firings_per_event: NotRequired[int]


class ProofReport(TypedDict):
    """The overflow proof of an integer layer: Σ|w|·max|x| + |b| of each output channel, against 2^31."""

    layer: str
    largest_sum: int
    limit: int
    headroom_bits: float
    shift: int
    accumulator_bits: int
    per_channel: list[int]


class ClockReport(TypedDict):
    """When some layers fire, in ticks; a sliced clock spreads its items over the period."""

    period: int
    offset: int
    sliced: bool
    items: int
    layers: list[str]


class RingReport(TypedDict):
    """The memory of a tensor between chunks."""

    tensor: str
    keep_frames: int
    frames: int
    bytes: int


class SpecReport(TypedDict):
    """An input or output: ``name`` in C, ``label`` in the file; frames of an event, ticks of a stream."""

    name: str
    label: str
    direction: Literal["input", "output"]
    channels: int
    period_ticks: NotRequired[int]
    latency_ticks: NotRequired[int]
    frames: NotRequired[int]


class FootprintReport(TypedDict):
    """Code and stack on a Cortex-M7 (``plan/footprint.py``)."""

    text_bytes: int
    stack_bytes: int
    deepest: list[str]


class SoundReport(TypedDict):
    """What the engine adds to a drum's network: cycles of a frame of a sounding hit, and of an evaluation."""

    frame_samples: int
    cycles_per_frame: float
    cycles_per_evaluation: float


class WitnessReport(TypedDict):
    """Who held the reading of the file to its numbers, on which lengths; the largest difference, of the peak.

    Where there was no witness, ``by`` is empty and ``unheard`` says why.
    """

    by: str
    frames: list[int]
    largest_difference: float
    unheard: str


class Report(MemoryReport):
    """Everything the compiler knows of a model."""

    version: str
    name: str
    kind: str | None
    target: str
    event: bool
    board: str | None
    block: int
    sample_rate_hz: int
    ticks_per_sample: str
    parameters: int
    macs_per_sample: float
    cycles_per_second: float
    cycles_per_callback: CallbackReport
    cpu_mean: float | None
    cpu_worst: float | None
    cost_model: str
    latency_samples: float
    latency_of_output: dict[str, float]
    state_bytes: int
    weight_bytes: int
    parameter_bytes: int
    heap_bytes: int
    layers: list[LayerReport]
    overflow_proofs: list[ProofReport]
    ports: list[SpecReport]
    witness: NotRequired[WitnessReport]
    # of a stream
    clocks: NotRequired[list[ClockReport]]
    rings: NotRequired[list[RingReport]]
    inputs: NotRequired[list[str]]
    outputs: NotRequired[list[str]]
    # of an event model
    macs_per_event: NotRequired[float]
    cycles_per_event: NotRequired[float]
    cycles_per_step: NotRequired[StepsReport]
    callbacks_at_10_percent: NotRequired[float | None]
    sound: NotRequired[SoundReport]
    # for the target m7, once its image was linked
    m7: NotRequired[FootprintReport]
