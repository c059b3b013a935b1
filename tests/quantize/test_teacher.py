"""A model without a run shrinks against its own sound, says by how much in ESR, and can go on."""

import contextlib
import json

import numpy as np
import onnx
import pytest
from scipy.io import wavfile

import vaectrol
from captures.read import model_of, read_capture
from quantize import teacher
from quantize.data.tune import Effort
from quantize.graph.load import load_graph
from quantize.procedure import Settings, run_procedure
from quantize.teacher import from_teacher
from tests.captures import made
from tests.captures.test_import import written

AMP = made.wavenet(made.array(1, 8, 1, [1, 2], head_bias=True), seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A capture as a float model, and three dry recordings: plucks of noise."""
    place = tmp_path_factory.mktemp("teacher")
    capture = read_capture(written(place, AMP, "amp.nam"))
    onnx.save(model_of(capture, "amp"), str(place / "amp.onnx"))
    di = place / "di"
    di.mkdir()
    for seed in range(3):
        random = np.random.default_rng(seed)
        envelope = np.exp(-np.arange(12_000) / 2000)
        sound = np.tile(random.normal(size=12_000) * envelope, 2) * 0.2
        wavfile.write(di / f"{seed}.wav", 48_000, np.int16(np.clip(sound, -1, 1) * 32767))
    return place


def quantized(folder, capsys, source, out, *words):
    """The stages of a run, by name."""
    command = ["quantize", str(folder / source), "--against", str(folder / "amp.onnx")]
    command += ["--calibration", str(folder / "di"), "-o", str(folder / out), "--json", *words]
    assert vaectrol.main(command) == 0
    return {stage["name"]: stage["measures"] for stage in json.loads(capsys.readouterr().out)["stages"]}


def answer(file, x):
    """What onnxruntime says."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {"audio_in": x})[0]


def test_a_pruned_model_comes_nearer_to_the_whole_one_and_can_go_on(folder, capsys, monkeypatch):
    for name, value in {"POOL": 2, "BATCH": 2, "SECONDS": 0.12, "LEAD_SECONDS": 0.02}.items():
        monkeypatch.setattr(teacher, name, value)
    whole = load_graph(folder / "amp.onnx")
    lessons = from_teacher(whole, whole, folder / "di")
    settings = Settings(keep=0.6, adapt=False, correct=False, effort=Effort(steps=20))
    outcome = run_procedure(lessons, settings)
    stages = {stage.name: stage.measures for stage in outcome.stages}
    pruned, tuned = stages["pruned"]["task/esr"], stages["pruned, tuned"]["task/esr"]
    assert stages["float"]["task/esr"] == 0
    assert tuned < 0.7 * pruned
    onnx.save(outcome.graph.to_model(), str(folder / "small.float.onnx"))
    weights = {t.name: t.dims for t in onnx.load(folder / "amp.onnx").graph.initializer}
    small = {t.name: t.dims for t in onnx.load(folder / "small.float.onnx").graph.initializer}
    assert sum(map(np.prod, small.values())) < sum(map(np.prod, weights.values()))
    # onnxruntime hears the same: the file is what was measured
    x = np.float32(np.random.default_rng(9).normal(size=(1, 1, 8000)) * 0.1)
    wanted, ours = answer(folder / "amp.onnx", x), answer(folder / "small.float.onnx", x)
    assert 0 < np.sum((ours - wanted) ** 2) / np.sum(wanted**2) < 1
    again = quantized(folder, capsys, "small.float.onnx", "again.int8.onnx", "--steps", "4")
    assert again["float"]["task/esr"] == pytest.approx(tuned, rel=0.02)
    assert (folder / "again.float.onnx").exists()
    assert again["tuned"]["task/esr"] <= again["float"]["task/esr"]


def test_a_model_that_is_its_own_teacher_tunes_its_integers_alone(folder, capsys, monkeypatch):
    """Its float weights can't come nearer to themselves, so no step is spent on them."""
    for name, value in {"POOL": 2, "BATCH": 1, "SECONDS": 0.06, "LEAD_SECONDS": 0.02}.items():
        monkeypatch.setattr(teacher, name, value)
    stages = quantized(folder, capsys, "amp.onnx", "own.int8.onnx", "--steps", "6")
    assert list(stages) == ["float", "int8, W8A16", "int8, W8A16, tuned"]
    assert stages["int8, W8A16, tuned"]["task/esr"] <= stages["int8, W8A16"]["task/esr"]
    assert (folder / "own.float.onnx").exists()


@pytest.mark.parametrize("at", [pytest.param(3, marks=pytest.mark.slow), 9])
def test_an_interrupted_tuning_goes_on_to_the_same_integers(folder, capsys, monkeypatch, at):
    """Stopped while the float weights are tuned (8 steps of it) or the integers (4)."""
    for name, value in {"POOL": 2, "BATCH": 1, "SECONDS": 0.06, "LEAD_SECONDS": 0.02, "LESSONS": 5}.items():
        monkeypatch.setattr(teacher, name, value)
    words, out = ["--prune", "0.4", "--steps", "12"], f"stopped{at}.int8.onnx"
    tuning = folder / f"{out}.tuning"
    quantized(folder, capsys, "amp.onnx", "whole.int8.onnx", *words)
    learnt, steps = teacher.error_to_signal, []

    def counted(made, wanted):
        steps.append(made.requires_grad)
        return learnt(made, wanted)

    def stopped(made, wanted):
        if sum(steps) + 1 == at and made.requires_grad:
            raise KeyboardInterrupt
        return counted(made, wanted)

    monkeypatch.setattr(teacher, "error_to_signal", stopped)
    with contextlib.suppress(KeyboardInterrupt, AssertionError):
        quantized(folder, capsys, "amp.onnx", out, *words)
    assert not (folder / out).exists()
    assert len(list(tuning.iterdir())) == (1 if at < 8 else 2)
    steps.clear()
    monkeypatch.setattr(teacher, "error_to_signal", counted)
    quantized(folder, capsys, "amp.onnx", out, *words)
    assert sum(steps) < 12  # those before were not done again
    assert not tuning.exists()
    whole, again = (onnx.load(folder / f"{name}.int8.onnx").graph for name in ("whole", f"stopped{at}"))
    assert whole.initializer == again.initializer and whole.node == again.node


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["amp.onnx"], "needs --calibration"),
        (["."], "without a run"),
        (["amp.onnx", "--calibration", "one"], "two .wav files are needed"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(folder, capsys, words, said):
    one = folder / "one"
    if not one.exists():
        one.mkdir()
        (one / "0.wav").write_bytes((folder / "di" / "0.wav").read_bytes())
    source, *rest = words
    rest = [str(folder / word) if word == "one" else word for word in rest]
    command = ["quantize", str(folder / source), "--against", str(folder / "amp.onnx"), *rest]
    assert vaectrol.main([*command, "-o", str(folder / "no.int8.onnx")]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (folder / "no.int8.onnx").exists()
