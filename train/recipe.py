"""Recipes: what to train and how, in TOML; read, overridden and checked here.

A recipe names its ``kind``; the kind's task (``train/tasks/``) says which further sections it has. Every
error is one sentence naming the file, the setting and what it should be.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

HERE = Path(__file__).parent / "recipes"


class Section(BaseModel):
    """A part of a recipe: unknown settings are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FitSection(Section):
    """How long and how fast to train."""

    steps: int = Field(default=3000, gt=0, description="batches to train on")
    batch: int = Field(default=16, gt=0, description="items in a batch")
    start: str = Field(
        default="", description="run or .onnx to take the first weights from; empty starts untrained"
    )
    learning_rate: float = Field(default=2e-3, gt=0)
    warmup_steps: int = Field(default=50, ge=0, description="steps over which the learning rate rises from 0")
    final_rate: float = Field(default=0.03, ge=0, le=1, description="last learning rate over the first")
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    interval: int = Field(default=200, gt=0, description="steps between validations and checkpoints")
    patience: int = Field(
        default=0, ge=0, description="validations without progress before stopping; 0 never stops"
    )
    validation_items: int = Field(default=128, gt=0, description="at most so many items are validated on")
    workers: int = Field(default=0, ge=0)
    accelerator: str = "auto"
    devices: int | Literal["auto"] = "auto"
    precision: str = "32-true"


class KlSection(Section):
    """The pull towards the prior."""

    beta: float = Field(default=1.0, ge=0)
    warmup: float = Field(
        default=0.3, ge=0, le=1, description="part of the training over which beta rises from 0"
    )
    free_bits: float = Field(default=0.0, ge=0, description="nats per latent that cost nothing")


class FaderSection(Section):
    """Adversary that keeps the attributes out of the latents (Lample et al. 2017; Devis et al. 2023)."""

    weight: float = Field(
        default=0.0, ge=0, description="how hard the encoder works against it; 0 leaves it out"
    )
    warmup: float = Field(default=0.3, ge=0, le=1)
    bins: int = Field(default=8, ge=2, description="quantile bins that the adversary tells apart")
    hidden: int = Field(default=64, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    rounds: int = Field(default=1, gt=0, description="adversary steps per step")


class BudgetSection(Section):
    """The board the model must fit; asked before training."""

    board: str = "patch_sm"
    block: int = Field(default=48, gt=0)
    cpu: float = Field(default=1.0, gt=0, description="part of the processor it may use")


class Recipe(Section):
    """What every kind of recipe has."""

    kind: str
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="names the run's files")
    title: str = ""
    licence: str = Field(default="", description="of the trained model; empty takes the data set's")
    seed: int = Field(default=1, ge=0)
    fit: FitSection = FitSection()
    kl: KlSection = KlSection()
    budget: BudgetSection = BudgetSection()

    def as_toml(self) -> str:
        """Write the resolved recipe as TOML."""
        return _toml(self.model_dump(mode="json"))


def available_recipes() -> list[str]:
    """Names of the recipes that come with Vaectrol."""
    return sorted(p.stem for p in HERE.glob("*.toml"))


def explain(error: ValidationError, where: str) -> str:
    """Turn a pydantic error into one sentence."""
    problems = error.errors()
    first = problems[0]
    setting = ".".join(str(part) for part in first["loc"]) or "the recipe"
    if first["type"] == "extra_forbidden":
        message = "is not a setting; remove it or fix its name"
    elif first["type"] == "missing":
        message = "is missing; add it"
    else:
        message = (
            f"= {json.dumps(first.get('input'), default=str)}: {first['msg'][0].lower()}{first['msg'][1:]}"
        )
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {setting} {message}{more}"


def _toml(values: dict[str, Any]) -> str:
    """Write nested dictionaries of scalars and lists; TOML has no null, so None is left out."""

    def scalar(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def name(key: str) -> str:
        return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)

    lines: list[str] = []

    def table(items: dict[str, Any], prefix: str) -> None:
        tables = {k: v for k, v in items.items() if isinstance(v, dict)}
        lines.extend(
            f"{name(k)} = {scalar(v)}" for k, v in items.items() if k not in tables and v is not None
        )
        for key, inner in tables.items():
            lines.extend(["", f"[{prefix}{name(key)}]"])
            table(inner, f"{prefix}{name(key)}.")

    table(values, "")
    return "\n".join(lines) + "\n"
