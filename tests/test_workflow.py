"""The workflow keeps what is done, goes on where it stopped, and ends with a module that plays right."""

from __future__ import annotations

import dataclasses
import html
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import soundfile

import vaectrol
from bench.m7.model import EmulatedModel
from common.version import version
from firmware.build import generate, host_library
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.passes.split_sound import split_sound
from firmware.compiler.pipeline import compile_onnx
from firmware.instruments.demo import find_demo
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import read_script, signals
from hardware.board import load_board
from tests.pages import check_page
from workflow import chapters
from workflow.page import write_index
from workflow.plan import Plan, make_plan, roles_of
from workflow.stages import (
    PROGRAM,
    STAMPS,
    Stage,
    WorkflowStopped,
    expected_s,
    in_words,
    is_done,
    run_stages,
)


def toy_stage(folder: Path, items: str = "8") -> Stage:
    sounds = folder / "sounds"
    return Stage(
        "toy",
        "a few drums",
        ("toy", "drum", str(sounds), "--items", items),
        (),
        (sounds / "manifest.json",),
    )


def prepare_stage(folder: Path) -> Stage:
    return Stage(
        "prepare",
        "read them",
        ("data", "prepare", "drum", str(folder / "sounds"), str(folder / "data")),
        (folder / "sounds",),
        (folder / "data" / "manifest.json",),
        tolerates=(0, 1),
    )


def test_a_stage_that_is_done_is_kept_and_runs_again_when_what_it_reads_changes(tmp_path, capfd):
    stages = [toy_stage(tmp_path), prepare_stage(tmp_path)]
    run_stages(stages, tmp_path)
    made = (tmp_path / "data" / "manifest.json").stat().st_mtime_ns
    capfd.readouterr()
    run_stages(stages, tmp_path)
    assert capfd.readouterr().out.count("done before, kept") == 2
    assert (tmp_path / "data" / "manifest.json").stat().st_mtime_ns == made
    page = write_index(tmp_path, "toy", stages).read_text()
    assert "vaectrol toy drum" in page
    (tmp_path / "sounds" / "manifest.json").touch()
    assert is_done(stages[0], tmp_path)
    assert not is_done(stages[1], tmp_path)


def test_a_stage_that_fails_stops_the_road_and_leaves_no_stamp(tmp_path):
    stage = prepare_stage(tmp_path)
    (tmp_path / "sounds").mkdir()
    with pytest.raises(WorkflowStopped, match="stopped at 'prepare'"):
        run_stages([stage], tmp_path)
    assert not is_done(stage, tmp_path)


TINY = """\
kind = "drum"
name = "tiny"
title = "A drum that takes seconds to train"
window_s = 0.1
[model]
trunk = [16, 16]
noise_rank = 8
transient_rank = 4
encoder = 16
looks = 0
[analysed]
share = 0.9
[augment]
speeds = 0
[loss]
sizes = [512, 128]
[fit]
steps = 300
learning_rate = 2e-3
batch = 4
interval = 100
validation_items = 8
"""
HEARD_S = 0.65
# What is smaller here than in the workflow itself: (before, after) in a stage's command
SCALED = {
    "train": (("--time", "75s"), ("--time", "10m")),
    "evaluate": (("--limit", "64"), ("--limit", "4")),
    "quantize": (  # something must be pruned
        ("--quick", "--board", "patch_sm", "--cpu", "45%"),
        ("--time", "0.03", "--prune", "0.2"),
    ),
    "play-drum": (("--demo",), ("--demo", "--seconds", str(HEARD_S))),
    "emulate-drum": (("--seconds", "2.5"), ("--seconds", str(HEARD_S))),
}


def scaled(stage: Stage) -> Stage:
    """Swap the words that make a stage long."""
    if stage.name not in SCALED:
        return stage
    before, after = SCALED[stage.name]
    at = next(i for i in range(len(stage.argv)) if stage.argv[i : i + len(before)] == before)
    return dataclasses.replace(stage, argv=(*stage.argv[:at], *after, *stage.argv[at + len(before) :]))


