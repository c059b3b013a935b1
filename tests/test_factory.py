"""The factory: words are checked, a model is shipped with its credits, the card says what was measured."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import factory
from common import model_metadata
from hardware.board import load_board
from workflow.stages import WorkflowStopped

WORDS = """
title = "A click"
about = "It clicks."
recipe = "drum_quick"
train = [["--time", "1m"], ["--set", "fit.steps=9"]]
quantize = ["--quick"]
machine = "a test"
licence = "CC0 1.0"
weaknesses = ["It only clicks."]

[data]
what = "two clicks"
prepare = "vaectrol data prepare drum clicks DATA"
split = "by clicker"
licence = "CC0 1.0"
credits = ["Clicks by A. Clicker.", "Clacks by B"]
"""


def tiny_model(path: Path, weights: int = 4) -> None:
    """Write a model of one Add with some metadata."""
    constant = helper.make_tensor("w", TensorProto.FLOAT, [weights], [1.0] * weights)
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [weights]) for n in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [constant]
    )
    model = helper.make_model(graph)
    entry = model.metadata_props.add()
    entry.key, entry.value = "vaectrol.kind", '"drum"'
    onnx.save(model, path)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Make a folder of models with one description in it."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "click.toml").write_text(WORDS)
    return folder


def test_stages_are_the_commands_of_the_road(models, tmp_path):
    words = factory.read_words("click", models)
    stages = factory.stages_to_model("click", words, tmp_path / "data", tmp_path / "w", None, None)
    names = ["train-1", "train-2", "evaluate", "quantize", "evaluate-int8", "bench-patch_sm"]
    assert [s.name for s in stages] == names
    assert stages[0].argv[:2] == ("train", "drum_quick") and stages[0].argv[-2:] == ("--time", "1m")
    assert stages[1].argv[-1] == f"fit.start={stages[0].makes[0].parent}"
    run = factory.stages_to_model(
        "click", words, tmp_path / "data", tmp_path / "w", tmp_path / "run", tmp_path
    )
    assert [s.name for s in run] == ["evaluate", "evaluate-int8", "bench-patch_sm"]
    assert all(name in str(stages) for name in ("--quick", "float", "int8"))


def test_the_words_say_which_stages_a_model_has(models, tmp_path):
    """A model that its training judged: no name tells it from others."""
    (models / "click.toml").write_text(
        WORDS.replace("[data]", 'stages = ["train", "quantize"]\nends = ".onnx"\n\n[data]')
    )
    words = factory.read_words("click", models)
    stages = factory.stages_to_model("click", words, tmp_path / "data", tmp_path / "w", None, None)
    assert [s.name for s in stages] == ["train-1", "train-2", "quantize"]
    tiny_model(tmp_path / "made.onnx")
    assert factory.ship("click", words, tmp_path / "made.onnx", models) == models / "click.onnx"
    with pytest.raises(WorkflowStopped, match="no stage cost"):
        factory.factory("texture.prior", tmp_path / "out", costs_alone=True)


def test_the_factory_prior_has_the_stages_that_a_prior_has(tmp_path):
    words = factory.read_words("texture.prior")
    stages = factory.stages_to_model("texture.prior", words, tmp_path / "data", tmp_path, None, None)
    assert [s.argv[0] for s in stages] == ["train", "quantize"]
    assert stages[0].argv[-5:] == (str(tmp_path / "run"), *words.train[0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[data]", 'stages = ["bake"]\n[data]'), "stages.0"),
        (("licence", "license"), "fix that field"),
        (('recipe = "drum_quick"', "recipe = 3"), "recipe"),
        (("title", "= ="), "is not TOML"),
    ],
)
def test_bad_words_are_refused_in_a_sentence(models, change, says):
    (models / "click.toml").write_text(WORDS.replace(*change))
    with pytest.raises(WorkflowStopped, match=says):
        factory.read_words("click", models)


def test_a_model_that_lies_where_it_would_be_copied_to_stays(models, tmp_path, monkeypatch):
    """It was a traceback."""
    words = factory.read_words("click", models)
    ran: list[int] = []

    def run_stages(stages, out):
        ran.append(len(stages))
        if len(ran) > 1:
            raise WorkflowStopped("far enough")

    monkeypatch.setattr(factory, "read_words", lambda name: words)
    monkeypatch.setattr(factory, "run_stages", run_stages)
    monkeypatch.setattr("quantize.formats.encoder.write_encoder", lambda run, path: None)
    out = tmp_path / "out"
    out.mkdir()
    tiny_model(out / "click.int8.onnx")
    (tmp_path / "manifest.json").write_text("{}")
    kept = (out / "click.int8.onnx").read_bytes()
    with pytest.raises(WorkflowStopped, match="far enough"):
        factory.factory("click", out, tmp_path, tmp_path, out / "click.int8.onnx", models)
    assert (out / "click.int8.onnx").read_bytes() == kept


def test_unknown_models_are_refused_with_those_there_are(models):
    with pytest.raises(WorkflowStopped, match="the factory models are click"):
        factory.read_words("clack", models)


def test_a_shipped_model_carries_licence_and_credits(models, tmp_path):
    tiny_model(tmp_path / "made.onnx")
    words = factory.read_words("click", models)
    shipped = factory.ship("click", words, tmp_path / "made.onnx", models)
    inside = {e.key: json.loads(e.value) for e in onnx.load(shipped).metadata_props}
    assert inside["vaectrol.licence"] == "CC0 1.0" and inside["vaectrol.kind"] == "drum"
    assert inside["vaectrol.credits"] == ["Clicks by A. Clicker.", "Clacks by B"]
    again = factory.ship("click", words, shipped, models).read_bytes()
    assert again == shipped.read_bytes()


def test_the_encoder_ships_too_within_the_same_size(models, tmp_path):
    words = factory.read_words("click", models)
    tiny_model(tmp_path / "made.onnx")
    shipped = factory.ship("click", words, tmp_path / "made.onnx", models, encoder=True)
    assert shipped == models / "click.encoder.onnx"
    inside = {e.key: json.loads(e.value) for e in onnx.load(shipped).metadata_props}
    assert inside["vaectrol.licence"] == "CC0 1.0" and len(inside["vaectrol.credits"]) == 2
    tiny_model(tmp_path / "big.onnx", 300_000)
    with pytest.raises(WorkflowStopped, match="make it smaller"):
        factory.ship("click", words, tmp_path / "big.onnx", models, encoder=True)


def test_a_model_too_large_to_ship_is_refused_and_leaves_nothing(models, tmp_path):
    tiny_model(tmp_path / "big.onnx", 300_000)
    with pytest.raises(WorkflowStopped, match="prune more"):
        factory.ship("click", factory.read_words("click", models), tmp_path / "big.onnx", models)
    assert [p.name for p in models.iterdir()] == ["click.toml"]


@pytest.mark.parametrize(("dead", "ships"), [(1, True), (2, False)])
def test_a_model_with_dead_knobs_is_not_shipped(models, tmp_path, dead, ships):
    tiny_model(tmp_path / "made.onnx")
    model = onnx.load(tmp_path / "made.onnx")
    row = {"mean": 0.0, "std": 1.0, "variance_share": 0.2, "quantiles": [-1.0, 1.0]}
    signs = ["unused"] * dead + ["brightness +0.71"] * (5 - dead)
    rows = [{**row, "name": f"z{i + 1}", "sign": sign} for i, sign in enumerate(signs)]
    model_metadata.write(model, {"latents": rows})
    onnx.save(model, tmp_path / "made.onnx")
    words = factory.read_words("click", models)
    if ships:
        assert factory.ship("click", words, tmp_path / "made.onnx", models).is_file()
        return
    with pytest.raises(WorkflowStopped, match=r"2 of the 5 latents .* \(z1, z2\)"):
        factory.ship("click", words, tmp_path / "made.onnx", models)
    assert [p.name for p in models.iterdir()] == ["click.toml"]


def test_the_card_shows_what_was_measured(models, tmp_path):
    words = factory.read_words("click", models)
    tiny_model(models / "click.int8.onnx")
    tiny_model(models / "click.encoder.onnx")
    run, work = tmp_path / "run", tmp_path / "work"
    spent = {"cpu_s": 120.0, "wall_s": 180.0, "threads": 1}
    card = {"parameters": 1234, "data": {"hash": "a" * 64}, "spent": spent}
    bench = {
        "board_title": "Daisy",
        "models": {"model": {"predicted": {"block": 48, "cpu": {"mean": 0.25, "worst": 0.3}}}},
    }
    for path, content in (
        (run / "card.json", card),
        (
            work / "float" / "report.json",
            {"split": "test", "items": 7, "figures": {"model": {"mr_stft": 1.5}}},
        ),
        (
            work / "int8" / "report.json",
            {
                "split": "test",
                "items": 7,
                "figures": {"model": {"mr_stft": 1.625}},
                "rows": [{"mr_stft": 9.5}],
            },
        ),
        (work / "bench-patch_sm" / "report.json", bench),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (run / "recipe.toml").write_text("seed = 5\n")
    text = factory.write_card("click", words, work, run, models).read_text()
    assert "`click.encoder.onnx`, " in text
    for part in (
        "1,234",
        "seed 5",
        "| model · multi-resolution STFT distance (lower is better) | 1.50 | 1.62 |",
        "25.0%",
        "30.0%",
        "Clicks by A. Clicker.",
        "It only clicks.",
    ):
        assert part in text
    assert "9.5" not in text and "2 CPU minutes in 3" in text
    (work / "float" / "report.json").unlink()  # --shipped-alone
    text = factory.write_card("click", words, work, run, models).read_text()
    assert "| model · multi-resolution STFT distance (lower is better) | – | 1.62 |" in text


def test_costs_are_renewed_and_the_rest_of_a_card_stays(models, tmp_path):
    words = factory.read_words("click", models)
    (models / "click.md").write_text(f"# Click\n\n{factory.COSTS}\n\nold\n\n## Known weaknesses\n\n- one\n")
    bench = {
        "board_title": "Daisy",
        "models": {"model": {"predicted": {"block": 48, "cpu": {"mean": 0.125, "worst": 0.25}}}},
    }
    (tmp_path / "bench-patch_sm").mkdir()
    (tmp_path / "bench-patch_sm" / "report.json").write_text(json.dumps(bench))
    text = factory.renew_costs("click", words, tmp_path, models).read_text()
    assert text.startswith(f"# Click\n\n{factory.COSTS}\n\n| board ")
    assert text.endswith("| Daisy | 12.5% | 25.0% | 48 |\n\n## Known weaknesses\n\n- one\n")
    assert factory.renew_costs("click", words, tmp_path, models).read_text() == text
    (models / "click.md").write_text("# Click\n")
    with pytest.raises(WorkflowStopped, match="has no part about cost"):
        factory.renew_costs("click", words, tmp_path, models)


def test_an_older_card_calls_the_cpu_time_by_its_old_name():
    new, old = {"cpu_s": 120.0, "wall_s": 180.0}, {"processor_s": 120.0, "wall_s": 180.0}
    assert factory.spent_in_words(new) == factory.spent_in_words(old)


def test_every_factory_model_has_words_a_card_and_credits():
    """What ships is described, small enough, and says whose sounds it learnt from."""
    described = [path.name.removesuffix(".toml") for path in sorted(factory.MODELS.glob("*.toml"))]
    for name in described:
        words = factory.read_words(name)
        model = factory.MODELS / f"{name}{words.ends}"
        assert model.stat().st_size <= factory.LARGEST_BYTES
        inside = {e.key: json.loads(e.value) for e in onnx.load(model).metadata_props}
        assert (
            inside["vaectrol.credits"] == words.data.credits and inside["vaectrol.licence"] == words.licence
        )
        card = (factory.MODELS / f"{name}.md").read_text()
        if "cost" in words.stages:
            assert all(f"| {load_board(board).title} |" in card for board in words.boards)
        assert all(credit.rstrip(".") in card for credit in words.data.credits)
