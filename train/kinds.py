"""The kinds of training, found by the files of ``tasks/``, and the recipes that are read with them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import train.tasks
from common.kinds import check_kind, class_of, kinds_in, singular
from common.refusal import Refusal
from train.recipe import HERE, Recipe, available_recipes, explain

if TYPE_CHECKING:
    from train.training import Training


def training_kinds() -> tuple[str, ...]:
    """Names of all kinds of training: one file of ``tasks/`` each."""
    return kinds_in(train.tasks.__path__)


def task_class(kind: str) -> type[Training]:
    """Import a kind's file and give the training that it defines.

    Raises
    ------
    Refusal
        When there is no such kind.
    """
    from train.training import Training

    return class_of(f"train.tasks.{check_kind(kind, training_kinds())}", Training)


def trained_as(kind: str) -> type[Training] | None:
    """Give the training that trains models of this kind; None for one from elsewhere, whose kind is ""."""
    return task_class(kind) if kind in training_kinds() else None


def load_recipe(source: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe by path or by the name of one that comes with Vaectrol.

    Parameters
    ----------
    source : str or Path
        ``drum_quick`` or ``path/to/mine.toml``.
    overrides : list of str, optional
        ``section.setting=value`` with a TOML value (a bare word counts as a string).

    Returns
    -------
    Recipe
        Of the kind's own class.

    Raises
    ------
    Refusal
        In one sentence, whatever is wrong with it.
    """
    path = Path(source)
    if path.suffix != ".toml" and not path.exists():
        path = HERE / f"{source}.toml"
        if not path.exists():
            raise Refusal(
                f"there is no recipe named '{source}'; there are {', '.join(available_recipes())}, "
                "or give the path of a .toml file"
            )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refusal(f"there is no recipe file {path}; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"the recipe {path} cannot be read ({error}); check the file") from None
    except tomllib.TOMLDecodeError as error:
        raise Refusal(f"{path} is not valid TOML: {error}; fix that line") from None
    for override in overrides or []:
        _override(values, override)
    return parse_recipe(values, str(path))


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Check a recipe's values against the sections of its kind."""
    kind, known = values.get("kind"), training_kinds()
    if isinstance(kind, str) and singular(kind, known) != kind:
        raise Refusal(f'{where}: kind = "{kind}": the kind is called {singular(kind, known)}')
    if not isinstance(kind, str) or kind not in known:
        raise Refusal(f"{where}: kind = {json.dumps(kind)} is not one of {', '.join(known)}")
    try:
        return task_class(kind).recipe_type.model_validate(values)
    except ValidationError as error:
        raise Refusal(explain(error, where)) from None


def _override(values: dict[str, Any], text: str) -> None:
    """Apply one ``--set a.b=c``."""
    path, equals, literal = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise Refusal(f"--set {text} has no value; write it as --set fit.steps=500")
    try:
        value = tomllib.loads(f"value = {literal}")["value"]
    except tomllib.TOMLDecodeError:
        value = literal.strip()
    place = values
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise Refusal(f"--set {text}: {key} is a value, not a section")
    place[keys[-1]] = value
