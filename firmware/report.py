"""What ``report.json`` of a built instrument holds, key by key; cycles are predicted, all voices sounding."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from firmware.compiler.report import CallbackReport, RegionReport


class InstrumentCallbackReport(TypedDict):
    """Cycles of a callback: of all, of the engine around the models, and what there are."""

    mean: float
    worst: float
    available: float
    engine: float


class ModelReport(TypedDict):
    """One of the instrument's models."""

    file: str
    parameters: int
    macs_per_sample: float
    weight_bytes: int
    state_bytes: int
    cycles_per_callback: CallbackReport


class ImageReport(TypedDict):
    """The linked image of a Daisy: bytes of it, of what it may have, and of every region."""

    boot: str
    bytes: int
    of: int
    regions: dict[str, RegionReport]
    stack_bytes: int
    runs_from_itcm: list[str]


class PluginReport(TypedDict):
    """A plug-in's file: its bytes, and those of each section that the module loads."""

    bytes: int
    sections: dict[str, int]


class InstrumentReport(TypedDict):
    """Memory, processor and latency of an instrument on a board."""

    version: str
    instrument: str
    kind: str
    board: str
    block: int
    cycles_per_callback: InstrumentCallbackReport
    cpu_mean: float
    cpu_worst: float
    worst_over_mean: float
    latency_samples: float
    regions: dict[str, RegionReport]
    voices: int | None
    voices_asked: int | None
    parameters: list[str]
    not_on_this_board: list[str]
    models: dict[str, ModelReport]
    cost_model: str
    # once it is linked
    image: NotRequired[str | None]
    image_missing: NotRequired[str]
    linked: NotRequired[ImageReport]
    plugin: NotRequired[PluginReport]
    bench_image: NotRequired[str]
