"""What a model file says about itself: its ``vaectrol.*`` metadata, read and written here alone.

The contract is docs/design.md#model-file.

Every value is JSON. Keys that nobody here knows are kept as they are; a damaged value of a known one is
refused in one sentence that names it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal

if TYPE_CHECKING:
    import onnx

PREFIX = "vaectrol."
EVENT = "event"
"""Rate of what is read or written once per event."""


class _Part(BaseModel):
    """Frozen; what it does not know is kept."""

    model_config = ConfigDict(
        frozen=True, extra="allow", populate_by_name=True, coerce_numbers_to_str=True, allow_inf_nan=True
    )


def _rise(table: list[float]) -> list[float]:
    if any(after < before for before, after in pairwise(table)):
        raise ValueError("a table of quantiles rises")
    return table


Quantiles = Annotated[list[FiniteFloat], Field(min_length=2), AfterValidator(_rise)]
"""Values at evenly spaced travel."""


class TensorSpec(_Part):
    """One input or output of the graph.

    Attributes
    ----------
    role : str
        ``latent``, ``class``, ``attribute``, ``condition``, ``audio``, ``pattern``, ``bend``, ``state``;
        "": not stated.
    rate : str
        Frames per sample, ``"1/48"`` or ``"1"``; ``"event"``; "": not stated.
    range : pair of float or None
        What its values stay within.
    channels : list of str
        A name each, classes as ``class:NAME``; empty: not stated.
    """

    name: str
    role: str = ""
    rate: str = ""
    range: tuple[float, float] | None = None
    channels: list[str] = []

    @field_validator("rate", mode="before")
    @classmethod
    def _none_is_not_stated(cls, rate: object) -> object:
        return "" if rate is None else rate

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, rate: str) -> str:
        if rate not in ("", EVENT):
            try:
                positive = Fraction(rate) > 0
            except (ValueError, ZeroDivisionError):
                positive = False
            if not positive:
                raise ValueError("a rate is 'event' or frames per sample, such as '1/48'")
        return rate

    @property
    def is_event(self) -> bool:
        """Whether it is read or written once per event."""
        return self.rate == EVENT

    @property
    def frames_per_sample(self) -> Fraction | None:
        """The rate as a number; None for an event and where it is not stated."""
        return None if self.rate in ("", EVENT) else Fraction(self.rate)

    @property
    def limits(self) -> tuple[float, float]:
        """The range where one is stated that is finite and not empty, else −1 … 1."""
        low, high = self.range or (-1.0, 1.0)
        return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else (-1.0, 1.0)


class Latent(_Part):
    """One row of the latent table, which is in order of importance.

    Attributes
    ----------
    mean, std : float
        Over the training data.
    sign : str
        What grows with it, in words.
    quantiles : list of float
        Values at evenly spaced travel, rising.
    rest : float or None
        Where it stays while nobody moves it; None: at the mean.
    """

    name: str = ""
    mean: FiniteFloat = 0.0
    std: FiniteFloat = 1.0
    sign: str = ""
    variance_share: float = 0.0
    quantiles: Quantiles
    rest: FiniteFloat | None = None

    @property
    def at_rest(self) -> float:
        """Where it stays while nobody moves it."""
        return self.mean if self.rest is None else self.rest


class Attribute(_Part):
    """One named attribute that the model was taught to follow.

    Attributes
    ----------
    quantiles : list of float
        Values at evenly spaced travel, rising.
    default : float
        Value at rest.
    values : list of float
        What is measured at those values; empty: not stated.
    group_values : dict of str to list of float
        The same for each group of sounds, where the law differs: each class of drums has its own middle.
    """

    name: str
    quantiles: Quantiles
    default: FiniteFloat = 0.0
    range: tuple[float, float] = (-1.0, 1.0)
    values: list[float] = []
    group_values: dict[str, list[float]] = {}
    definition: str = ""


class Bend(_Part):
    """One channel of the input by which inner signals of the model are bent.

    Attributes
    ----------
    name : str
        As controls name it: ``bend.1.scale``.
    site : str
        Tensor of the graph that it bends.
    table : list of float
        Values at evenly spaced travel; in the middle stands the neutral one.
    words : str
        What it does, for those who play.
    """

    name: str
    site: str = ""
    table: Annotated[list[FiniteFloat], Field(min_length=2)]
    neutral: FiniteFloat = 0.0
    words: str = ""


class Plane(_Part):
    """The 2-D map: a latent vector for every place, row by row, ``grid[y][x][latent]``."""

    size: int = Field(ge=2)
    grid: list[list[list[FiniteFloat]]]

    @model_validator(mode="after")
    def _is_square(self) -> Plane:
        lengths = {len(vector) for row in self.grid for vector in row}
        square = [len(row) for row in self.grid] == [self.size] * self.size
        if not square or len(lengths) != 1:
            raise ValueError(f"a map of size {self.size} has so many rows of so many vectors of one length")
        return self


class PriorTables(_Part):
    """What ties a prior's frames to the latents.

    Attributes
    ----------
    ticks : int
        Samples of one of its frames.
    widest, narrowest : float
        A spread is ``narrowest`` plus ``widest`` times what the network says.
    temperatures : list of float
        At which ``own`` was measured, rising.
    own : list
        Quantiles of what it says by itself, ``[temperature][latent][place]``.
    data : list
        Those of what it learnt from, ``[latent][place]``.
    """

    ticks: int = Field(ge=1)
    widest: float = Field(gt=0)
    narrowest: float = Field(gt=0)
    temperatures: Annotated[list[FiniteFloat], Field(min_length=2), AfterValidator(_rise)]
    own: list[list[Quantiles]]
    data: list[Quantiles]


class CodeTables(_Part):
    """Nested codes of latents, and what each of the first book was cut from.

    Attributes
    ----------
    ticks : int
        Samples of a frame of the latents.
    side : int
        Codes along an edge of the map on which those of the first book lie.
    books : list
        ``[book][code][latent]``: a frame of latents is the sum of a code of each.
    lead : int
        Frames of a gesture before it is heard.
    gestures : list
        ``[code][frame][book]``: a moment of a recording at which the first code was the nearest.
    loudness : list
        ``[code][frame]``, its fall below its loudest frame, in sixteenths of a factor of e.
    voicing : list
        ``[code][frame]``, 0 … 255.
    """

    ticks: int = Field(ge=1)
    side: int = Field(ge=2, le=32)
    books: Annotated[list[list[list[FiniteFloat]]], Field(min_length=1)]
    lead: int = Field(ge=0)
    gestures: list[list[list[int]]]
    loudness: list[list[int]]
    voicing: list[list[int]]


class ModelMetadata(_Part):
    """All of it; empty where the file does not say.

    Attributes
    ----------
    kind, part : str
        ``drum``, ``rhythm``, ``drive`` …; ``decoder``, ``encoder`` …
    latency_samples : float
        Of the model itself, beside what streaming adds.
    plane : Plane or None
        Under the key ``map``.
    bends : list of Bend
        Channels of the input whose role is ``bend``, in their order.
    prior : PriorTables or None
        Of a prior.
    codes : CodeTables or None
        Of codes.
    habits : list of list of float
        Of a voice: how the loudness of its notes moves, a row each for peak, depth and time of the attack,
        decay, release; columns are the latents, octaves above 220 Hz, their square, and 1.
    voice_codec : str
        Of an expression: the codec of the voice whose latents it is told.
    recipe, data, metrics, quantization : dict
        How it was made, for whoever wants to make it again.
    """

    format: int = 1
    kind: str = ""
    name: str = ""
    title: str = ""
    part: str = ""
    version: str = ""
    codec: str = ""
    sample_rate_hz: float = SAMPLE_RATE_HZ
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    latents: list[Latent] = []
    attributes: list[Attribute] = []
    classes: list[str] = []
    bends: list[Bend] = []
    plane: Plane | None = Field(None, alias="map")
    prior: PriorTables | None = None
    codes: CodeTables | None = None
    habits: list[list[FiniteFloat]] = []
    voice_codec: str = ""
    latency_samples: float = 0.0
    licence: str = ""
    credits: list[str] = []
    recipe: dict[str, Any] = {}
    data: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    quantization: dict[str, Any] = {}

    def input(self, name: str) -> TensorSpec | None:
        """Return the input of this name."""
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    def input_with(self, *roles: str) -> TensorSpec | None:
        """Return the first input whose role is one of `roles`."""
        return next((tensor for tensor in self.inputs if tensor.role in roles), None)

    def output_with(self, *roles: str) -> TensorSpec | None:
        """Return the first output whose role is one of `roles`."""
        return next((tensor for tensor in self.outputs if tensor.role in roles), None)

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute of this name."""
        return next((attribute for attribute in self.attributes if attribute.name == name), None)


