"""What ``firmware.compiler.budget`` answers; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware.compiler.report import LayerReport, RegionReport


@dataclass(frozen=True)
class Budget:
    """What a model would cost on a board: predicted, from the compiler's schedule and memory plan.

    Attributes
    ----------
    parameters : int
        Weights and biases.
    macs_per_sample, cycles_per_second : float
        Both 0 for a model that computes events, a slice a callback.
    macs_per_event : float
        Of such a model; 0 for a stream.
    cpu_mean, cpu_worst : float
        Fractions of one core; worst is that of the costliest callback.
    weight_bytes, state_bytes : int
    regions : dict of region name to RegionReport
    latency_samples : float
        Delay the compiler adds; a causal model that needs no slicing has none.
    layers : list of LayerReport
        Cost of each layer, in order; ``origin`` is the file's name of the tensor that it makes.
    fits : bool
        Worst callback below the board's time, memory found for everything.
    reasons : list of str
        Why it does not fit, in sentences.
    """

    parameters: int
    macs_per_sample: float
    cycles_per_second: float
    cpu_mean: float
    cpu_worst: float
    weight_bytes: int
    state_bytes: int
    regions: dict[str, RegionReport]
    latency_samples: float
    layers: list[LayerReport] = field(default_factory=list)
    fits: bool = True
    reasons: list[str] = field(default_factory=list)
    macs_per_event: float = 0.0

    @property
    def macs(self) -> str:
        """Multiply-accumulates in words: a sample's, or an event's."""
        if self.macs_per_event:
            return f"{self.macs_per_event:,.0f} MAC per event"
        return f"{self.macs_per_sample:,.0f} MAC per sample"
