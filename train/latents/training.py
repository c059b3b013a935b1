"""What trainings share that start from the latents of a model that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from common.refusal import Refusal
from train.latents.codec import Codec
from train.training import Training

if TYPE_CHECKING:
    from train.data.store import DataSet

UNNAMED_LATENTS = 8
"""Of a recipe that names no codec, to predict what it would cost."""


class LatentTraining(Training):
    """A training that hears its data through another model's encoder (the recipe's ``codec``).

    Attributes
    ----------
    codec : Codec or None
        The model that it starts from; None where a finished run says its facts.
    told : dict
        Facts of a finished run.
    """

    start_setting: ClassVar[str] = "codec"

    def __init__(self, recipe: Any, facts: dict[str, Any] | None = None):
        self.codec = Codec.open(recipe.codec) if recipe.codec and not facts else None
        self.told = facts or {}
        super().__init__(recipe, facts)
        self.data: DataSet | None = None

    @property
    def latents(self) -> int:
        """Size of z."""
        if self.codec is not None:
            return len(self.codec.about.latents)
        return len(self.told["latents"]) if self.told else UNNAMED_LATENTS

    @classmethod
    def check_data(cls, data: DataSet | None, words: str) -> None:
        """Any will do that the codec hears; the codec says which."""
        if data is None:
            raise Refusal(f"{words} the data of the model that it starts from; name them with --data")

    def facts_of(self, codec: Codec, ticks: int) -> dict[str, Any]:
        """What a run keeps of the codec, whose frames are `ticks` samples apart."""
        about = codec.about
        latents = [row.model_dump() for row in about.latents]
        return {**self.facts, "codec": about.codec, "of": about.kind, "latents": latents, "ticks": ticks}
