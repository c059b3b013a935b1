"""Wrong commands and wrong files, across all commands: one sentence, status 2, nothing half-written.

A row is what a hurried or unlucky user types; ``{name}`` is a file or folder of `things`. Status 0, a
traceback, or a new file beside the things is a failure.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vaectrol

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "firmware" / "models"
BOARDS = ROOT / "hardware" / "boards"
INSTRUMENTS = ROOT / "firmware" / "instruments"

WRONG = """
nonsense
--nonsense
train
train nonsense
train {missing}.toml
train {empty}
train {words}
train {recipe_key}
train {recipe_value}
train {recipe_kind}
train {folder}
train drum
train drum --data {missing}
train drum --data {folder}
train drum --data {words}
train drum --data {broken_set}
train drum --data {folder} --time soon
train drum --data {folder} --time -5m
train drum --data {folder} --time 0s
train drum --data {folder} --time nan
train drum --data {folder} --set fit.steps
train drum --data {folder} --set fit.steps=many
train drum --data {folder} --set nothing.here=1
train drum --data {folder} --set fit.steps=-1
train drum --data {folder} --resume -o {missing}
train drum --data {folder} --sweep nonsense
train digits -o {words}
train digits -o {folder}
train digits -o {words}/run
train digits --sweep drum_quick -o {words}
budget
budget nonsense
budget {missing}.onnx
budget {words}.onnx
budget {broken_onnx}
budget {half_onnx}
budget {drum_onnx} --board nonsense
budget {drum_onnx} --board {words}
budget {drum_onnx} --block 0
budget {drum_onnx} --block -48
budget {drum_onnx} --block 1000000
budget drum --set fit.steps
evaluate
evaluate {missing} --data {folder}
evaluate {folder} --data {folder}
evaluate {drum_onnx} --data {folder}
evaluate {broken_onnx} --data {missing}
evaluate {drum_onnx} --data {missing} --split everything
evaluate {drum_onnx} --data {folder} -o {words}
probe {folder} --data {folder}
probe {missing} --data {missing}
probe {folder} --data {folder} -o {words}
place {folder} {dry} {dry}
place {missing} {dry} {dry}
place {folder} {dry} {silence} -o {folder}
place {folder} {dry} {silence} -o {dry}
place {folder} {dry} {silence} -o {words}
quantize {missing} -o {new}.onnx
quantize {folder} -o {new}.onnx
quantize {drum_onnx} -o {new}.onnx
quantize --ptq {missing}.onnx -o {new}.onnx
quantize --ptq {broken_onnx} -o {new}.onnx
quantize {folder} --prune 2 -o {new}.onnx
quantize {folder} --cpu lots -o {new}.onnx
quantize {folder} --cpu 400% -o {new}.onnx
quantize {folder} --activations 12 -o {new}.onnx
quantize {folder} -o {folder}
quantize {folder} -o {words}
quantize {drum_onnx} -o {drum_onnx}
quantize {folder} -o {words}/kit.onnx
quantize {folder} -o {new}.onnx --report {words}
quantize {folder} --curve {folder}
quantize {folder} --curve {words}
dissect {missing}.onnx
dissect {broken_onnx}
dissect {drum_onnx} -o {words}
bend {missing}.onnx
bend {broken_onnx}
bend {drum_onnx} --sites nothing_like_it
bend {drum_onnx} --sites .* --moves all
bend {drum_onnx} --sites leaky_relu --moves melt
bend {drum_onnx} --sites leaky_relu -o {words}
export {missing}.onnx --to tflite
export {drum_onnx} --to nonsense
export {broken_onnx} --to torchscript
export {drum_onnx} --to tflite -o {folder}
export {drum_onnx} --to tflite -o {words}
export {drum_onnx} --to onnx -o {drum_onnx}
compile
compile {missing}.onnx -o {new}
compile {broken_onnx} -o {new}
compile {half_onnx} -o {new}
compile {words} -o {new}
compile {drum_onnx} --target z80 -o {new}
compile {drum_onnx} --board nonsense -o {new}
compile {drum_onnx} --block 0 -o {new}
compile {drum_onnx} --schedule someday -o {new}
compile {drum_onnx} -o {words}
build
build nonsense -o {new}
build {missing}.toml -o {new}
build {words} -o {new}
build {instrument_kind} -o {new}
build {instrument_jack} -o {new}
build {instrument_target} -o {new}
build drum --board nonsense -o {new}
build drum --board {board_broken} -o {new}
build drum --model drum={missing}.onnx -o {new}
build drum --model drum={rhythm_onnx} -o {new}
build drum --model rhythm={rhythm_onnx} -o {new}
build drum --model {drum_onnx} -o {new}
build drum --block 0 -o {new}
build drum --block 999 -o {new}
build drum -o {words}
play
play nonsense -o {new}.wav
play drum --cv {missing}.csv -o {new}.wav
play drum --cv {words} -o {new}.wav
play drum --cv {empty} -o {new}.wav
play drum --cv {cv_column} -o {new}.wav
play drum --cv {cv_nan} -o {new}.wav
play drum --cv {cv_backwards} -o {new}.wav
play drum --cv {cv_text} -o {new}.wav
play drum --cv {cv} --seconds nan -o {new}.wav
play drum --cv {cv} --seconds -1 -o {new}.wav
play drum --cv {cv} --seconds 1e99 -o {new}.wav
play drum --cv {cv} --block 0 -o {new}.wav
play drum --cv {cv} --model drum={broken_onnx} -o {new}.wav
play drum --cv {cv} --model drum={folder} -o {new}.wav
play drum --cv {cv} -o {folder}
play drum --cv {cv} -o {words}/drum.wav
play drive --cv {cv} --sound {missing}.wav -o {new}.wav
play drive --cv {cv} --sound {words} -o {new}.wav
play drive --cv {cv} --sound {silence} -o {new}.wav
play drum --osc nonsense
play drum --midi {missing}.mid -o {new}.wav
play drum --midi {words} -o {new}.wav
play drum --midi {empty} -o {new}.wav
play drum --midi {folder} -o {new}.wav
play drum --midi {words} --demo
play drum --demo --midi-out {new}.mid
play rhythm --demo --midi-out {folder}
play rhythm --demo --midi-out {words}
play drum --midi-port nonsense --seconds 1 -o {new}.wav
play drum --midi-port x --midi {words}
play drum --osc 9000 -o {folder}
play drum --cv {cv} -o {cv}
play drum --cv {cv} -o {new}.wav --picture {folder}
emulate
emulate nonsense -o {new}.wav
emulate drum --cv {cv} --board host -o {new}.wav
emulate drum --cv {cv} --board rpi4 -o {new}.wav
emulate drum --cv {missing}.csv -o {new}.wav
emulate drum --cv {cv} -o {folder}
emulate drum --cv {cv} -o {words}
bench
bench nonsense
bench {missing}.onnx
bench {broken_onnx}
bench {drum_onnx} --board nonsense
bench {drum_onnx} --against {words} --quick
bench {drum_onnx} -o {words} --quick
bench {folder}
bench {drum_onnx} -o {words}/report
bench-all -o {words}
latency -o {folder}
latency -o {words}
latency --rate 1
monitor --port {missing}
monitor --port {words} --once
calibrate cv_1 --port {missing}
calibrate nonsense --port {missing}
flash {missing}.bin
flash {words}
flash {empty}
flash {folder}
simulate nonsense -o {new}
simulate drum --board nonsense -o {new}
simulate drum -o {words}
control --port {missing}
pc nonsense -o {new}
pc drum -o {words}
make
make {missing} --kind drum -o {new}
make {folder} --kind drum -o {new}
make {folder} --kind nonsense -o {new}
make {folder} -o {new}
make {sounds} --kind drum --board nonsense -o {new}
make {sounds} --kind drum --time soon -o {new}
make {sounds} --kind drum --cpu lots -o {new}
make {sounds} --kind drum --recipe nonsense -o {new}
make {sounds} --kind drum -o {words}
make {sounds} --kind groove -o {new}
demo --board nonsense -o {new}
demo --train-time soon -o {new}
demo -o {words}
demo -o {folder}
factory nonsense --data {folder} -o {new}
factory drum --data {missing} -o {new}
factory drum --data {broken_set} -o {words}
factory drum --data {broken_set} -o {new} --into {words}
toy drum
toy nonsense {new}
toy drum {new} --items 0
toy drum {new} --items -3
toy drum {words}
toy drum {folder}
toy drum {words}/drums
toy rhythm {words}
toy drive {folder}
toy digits {words}
toy phrase guitar {folder}
toy phrase guitar {words}
toy drive {new} --seconds nan
toy drive {new} --chain {missing}.toml
toy drive {new} --chain {words}
data
data prepare drum {missing} {new}
data prepare drum {folder} {new}
data prepare nonsense {sounds} {new}
data prepare drum {words} {new}
data prepare drum {sounds} {words}
data prepare drum {sounds} {folder}
data prepare drum {sounds} {words}/set
data prepare rhythm {sounds} {new}
data prepare drive {sounds} {new}
data prepare drum {sounds} {new} --names {missing}.toml
data prepare drum {sounds} {new} --names {words}
data prepare drum {sounds} {new} --hold-out everything
data prepare rhythm {sounds} {new} --hop-bars 0
board show nonsense
board show {board_broken}
board show {missing}.toml
board panel nonsense -o {new}
board panel {words} -o {new}
board panel patch_sm -o {words}
board panel patch_sm -o {words}/panel
board bom nonsense
""".strip().splitlines()


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files and folders that are not what they are taken for, and some that are right."""
    place = tmp_path_factory.mktemp("things")
    found = {"missing": place / "missing", "new": place / "new"}

    def text(name: str, content: str, suffix: str = "") -> None:
        found[name] = place / f"{name}{suffix}"
        found[name].write_text(content)

    text("words", "these are words, not what was asked for\n")
    text("empty", "")
    text("recipe_key", 'name = "x"\nkind = "drum"\nsteps = 5\n', ".toml")
    text("recipe_value", 'name = "x"\nkind = "drum"\n[fit]\nsteps = "many"\n', ".toml")
    text("recipe_kind", 'name = "x"\nkind = "trombone"\n', ".toml")
    text("instrument_kind", 'title = "x"\nkind = "trombone"\n[models]\ndrum = "drum"\n', ".toml")
    drum = (INSTRUMENTS / "drum.toml").read_text()
    text("instrument_jack", re.sub(r'knob = "knob_1"', 'knob = "slider_1"', drum), ".toml")
    text("instrument_target", re.sub(r'to = "latent\.1"', 'to = "latent.99"', drum), ".toml")
    board = (BOARDS / "patch_sm.toml").read_text()
    text("board_broken", board.replace("clock_hz", "clock_speed"), ".toml")
    text("cv", "time,gate_in_1\n0.0,0\n0.1,5\n0.2,0\n", ".csv")
    text("cv_column", "time,slider_9\n0.0,0\n", ".csv")
    text("cv_nan", "time,cv_5\n0.0,nan\n0.5,1\n", ".csv")
    text("cv_backwards", "time,cv_5\n0.5,0\n0.1,1\n", ".csv")
    text("cv_text", "time,cv_5\n0.0,loud\n", ".csv")
    text("broken_onnx", "not an ONNX file", ".onnx")
    for role in ("drum", "rhythm"):
        found[f"{role}_onnx"] = MODELS / f"{role}.int8.onnx"
    found["half_onnx"] = place / "half.onnx"
    whole = found["drum_onnx"].read_bytes()
    found["half_onnx"].write_bytes(whole[: len(whole) // 2])
    found["folder"] = place / "folder"
    found["folder"].mkdir()
    (found["folder"] / "readme.txt").write_text("somebody else's")
    found["sounds"] = place / "sounds"
    found["sounds"].mkdir()
    rng = np.random.default_rng(1)
    for number in range(3):
        hit = rng.standard_normal(9600) * np.exp(-np.arange(9600) / 1200) * 0.3
        soundfile.write(found["sounds"] / f"snare_{number}.wav", hit, 48000)
    found["dry"] = found["sounds"] / "snare_0.wav"
    found["silence"] = place / "silence.wav"
    soundfile.write(found["silence"], np.zeros(4800), 48000)
    found["broken_set"] = place / "broken_set"
    found["broken_set"].mkdir()
    (found["broken_set"] / "manifest.json").write_text(json.dumps({"kind": "drum"})[:-3])
    return found


def _listed(folder: Path) -> dict[Path, bytes]:
    """All files; what `data prepare` has read already is kept in .work on purpose, for the next try."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".work" not in path.parts)
    return {path: path.read_bytes() for path in files}


def test_there_are_more_than_a_hundred() -> None:
    assert len(WRONG) == len(set(WRONG)) >= 200
    commands = {row.split()[0] for row in WRONG}
    assert {
        "train",
        "quantize",
        "compile",
        "build",
        "play",
        "bench",
        "make",
        "data",
        "toy",
        "flash",
    } <= commands


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_command_is_one_sentence(
    row: str,
    things: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    place = things["missing"].parent
    before = _listed(place)
    status = vaectrol.main(row.format(**things).split())
    said = capfd.readouterr()
    assert status == 2, f"status {status}: {said.err[-300:]}"
    assert "Traceback" not in said.err
    assert (said.err + said.out).strip(), "it says nothing"
    assert _listed(place) == before, "something was written or changed"
    assert _listed(tmp_path) == {}, "something was left in the current folder"
