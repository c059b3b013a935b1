"""Recipes are read strictly and complain in one sentence."""

import tomllib

import pytest

from common.refusal import Refusal
from train.commands import seconds
from train.kinds import load_recipe
from train.recipe import HERE, available_recipes

pytestmark = pytest.mark.fast


@pytest.mark.parametrize("name", available_recipes())
def test_every_recipe_that_ships_is_valid_and_survives_writing(name, tmp_path):
    recipe = load_recipe(name)
    path = tmp_path / "again.toml"
    path.write_text(recipe.as_toml(), encoding="utf-8")
    assert load_recipe(path) == recipe
    assert tomllib.loads((HERE / f"{name}.toml").read_text())["name"] == name


def test_settings_are_changed_by_path():
    recipe = load_recipe("drum", ["fit.steps=77", "model.noise_rank=32", "title=My kit"])
    assert (recipe.fit.steps, recipe.model.noise_rank, recipe.title) == (77, 32, "My kit")
    gated = load_recipe("rhythm").model.gated
    changed = load_recipe("rhythm", [f"model.gated={str(not gated).lower()}"])
    assert changed.model.gated is not gated


def test_names_that_toml_must_quote_survive_writing(tmp_path):
    recipe = load_recipe("drive", ['often={"two words" = 2, "a.b" = 0.5, plain = 3}'])
    path = tmp_path / "again.toml"
    path.write_text(recipe.as_toml(), encoding="utf-8")
    assert load_recipe(path).often == {"two words": 2, "a.b": 0.5, "plain": 3}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("fit.steps=-1", "fit.steps = -1: input should be greater than 0"),
        ("fit.stepz=5", "fit.stepz is not a setting"),
        ("model.noise_rank=30", "model.noise_rank = 30: input should be a multiple of 4"),
        ("kind=piano", 'kind = "piano" is not one of'),
        ("fit.steps", "has no value"),
        ("kind.deeper=1", "kind is a value, not a section"),
        ('model.attributes=["warmth"]', "model.attributes.0"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change, words):
    with pytest.raises(Refusal) as refusal:
        load_recipe("drum", [change])
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(Refusal, match="no recipe named 'nothing'"):
        load_recipe("nothing")
    with pytest.raises(Refusal, match="no recipe file"):
        load_recipe(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("kind = ")
    with pytest.raises(Refusal, match=r"broken.toml is not valid TOML"):
        load_recipe(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(Refusal, match="cannot be read"):
        load_recipe(broken)
    missing = tmp_path / "missing.toml"
    missing.write_text('kind = "drum"\n')
    with pytest.raises(Refusal, match="name is missing"):
        load_recipe(missing)


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_lengths_of_time(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "0s", "ten"])
def test_other_lengths_are_refused(text):
    with pytest.raises(Refusal, match="--time"):
        seconds(text)
