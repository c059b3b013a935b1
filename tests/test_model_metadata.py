"""What a model file says about itself: written and read in one place, kept whole, refused when damaged."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import onnx
import pytest

from common import model_metadata
from common.refusal import Refusal

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[1]
READER = ROOT / "common" / "model_metadata.py"


def model(**values):
    made = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    model_metadata.write(made, values)
    return made


def lines_about_metadata(tree):
    """Lines that spell the prefix of a key or open a file's metadata; emptying a node's is no opening."""
    emptied = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Delete) for part in ast.walk(node)}
    keys = tuple(model_metadata.key(name) for name in model_metadata.ModelMetadata.model_fields)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value == model_metadata.PREFIX or node.value.startswith(keys):
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "metadata_props" and id(node) not in emptied:
            yield node.lineno


def test_only_one_file_touches_the_keys():
    said = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        if path != READER and not {"tests", ".venv", "build"} & set(path.relative_to(ROOT).parts)
        for line in lines_about_metadata(ast.parse(path.read_text()))
    ]
    assert not said, "\n".join(said)


def test_a_factory_model_says_what_it_is():
    about = model_metadata.read_file(ROOT / "firmware" / "models" / "drum.int8.onnx")
    assert (about.kind, about.part, about.sample_rate_hz) == ("drum", "decoder", 48_000)
    latent = about.input_with("latent")
    assert latent.is_event and len(latent.channels) == len(about.latents)
    assert about.plane.size == len(about.plane.grid) == 16
    assert about.attribute("brightness").default == 0.0
    assert about.licence and about.credits


def test_what_is_not_known_is_kept():
    made = model(kind="drum", spoons=3, inputs=[{"name": "z", "colour": "red"}])
    about = model_metadata.read(made)
    assert about.model_extra == {"spoons": 3}
    assert about.inputs[0].model_extra == {"colour": "red"}
    made.metadata_props.add(key="somebody.else", value="{not json")
    other = onnx.ModelProto()
    model_metadata.copy(made, other)
    model_metadata.write(other, {"kind": "drive"})
    assert model_metadata.read(other).kind == "drive"
    assert {entry.key for entry in other.metadata_props} == {entry.key for entry in made.metadata_props}


def test_a_key_is_replaced_and_not_doubled():
    made = model(name="a", version="1")
    model_metadata.write(made, {"name": "b", "title": None})
    assert {entry.key: json.loads(entry.value) for entry in made.metadata_props} == {
        model_metadata.key("name"): "b",
        model_metadata.key("version"): "1",
    }


def test_a_file_that_says_nothing_has_defaults():
    about = model_metadata.read(model())
    assert not about.kind and not about.inputs and about.plane is None and about.sample_rate_hz == 48_000


def test_limits_are_a_range_that_can_be_played():
    endless = [0, float("inf")]
    for stated, played in (([-2, 3], (-2, 3)), (None, (-1, 1)), ([3, 3], (-1, 1)), (endless, (-1, 1))):
        (spec,) = model_metadata.read(model(inputs=[{"name": "z", "range": stated}])).inputs
        assert spec.limits == played


ROW = {"mean": 0.0, "quantiles": [-1.0, 1.0]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"inputs": {}}, ["inputs", "list"]),
        ({"inputs": [1]}, ["inputs.1"]),
        ({"inputs": [{"name": "z"}, {"rate": "1"}]}, ["inputs.2.name", "required"]),
        ({"inputs": [{"name": ["z"]}]}, ["inputs.1.name"]),
        ({"inputs": [{"name": "z", "rate": "1/0"}]}, ["inputs.1.rate", "1/48"]),
        ({"inputs": [{"name": "z", "rate": "-3"}]}, ["inputs.1.rate", "1/48"]),
        ({"inputs": [{"name": "z", "rate": "often"}]}, ["inputs.1.rate", "event"]),
        ({"outputs": [{"name": "y", "range": [1]}]}, ["outputs.1.range"]),
        ({"latents": [{**ROW, "quantiles": [1.0]}]}, ["latents.1.quantiles"]),
        ({"latents": [{**ROW, "quantiles": [1.0, 0.0]}]}, ["latents.1.quantiles", "rises"]),
        ({"latents": [{**ROW, "mean": float("nan")}]}, ["latents.1.mean", "finite"]),
        ({"attributes": [{"name": "warm"}]}, ["attributes.1.quantiles", "required"]),
        ({"map": {"size": 2, "grid": [[[0.0]], [[0.0]]]}}, ["map", "size 2"]),
        ({"sample_rate_hz": "fast"}, ["sample_rate_hz"]),
        ({"kind": ["drum"]}, ["kind"]),
    ],
)
def test_damage_is_one_sentence_that_names_the_key(values, words):
    with pytest.raises(Refusal) as refusal:
        model_metadata.read(model(**values), "mine.onnx")
    said = str(refusal.value)
    assert said.startswith(f"mine.onnx: its metadata {model_metadata.PREFIX}") and "\n" not in said
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("text", ["[", "", "[" * 5000, "{'a': 1}", "\x00"])
def test_what_is_not_json_is_refused(text):
    made = model()
    made.metadata_props.add(key=model_metadata.key("inputs"), value=text)
    with pytest.raises(Refusal, match="is not JSON"):
        model_metadata.read(made)


@pytest.mark.parametrize("content", [b"", b"not onnx"])
def test_what_is_not_a_model_file_is_refused(content, tmp_path):
    with pytest.raises(Refusal, match="there is no model file"):
        model_metadata.read_file(tmp_path / "none.onnx")
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    if content:
        with pytest.raises(Refusal, match="is not a readable ONNX file"):
            model_metadata.read_file(path)
    else:  # an empty file is an empty model to protobuf: it says nothing
        assert not model_metadata.read_file(path).kind