@contextmanager
def small_workflow(folder: Path) -> Iterator[list[str]]:
    """Make the workflow's commands run with a tiny model, in this process, so that torch is loaded once.

    Yields the first words of the vaectrol commands that were run.
    """
    recipe = folder / "tiny.toml"
    went: list[str] = []

    def here(program: list[str], check: bool) -> subprocess.CompletedProcess:
        assert program[:2] == [sys.executable, str(PROGRAM)]
        went.append(program[2])
        return subprocess.CompletedProcess(program, vaectrol.main(program[2:]))

    def tiny(plan: Plan) -> list[Stage]:
        assert plan.recipes == {"drum": "drum_quick"}
        return [scaled(stage) for stage in stages(dataclasses.replace(plan, recipes={"drum": str(recipe)}))]

    stages = chapters.sounds_to_module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapters, "sounds_to_module", tiny)
        patch.setattr(chapters, "factory_instruments", dict)
        patch.setattr("workflow.stages.subprocess", SimpleNamespace(run=here))
        yield went


@pytest.fixture(scope="module")
def whole_workflow(tmp_path_factory) -> tuple[Path, list[str]]:
    """What `vaectrol demo` made, and the commands it ran."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("workflow") / "made"
    (folder.parent / "tiny.toml").write_text(TINY)
    with small_workflow(folder.parent) as went:
        assert vaectrol.main(["demo", "-o", str(folder), "--items", "48"]) == 0
    return folder, went


COMMANDS = [
    "toy",
    "data",
    "train",
    "evaluate",
    "quantize",
    "compile",
    "build",
    "play",
    "emulate",
    "bench",
    "web",
]


def test_a_toy_model_goes_through_every_stage(whole_workflow):
    folder, went = whole_workflow
    assert went == COMMANDS
    stamps = [json.loads(file.read_text()) for file in (folder / STAMPS).glob("*.json")]
    assert sorted(stamp["command"].split()[1] for stamp in stamps) == sorted(COMMANDS)
    index = (folder / "index.html").read_text()
    check_page(index, folder)
    for made in ("data/report.html", "run/evaluation/report.html", "drum.int8.onnx.report/report.html"):
        check_page((folder / made).read_text(), (folder / made).parent)
    check_page((folder / "report" / "report.html").read_text())
    reports = ("data", "run/evaluation", "drum.int8.onnx.report", "c", "image", "report")
    for told in (*(f"{made}/report.json" for made in reports), "drum.module.json", "run/card.json"):
        assert json.loads((folder / told).read_text())["version"] == version(), told
    assert 'href="drum.html"' in index
    played = (folder / "drum.html").read_text()
    assert played.count('data-of="original"') == played.count('data-of="made"') > 0
    page = html.unescape(index)
    assert all(stamp["command"] in page for stamp in stamps)
    assert "every sample, gate and voltage is the same" in page
    quality = json.loads((folder / "report" / "report.json").read_text())["models"]["model"]["quality"]
    assert "test split" in quality["inputs"]
    assert set(quality["formats"]) == {"pruned", "w8a16"}
    assert set(quality["recordings"]) == {"float", "pruned", "w8a16"}
    for made in (
        "run/evaluation/report.html",
        "drum.int8.onnx",
        "drum.png",
        "drum.wav",
        "report/report.html",
    ):
        assert (folder / made).stat().st_size > 1000


def test_only_what_the_board_needs_is_pruned(tmp_path):
    for quick in (True, False):
        stages = chapters.sounds_to_module(dataclasses.replace(plan_for(tmp_path, "drum"), quick=quick))
        argv = next(stage.argv for stage in stages if stage.name == "quantize")
        assert "--prune" not in argv
        assert argv[argv.index("--cpu") + 1] == "45%"


def test_make_on_the_same_sounds_keeps_what_the_demo_did(whole_workflow, capsys):
    folder, _ = whole_workflow
    words = ["make", str(folder / "sounds"), "--kind", "drum", "--board", "patch_sm", "-o", str(folder)]
    with small_workflow(folder.parent) as went:
        assert vaectrol.main([*words, "--quick", "--time", "75s"]) == 0
    assert went == []
    said = capsys.readouterr().out
    assert said.count("done before, kept") == len(COMMANDS) - 1
    assert "the emulated module equals the host's rendering" in said
    assert f"Everything is in {folder}" in said


def test_the_emulated_module_plays_what_this_board_plays_on_the_host(whole_workflow, tmp_path):
    folder, _ = whole_workflow
    module, rate = soundfile.read(folder / "drum.module.wav", dtype="float32")
    board = load_board("patch_sm")
    models = {"drum": folder / "drum.int8.onnx"}
    built = generate("drum", board, tmp_path, models=models, target="host")
    host = HostInstrument(host_library(built))
    script = read_script(find_demo("drum", other_models=True).script)
    played = signals(script, board, len(module), host.parameters, {}, resting_knobs(built))
    expected = host.render(played, board.audio.block).audio.T
    assert (rate, len(module)) == (48_000, round(HEARD_S * 48_000))
    assert np.abs(expected).max() > 1e-3
    assert np.array_equal(expected, module)
    figures = json.loads((folder / "drum.module.json").read_text())
    assert figures["equals_host"]
    assert figures["samples_that_differ"] == 0
    assert 0 < figures["predicted_cpu"]["mean"] <= figures["predicted_cpu"]["worst"] < 1


STEPS = (1, 300, 900, 3_000, 9_000, 20_000, 50_000, 1 << 30)  # predicted cycles of one step of an evaluation


def asked(
    target: str, model: onnx.ModelProto, hits: list[dict[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """What a network says of several hits in a row, each evaluated in steps of another size."""
    if target == "host":
        library = load_host(compile_onnx(model))
        return [library.evaluate(hit, steps) for hit, steps in zip(hits, STEPS, strict=True)]
    emulated = EmulatedModel(compile_onnx(model, "m7", "patch_sm"), load_board("patch_sm"))
    found = []
    for hit, steps in zip(hits, STEPS, strict=True):
        emulated.evaluate(hit, steps)
        found.append(emulated.result())
    return found


def test_numpy_the_host_and_the_emulated_module_agree_on_the_trained_model(whole_workflow):
    """The judge, host and M7 on the same hits: integers equal, the float edge to 1e-5."""
    folder, _ = whole_workflow
    model = onnx.load(str(folder / "drum.int8.onnx"))
    hits = noise_within_ranges(model, len(STEPS))
    graph, sound = split_sound(compile_onnx(model).graph)
    assert sound is not None
    for hit, host, module in zip(hits, *(asked(t, model, hits) for t in ("host", "m7")), strict=True):
        truth = run(graph, hit)
        assert set(truth) == set(host) == {"modes", "glide", "noise", "transient"}
        for name, expected in truth.items():
            assert np.array_equal(host[name].view(np.int32), module[name].view(np.int32)), name
            assert np.abs(expected).max() > 0
            assert np.allclose(host[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_every_integer_of_the_trained_model_is_the_judges(whole_workflow):
    """The model cut where its integers end: nothing may differ from the judge, on either processor."""
    folder, _ = whole_workflow
    model = cut_at_the_last_integers(onnx.load(str(folder / "drum.int8.onnx")))
    hits = noise_within_ranges(model, len(STEPS))
    graph = compile_onnx(model).graph
    for target in ("host", "m7"):
        seen: dict[str, list[np.ndarray]] = {}
        for hit, heard in zip(hits, asked(target, model, hits), strict=True):
            truth = run(graph, hit)
            assert len(truth) >= 4
            for name, expected in truth.items():
                seen.setdefault(name, []).append(heard[name])
                assert np.array_equal(heard[name], expected.astype(np.float32)), (target, name)
        assert all(len(np.unique(values)) > 10 for values in seen.values())


def noise_within_ranges(model: onnx.ModelProto, hits: int) -> list[dict[str, np.ndarray]]:
    """Inputs [channels, 1] of so many hits, uniform within the ranges the file states."""
    rng = np.random.default_rng(5)
    stated = next(json.loads(e.value) for e in model.metadata_props if e.key == "vaectrol.inputs")
    return [
        {
            port["name"]: rng.uniform(*port["range"], (len(port["channels"]), 1)).astype(np.float32)
            for port in stated
        }
        for _ in range(hits)
    ]


def cut_at_the_last_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make outputs of the activations that leave the integers for float, and drop what comes after."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    said = {value.name for value in graph.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def leaves(name: str) -> bool:
        made = [out for node in readers.get(name, []) for out in node.output]
        after = [r for out in made for r in readers.get(out, [])]
        return any(node.op_type != "QuantizeLinear" for node in after) or bool(said & set(made))

    ends = [
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in makers
        and makers[node.input[0]].op_type == "QuantizeLinear"
        and leaves(node.output[0])
    ]
    kept, wanted = [], set(ends)
    for node in reversed(graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    del graph.node[:], graph.output[:]
    graph.node.extend(reversed(kept))
    graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in ends)
    for entry in [e for e in model.metadata_props if e.key == "vaectrol.outputs"]:
        model.metadata_props.remove(entry)
    return model


def test_no_two_stages_of_the_demo_share_a_stamp(tmp_path):
    """A toy drum and the factory drum are played in one workflow: each keeps its own stamp."""
    stages = [
        *chapters.factory_stages("patch_sm", tmp_path / "factory"),
        *chapters.sounds_to_module(plan_for(tmp_path, "drum")),
    ]
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names)


def plan_for(folder: Path, kind: str) -> Plan:
    roles = [role.name for role in roles_of(kind)]
    return Plan(
        kind=kind,
        sources=dict.fromkeys(roles, folder / "sounds"),
        recipes={role: f"{role}_quick" for role in roles},
        board="patch_sm",
        folder=folder / "made",
        train_time="1m",
        train_s=60.0,
        cpu="45%",
        quick=True,
    )


@pytest.mark.parametrize("kind", ["drum", "rhythm", "drive", "groove"])
def test_every_kind_ends_with_a_sound_a_picture_and_the_module_beside_it(kind, tmp_path):
    stages = {stage.name: stage for stage in chapters.sounds_to_module(plan_for(tmp_path, kind))}
    made = tmp_path / "made"
    assert {made / f"{kind}.wav", made / f"{kind}.png"} <= set(stages[f"play-{kind}"].makes)
    assert made / f"{kind}.module.wav" in stages[f"emulate-{kind}"].makes
    for stage in (stages["build"], stages[f"play-{kind}"], stages[f"emulate-{kind}"]):
        assert stage.argv.count("--model") == len(roles_of(kind))


def test_a_groove_trains_two_models_and_plays_with_both(tmp_path):
    stages = chapters.sounds_to_module(plan_for(tmp_path, "groove"))
    trained = [stage for stage in stages if stage.argv[0] == "train"]
    assert [stage.name for stage in trained] == ["rhythm-train", "drum-train"]
    assert len({stage.argv[stage.argv.index("-o") + 1] for stage in trained}) == 2
    build = next(stage for stage in stages if stage.name == "build")
    models = [word for word in build.argv if word.endswith(".int8.onnx")]
    assert [word.partition("=")[0] for word in models] == ["rhythm", "drum"]
    assert all(Path(word.partition("=")[2]) in build.reads for word in models)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("order", [("drums", "midi"), ("midi", "drums")])
def test_a_second_model_is_told_by_its_files_and_is_smaller(order, quick, folders):
    plan = make_plan(
        "groove",
        [Path(name) for name in order],
        board="patch_sm",
        folder=Path("made"),
        recipe=None,
        train_time="1m",
        cpu=None,
        quick=quick,
    )
    assert plan.sources == {"rhythm": Path("midi"), "drum": Path("drums")}
    standard = {"rhythm": "rhythm", "drum": "drum_electronic"}
    assert plan.recipes == ({role: f"{role}_quick" for role in standard} if quick else standard)
    assert plan.cpu == "18%"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, file in (
        ("drums", "kick.wav"),
        ("midi", "beat.mid"),
        ("empty", "notes.txt"),
        ("full", "x.txt"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(b"")
    return tmp_path


DRUM = ("drums", "--kind", "drum")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["drums"],
            "say what to make, with --kind: arpeggio, drive, drum, ear, groove, rhythm, spectra, voice.",
        ),
        (["nowhere", "--kind", "drum"], "there is no folder nowhere"),
        (["drums", "--kind", "pianos"], "there is no kind 'pianos'"),
        (["drums", "--kind", "drums"], "the kind is called drum"),
        (["empty", "--kind", "drum"], "found no audio in empty; a drum is made of"),
        (["drums", "--kind", "rhythm"], "found no MIDI files in drums"),
        (
            ["drums", "--kind", "groove"],
            "a groove is made of 2 folders, one with MIDI files and one with audio; 1 folder given",
        ),
        (["drums", "midi", "--kind", "drum"], "a drum is made of 1 folder, one with audio; 2 folders given"),
        (["drums", "empty", "--kind", "groove"], "found no MIDI files in drums and empty"),
        (["midi", "empty", "--kind", "groove"], "found no audio in empty"),
        (["drums", "midi", "--kind", "groove", "--recipe", "drum"], "--recipe is for one model"),
        ([*DRUM, "--board", "moog"], "there is no board 'moog'"),
        ([*DRUM, "--board", "rpi4"], "Cortex-M7"),
        ([*DRUM, "--cpu", "lots"], "--cpu lots is no share"),
        ([*DRUM, "--cpu", "0"], "--cpu 0 is no share"),
        ([*DRUM, "--time", "soon"], "--time soon is not a length of time"),
        ([*DRUM, "--time", "-5m"], "--time -5m"),
        ([*DRUM, "--recipe", "nothing"], "there is no recipe named 'nothing'"),
        ([*DRUM, "--recipe", "rhythm"], "the recipe rhythm trains a rhythm"),
        ([*DRUM, "-o", "drums/kick.wav"], "drums/kick.wav is a file"),
        ([*DRUM, "-o", "full"], "full holds something else already"),
        ([*DRUM, "-o", "drums/made"], "drums/made lies inside drums"),
    ],
)
def test_what_can_be_refused_is_refused_before_the_first_stage(words, said, folders, capsys, monkeypatch):
    monkeypatch.setattr("workflow.commands.run_stages", lambda *_: pytest.fail("a stage was run"))
    before = sorted(folders.rglob("*"))
    assert vaectrol.main(["make", *words]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(folders.rglob("*")) == before


def test_a_stage_says_how_long_it_will_take_and_took(tmp_path, capfd):
    stage = dataclasses.replace(toy_stage(tmp_path), takes_s=200.0)
    run_stages([stage], tmp_path)
    said = capfd.readouterr().out
    assert "1 stage to run, about 3 min" in said
    assert "a few drums (about 3 min)" in said
    assert "    took " in said
    # the next time it knows better
    (tmp_path / "sounds" / "manifest.json").unlink()
    assert expected_s(stage, tmp_path) < 100


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (75, "75 s"), (200, "3 min"), (9000, "2.5 h")])
def test_a_length_of_time_in_words(seconds, words):
    assert in_words(seconds) == words
