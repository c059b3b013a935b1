"""Sweep files: which settings of a recipe are searched, over what, and how patiently; checked here.

::

    trials = 24

    [space]
    "model.channels" = [8, 12, 16]
    "fit.learning_rate" = { low = 1e-3, high = 1e-2, log = true }

A path is written as ``--set`` has it. A list is a choice; a table is a range, of whole numbers when both its
ends are.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from common.refusal import Refusal
from train.kinds import parse_recipe
from train.recipe import HERE, Recipe, Section, explain

if TYPE_CHECKING:
    from optuna.trial import Trial

SWEEPS = HERE / "sweeps"
FIXED = ("kind", "name", "title", "licence", "budget")  # what makes trials comparable


class Range(Section):
    """Numbers between two ends."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class PruneSection(Section):
    """When a trial is stopped early: see ``train.search.study.hopeless``."""

    rivals: int = Field(
        default=4, ge=0, description="trials to be compared with before one is stopped; 0 never stops"
    )
    grace: float = Field(default=0.25, ge=0, le=1, description="part of the training that each trial gets")


class Sweep(Section):
    """A sweep file."""

    trials: int = Field(default=24, gt=0, description="finished, stopped and refused together")
    startup: int = Field(default=8, gt=0, description="drawn at random before the sampler learns from them")
    seed: int = Field(default=1, ge=0)
    silence_minutes: float = Field(
        default=15.0, gt=0, description="a trial on another machine that is silent for so long has died"
    )
    prune: PruneSection = PruneSection()
    space: dict[str, Any]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Let the trial choose a value for every path."""
        return {path: _suggest(trial, path, where) for path, where in self.space.items()}

    def own_values(self, recipe: Recipe) -> dict[str, Any] | None:
        """The recipe's own point in the space, as parameters of a trial; None when it lies outside."""
        out = {}
        for path, where in self.space.items():
            value = setting(recipe, path)
            if isinstance(where, Range):
                if not where.low <= value <= where.high:
                    return None
                out[path] = int(value) if where.whole else float(value)
            elif value in where:
                out[path] = _as_choice(value)
            else:
                return None
        return out


def load_sweep(source: str | Path, recipe: Recipe) -> Sweep:
    """Read a sweep by path or by the name of one that comes with Vaectrol, and hold it against a recipe.

    Raises
    ------
    Refusal
        In one sentence, whatever is wrong with it: a path that is no setting of the recipe, an empty space,
        a value that the setting cannot have.
    """
    path = Path(source)
    if path.suffix != ".toml":
        path = SWEEPS / f"{source}.toml"
        if not path.exists():
            names = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
            raise Refusal(f"there is no sweep named '{source}'; there are {names}, or give a .toml file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refusal(f"there is no sweep file {path}; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"the sweep {path} cannot be read ({error}); check the file") from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"{path} is not valid TOML: {error}; fix that line") from None
    if not values.get("space"):
        raise Refusal(f'{path}: [space] is empty; name what to search, as in "fit.batch" = [8, 16]')
    values["space"] = _flat(values["space"]) if isinstance(values["space"], dict) else values["space"]
    try:
        read = Sweep.model_validate(values)
    except ValidationError as error:
        raise Refusal(explain(error, str(path))) from None
    space = {name: _range(where, f"{path}, {name}") for name, where in read.space.items()}
    sweep = read.model_copy(update={"space": space})
    for name, where in sweep.space.items():
        _check(name, where, recipe, path)
    return sweep


def setting(recipe: Recipe, path: str) -> Any:
    """Value of a setting by its path.

    Raises
    ------
    KeyError
        When the recipe has none of that name.
    """
    place: Any = recipe.model_dump(mode="json")
    for key in path.split("."):
        if not isinstance(place, dict):
            raise KeyError(path)
        place = place[key]
    return place


def candidate(recipe: Recipe, values: dict[str, Any], where: str = "the sweep") -> Recipe:
    """The recipe with some settings changed, by path.

    Raises
    ------
    Refusal
        When they do not go together.
    """
    changed = recipe.model_dump(mode="json")
    for path, value in values.items():
        *sections, key = path.split(".")
        place = changed
        for section in sections:
            place = place[section]
        place[key] = value
    return parse_recipe(changed, where)


def _check(name: str, where: Any, recipe: Recipe, path: Path) -> None:
    """Refuse a path or a value that the recipe cannot have."""
    try:
        now = setting(recipe, name)
    except KeyError:
        close = difflib.get_close_matches(name, _paths(recipe.model_dump(mode="json")), 1, 0.5)
        hint = f"did you mean {close[0]}?" if close else "remove it or fix its name"
        raise Refusal(f"{path}: {name} is not a setting of {recipe.name}; {hint}") from None
    if isinstance(now, dict):
        raise Refusal(f"{path}: {name} is a section of {recipe.name}; name one of its settings")
    if name.split(".")[0] in FIXED:
        raise Refusal(f"{path}: {name} must be the same in all trials; leave it out and change the recipe")
    if isinstance(where, Range):
        if not where.low < where.high:
            raise Refusal(f"{path}: {name} goes from {where.low} to {where.high}; low must lie below high")
        if where.log and (where.low <= 0 or where.step):
            raise Refusal(f"{path}: {name} cannot be logarithmic with low at or below 0 or with a step")
        tried = [where.low, where.high]
    elif isinstance(where, list):
        if not where:
            raise Refusal(f"{path}: {name} has no values; give at least one")
        tried = where
    else:
        raise Refusal(f"{path}: {name} = {json.dumps(where)} is no list of choices and no range; write one")
    for value in tried:
        candidate(recipe, {name: value}, f"{path}, {name}")


def _range(where: Any, place: str) -> Any:
    """A table of a space as a range."""
    if not isinstance(where, dict):
        return where
    try:
        return Range.model_validate(where)
    except ValidationError as error:
        raise Refusal(explain(error, place)) from None


def _flat(space: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Paths of a space that was written in tables: ``model.low = [...]`` means ``"model.low" = [...]``."""
    out: dict[str, Any] = {}
    for key, value in space.items():
        if isinstance(value, dict) and any(isinstance(v, list | dict) for v in value.values()):
            out.update(_flat(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


def _paths(values: dict[str, Any], prefix: str = "") -> list[str]:
    out = []
    for key, value in values.items():
        out += _paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return out


def _as_choice(value: Any) -> Any:
    """Lists as JSON text: a database holds no other."""
    return json.dumps(value) if isinstance(value, list) else value


def _suggest(trial: Trial, path: str, where: Range | list[Any]) -> Any:
    if isinstance(where, Range):
        if where.whole:
            step = int(where.step or 1)
            return trial.suggest_int(path, int(where.low), int(where.high), step=step, log=where.log)
        return trial.suggest_float(path, where.low, where.high, step=where.step, log=where.log)
    chosen = trial.suggest_categorical(path, [_as_choice(value) for value in where])
    return next(value for value in where if _as_choice(value) == chosen)