def key(name: str) -> str:
    """How a key is written in the file, for sentences that name one."""
    return PREFIX + name


def read(model: onnx.ModelProto, where: str = "the model") -> ModelMetadata:
    """Read what a model says about itself; `where` begins the sentence about damage.

    Raises
    ------
    Refusal
        A value that is not JSON, or not what its key stands for.
    """
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(PREFIX):
            try:
                found[entry.key.removeprefix(PREFIX)] = json.loads(entry.value)
            except (json.JSONDecodeError, RecursionError):
                raise Refusal(
                    f"{where}: its metadata {entry.key} is not JSON; write the file again."
                ) from None
    try:
        return ModelMetadata.model_validate({k: value for k, value in found.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise Refusal(
            f"{where}: its metadata {PREFIX}{place} is damaged ({reason}); write the file again."
        ) from None


def read_file(path: Path) -> ModelMetadata:
    """Read what a model file says about itself, weights beside it or not.

    Raises
    ------
    Refusal
        No such file, not ONNX, or damaged metadata.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise Refusal(f"there is no model file {path}.") from None
    except Exception as error:
        raise Refusal(
            f"{path.name} is not a readable ONNX file ({type(error).__name__}); export it again."
        ) from None
    return read(model, path.name)


def write(model: onnx.ModelProto, values: Mapping[str, Any]) -> None:
    """Set the metadata `values` (keys without the prefix), None left out; what else a model says stays."""
    stated = {PREFIX + name: json.dumps(value) for name, value in values.items() if value is not None}
    kept = {entry.key: entry.value for entry in model.metadata_props}
    added = {name: stated[name] for name in sorted(stated.keys() - kept.keys())}
    del model.metadata_props[:]
    for name, text in ({**kept, **added} | {name: stated[name] for name in stated}).items():
        model.metadata_props.add(key=name, value=text)


def copy(source: onnx.ModelProto, target: onnx.ModelProto) -> None:
    """Let `target` say of itself what `source` does, ours and others'."""
    for entry in source.metadata_props:
        target.metadata_props.add(key=entry.key, value=entry.value)
