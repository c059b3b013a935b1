"""A kind of training is one file: nothing else in the room, nor in those that build on it, names a kind."""

import ast
import importlib
from pathlib import Path

import pytest

from common.refusal import Refusal
from train.data.kinds import data_kinds, preparation
from train.kinds import parse_recipe, task_class, training_kinds
from train.recipe import available_recipes

ROOT = Path(__file__).resolve().parents[2]
KINDS = sorted({*training_kinds(), *data_kinds()})
# A picture of one recipe at work
ABOUT_ONE_KIND = {"train/analysis/beta_figure.py"}


def sources():
    for room in ("train", "quantize"):
        yield from (ROOT / room).rglob("*.py")
    yield ROOT / "factory.py"


def test_no_other_file_decides_by_the_name_of_a_kind():
    for path in sources():
        place = path.relative_to(ROOT).as_posix()
        if {path.stem, path.parent.name} & set(KINDS) or place in ABOUT_ONE_KIND:
            continue
        for node in ast.walk(ast.parse(path.read_text(), place)):
            if isinstance(node, ast.Constant) and node.value in (*KINDS, "drums", "rhythms"):
                raise AssertionError(f"{place}:{node.lineno} names the kind {node.value}")


def test_no_other_file_imports_the_task_of_a_kind():
    """But the command that places a pedal, which only a drive run can do."""
    for path in sources():
        place = path.relative_to(ROOT).as_posix()
        if {path.stem, path.parent.name} & set(KINDS) or place == "train/analysis/locate_device.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(), place)):
            module = getattr(node, "module", None) or ""
            assert module.removeprefix("train.tasks.") not in KINDS, f"{place} imports {module}"


@pytest.mark.parametrize("kind", training_kinds())
def test_a_training_kind_says_everything_of_itself(kind):
    task = task_class(kind)
    assert task.recipe_type.model_fields["kind"].annotation.__args__ == (kind,)
    assert set(task.data_kinds) <= set(data_kinds())
    if task.judge:
        judge = importlib.import_module(task.judge)
        assert callable(judge.judge) and isinstance(judge.DETAILS, tuple)
        assert isinstance(judge.NOT_ON_CARD, tuple)
    assert any(name.split("_")[0] == kind for name in available_recipes())


@pytest.mark.parametrize("kind", data_kinds())
def test_a_data_kind_is_one_file_and_its_report(kind):
    assert preparation(kind).kind() == kind
    assert callable(importlib.import_module(f"train.data.report.{kind}").describe)


def test_a_recipe_of_no_kind_is_refused():
    with pytest.raises(
        Refusal,
        match=r'mine: kind = "noise" is not one of chords, codes, digits, drive, drum, ear, expression',
    ):
        parse_recipe({"kind": "noise", "name": "mine"}, "mine")
    with pytest.raises(Refusal, match='mine: kind = "drums": the kind is called drum'):
        parse_recipe({"kind": "drums", "name": "mine"}, "mine")
    with pytest.raises(Refusal, match="mine: kind = null is not one of"):
        parse_recipe({"name": "mine"}, "mine")
