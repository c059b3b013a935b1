"""A report says the same thing twice, adds up, gates regressions and refuses in words."""

from __future__ import annotations

import copy
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vaectrol
from bench.live.timing import percentiles
from bench.m7.microcases import CASES
from bench.predict import predict_model, sweep, ticks_of_callback
from bench.quality import Item, Player, assess, compare, log_spectral_db, onset_error_ms, snr_db
from bench.quality import test_items as read_items
from bench.reference_decoders import Builder, write_decoder
from bench.report.gate import against
from bench.report.page import render_page
from bench.report.report import Benched, Wanted, make_report
from bench.report.schema import Report
from bench.report.target import resolve
from common.files import write_json
from common.page import PREDICTED
from common.refusal import Refusal
from hardware.board import load_board
from tests.firmware.conftest import model_files  # noqa: F401 - a fixture
from tests.pages import check_page


def tiny(form: str, folder: Path) -> Path:
    """Two causal convolutions at the audio rate."""
    import onnx

    b = Builder(form, 3)
    x = b.quantize("audio", b.rng.standard_normal((1, 512)))
    y = b.conv(b.leaky(b.conv(x, 8, 3)), 1, 5, dilation=2)
    b.node("Identity", [y.name])
    b.nodes[-1].output[0] = "out"
    inputs = [{"name": "audio", "role": "audio", "rate": "1", "range": [-1, 1], "channels": ["a"]}]
    model = b.finish("tiny", {"in": {"audio": 1}, "out": {"out": 1}}, {"inputs": inputs, "format": 1}, [])
    names = {"float": "tiny.onnx", "w8a16": "tiny.int8.onnx", "w8a8": "tiny.w8a8.int8.onnx"}
    path = folder / names[form]
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    for form in ("float", "w8a16", "w8a8"):
        tiny(form, place)
    return place


@pytest.fixture(scope="module")
def benched(folder: Path) -> Benched:
    wanted = Wanted(sweep=False, seconds=0.3, wavs=folder / "wav")
    return make_report(str(folder / "tiny.int8.onnx"), load_board("patch_sm"), wanted)


@pytest.fixture(scope="module")
def report(benched: Benched) -> Report:
    return benched.report


def test_two_predictions_are_identical(folder: Path, report: Report) -> None:
    again = predict_model(folder / "tiny.int8.onnx", load_board("patch_sm"))
    assert json.dumps(again) == json.dumps(report["models"]["model"]["predicted"])


def test_layers_add_up_to_the_mean(report: Report) -> None:
    predicted = report["models"]["model"]["predicted"]
    total = sum(layer["cycles"] for layer in predicted["layers"])
    assert total == pytest.approx(predicted["cpu"]["mean_cycles"], rel=1e-3)
    assert sum(layer["share"] for layer in predicted["layers"]) == pytest.approx(1.0, abs=1e-3)
    assert predicted["bit_exact"]["differing"] == 0
    assert predicted["bit_exact"]["compared"] >= 48 * 100


def test_convolutions_are_charged_for_their_own_work(report: Report) -> None:
    layers = report["models"]["model"]["predicted"]["layers"]
    convolutions = [layer for layer in layers if layer["kernel"].startswith("conv")]
    assert [layer["macs"] for layer in convolutions] == [48 * 8 * 3, 48 * 8 * 5]
    assert all(layer["cycles"] > 0.5 * layer["macs"] for layer in convolutions)


def test_formats_and_quality_stand_beside_the_prediction(folder: Path, report: Report) -> None:
    part = report["models"]["model"]
    assert set(part["formats"]) == {"float", "w8a16", "w8a8"}
    assert part["formats"]["w8a16"]["cpu_mean"] < part["formats"]["float"]["cpu_mean"]
    quality = part["quality"]["formats"]
    assert quality["w8a16"]["snr_db"] > quality["w8a8"]["snr_db"] > 10
    assert (folder / "wav" / "model" / "null_w8a16.wav").exists()


def test_quality_is_judged_on_the_test_items_beside_the_model(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "kit.int8.onnx"
    shutil.copy(folder / "tiny.int8.onnx", model)
    beside = tmp_path / "kit.int8.onnx.report"
    beside.mkdir()
    shutil.copy(folder / "tiny.onnx", beside / "float.onnx")
    shutil.copy(folder / "tiny.onnx", beside / "pruned.onnx")
    rng = np.random.default_rng(0)
    sounds = rng.uniform(-0.5, 0.5, (3, 1, 9600)).astype(np.float32)
    items = {f"{n}/in/audio": sound for n, sound in enumerate(sounds)}
    truths = {f"{n}/truth/out": 0.5 * sound for n, sound in enumerate(sounds)}
    np.savez(beside / "test.npz", source=np.array("a run"), **items, **truths)
    wavs = tmp_path / "wav"
    wanted = Wanted(sweep=False, formats=False, quality=False, wavs=wavs)
    made = make_report(str(model), load_board("patch_sm"), wanted)
    quality = made.report["models"]["model"]["quality"]
    assert quality["inputs"] == "3 items of the test split of a run"
    # nothing was pruned in fact: not a bit may differ from float
    assert quality["formats"]["pruned"]["peak_difference"] == 0.0
    rounded = quality["formats"]["w8a16"]
    assert 20 < rounded["worst_snr_db"] <= rounded["snr_db"] < 90
    assert quality["recordings"]["float"] == quality["recordings"]["pruned"]
    assert quality["recordings"]["float"]["multi_resolution_stft"] > 0.1
    null, _ = soundfile.read(wavs / "model" / "null_pruned.wav")
    assert len(null) == 3 * 9600
    assert not null.any()
    page = render_page(made.report, made.sounds)
    check_page(page)
    assert "against the data" in page
    # float, pruned and rounded, and what the last one changes
    assert page.count("<audio controls") == 4


def test_an_event_model_is_compared_with_the_host_and_judged_on_its_test_items(
    model_files: dict[str, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    model = tmp_path / "rhythm.onnx"
    shutil.copy(model_files["rhythm"], model)
    predicted = predict_model(model, load_board("patch_sm"))
    assert predicted["event"]
    assert predicted["bit_exact"]["differing"] == 0
    assert predicted["bit_exact"]["compared"] >= 27 * 32
    player = Player(model)
    rng = np.random.default_rng(0)
    ports = {port["label"]: (port["channels"], port["frames"]) for port in player.model.inputs}
    items = []
    for _ in range(4):
        inputs = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in ports.items()}
        items.append(Item(inputs, player.play(inputs)))
    found, _ = assess(model, {"w8a16": model}, items, "four walks")
    (row,) = found["formats"].values()
    assert row["peak_difference"] == 0.0
    assert row.get("onsets_alike", 1.0) == 1.0
    assert all(judged["onset_f1"] in (0.0, 1.0) for judged in found.get("recordings", {}).values())


def test_onsets_are_judged_by_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pattern:
        is_event = True

        def __init__(self, path: Path):
            self.pattern = np.array([[0.9, 0.2, 0.6], [0.1, 0.4, 0.2], [9.0, 9.0, 9.0]], np.float32)
            if path.name == "other.onnx":
                self.pattern[0] = 0.8, 0.7, 0.4

        def play(self, inputs: dict) -> dict[str, np.ndarray]:
            return {"pattern": self.pattern}

    monkeypatch.setattr("bench.quality.Player", Pattern)
    monkeypatch.setattr("bench.quality.onset_rows", lambda path: slice(0, 2))
    truth = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]], np.float32)
    items = [Item({}, {"pattern": truth})]
    found, _ = assess(Path("float.onnx"), {"w8a16": Path("other.onnx")}, items, "one")
    assert found["formats"]["w8a16"]["onsets_alike"] == pytest.approx(4 / 6, abs=1e-5)
    assert found["recordings"]["float"]["onset_f1"] == 0.8  # two of two heard, two of three found
    assert found["recordings"]["w8a16"]["onset_f1"] == 0.4


def test_a_file_that_holds_no_test_items_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test.npz").write_text("no archive")
    with pytest.raises(Refusal, match="does not hold test items"):
        read_items(tmp_path / "test.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(Refusal, match="quantize the run again"):
        read_items(tmp_path / "other.npz")


def test_the_page_stands_alone_and_says_everywhere_that_cycles_are_predicted(benched: Benched) -> None:
    page = render_page(benched.report, benched.sounds)
    check_page(page)
    assert page.count("<svg") >= 4
    # the model's figures; load, layers twice, roofline, latency, formats
    assert page.count(PREDICTED) >= 7


def test_an_unchanged_report_passes_the_gate_and_a_slower_one_does_not(
    report: Report, tmp_path: Path
) -> None:
    old = tmp_path / "old.json"
    write_json(old, report)
    assert against(report, old) == ([], False)
    slower = copy.deepcopy(report)
    for figure in ("mean", "worst", "p99"):
        slower["models"]["model"]["predicted"]["cpu"][figure] *= 1.05
    lines, worse = against(slower, old)
    assert worse
    assert "REGRESSED" in lines[0]
    faster = copy.deepcopy(report)
    faster["models"]["model"]["predicted"]["cpu"]["mean"] *= 0.9
    assert against(faster, old)[1] is False


def test_an_instrument_is_reported_whole_and_gated(
    model_files: dict[str, Path],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.report.report.INSTRUMENT_S", 0.6)
    wanted = Wanted(sweep=False, quality=False)
    made = make_report("drum", load_board("patch_sm"), wanted, models={"drum": model_files["drum"]})
    whole = made.report["instrument"]
    assert whole["samples_that_differ_from_host"] == 0
    assert len(whole["callback_cycles"]) == whole["callbacks_traced"] > 100
    # the network alone is a part of the instrument
    assert whole["cpu"]["mean"] > made.report["models"]["drum"]["predicted"]["cpu"]["mean"] > 0
    shares = list(whole["cpu_by_function"].values())
    assert shares == sorted(shares, reverse=True)
    assert 0.5 * whole["cpu"]["mean"] < sum(shares) <= whole["cpu"]["mean"] * 1.001
    page = render_page(made.report, made.sounds)
    check_page(page)
    assert "The whole instrument" in page
    old = tmp_path / "old.json"
    write_json(old, made.report)
    assert against(made.report, old) == ([], False)
    slower = copy.deepcopy(made.report)
    slower["instrument"]["cpu"]["worst"] *= 1.05
    lines, worse = against(slower, old)
    assert worse
    assert lines == [line for line in lines if line.startswith("whole instrument: CPU worst")]
    with pytest.raises(Refusal, match="goes with an instrument"):
        resolve("nano", {"drum": model_files["drum"]})


RESULTS = Path(__file__).parents[2] / "bench" / "results"


@pytest.mark.parametrize("decoder", ["nano", "raspberry", "anomaly"])
def test_the_reference_decoders_cost_no_more_than_the_committed_results_say(decoder: str, capsys) -> None:
    words = ["bench", decoder, "--quick", "--against", str(RESULTS / f"{decoder}.json")]
    status = vaectrol.main(words)
    said = capsys.readouterr().out
    assert "REGRESSED" not in said, said
    assert status == 0


def test_a_run_folder_is_its_decoder_quantized_where_it_is_there(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(Refusal, match="is not a run"):
        resolve(str(run))
    (run / "recipe.toml").write_text('kind = "drum"')
    with pytest.raises(Refusal, match="holds no decoder"):
        resolve(str(run))
    for name in ("kit.onnx", "kit.encoder.onnx"):
        shutil.copy(folder / "tiny.onnx", run / name)
    assert resolve(str(run)) == {"model": run / "kit.onnx"}
    shutil.copy(folder / "tiny.int8.onnx", run / "kit.int8.onnx")
    assert resolve(str(run)) == {"model": run / "kit.int8.onnx"}
    shutil.copy(folder / "tiny.int8.onnx", run / "other.int8.onnx")
    with pytest.raises(Refusal, match=r"several quantized models \(kit.int8.onnx, other.int8.onnx\)"):
        resolve(str(run))


def test_the_command_takes_a_run_folder(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text('kind = "drum"')
    for name in ("tiny.onnx", "tiny.int8.onnx"):
        shutil.copy(folder / name, run / name)
    out = tmp_path / "report"
    assert vaectrol.main(["bench", str(run), "--quick", "-o", str(out)]) == 0
    assert json.loads((out / "report.json").read_text())["models"]["model"]["file"] == "tiny.int8.onnx"
    check_page((out / "report.html").read_text())


def test_the_gate_refuses_what_is_no_report(report: Report, tmp_path: Path) -> None:
    broken = {**report, "models": {"model": {"predicted": {"cpu": {"mean": "a lot"}}}}}
    write_json(tmp_path / "damaged.json", broken)
    with pytest.raises(Refusal, match="damaged report"):
        against(report, tmp_path / "damaged.json")
    (tmp_path / "a.json").write_text("[1, 2]")
    (tmp_path / "b.json").write_text("{")
    for name in ("a.json", "b.json", "absent.json"):
        with pytest.raises(Refusal):
            against(report, tmp_path / name)


def test_sweep_covers_the_block_sizes_the_board_has(folder: Path) -> None:
    rows = sweep(folder / "tiny.int8.onnx", load_board("patch_sm"), frames=64)
    assert [row["block"] for row in rows] == [8, 16, 32, 48, 64, 128, 256]
    assert rows[0]["cpu_mean"] > rows[-1]["cpu_mean"]
    assert rows[0]["latency_ms"] < rows[-1]["latency_ms"]


def test_unknown_targets_and_boards_without_a_cortex_m7_are_refused(folder: Path) -> None:
    for target in ("no_such_thing", "no_such_file.onnx"):
        with pytest.raises(Refusal, match="no_such"):
            resolve(target)
    with pytest.raises(Refusal, match="Cortex-M7 only"):
        predict_model(folder / "tiny.int8.onnx", load_board("rpi4"))
    with pytest.raises(Refusal):
        load_board("no_such_board")


def test_quality_numbers_know_silence_noise_and_delay() -> None:
    rng = np.random.default_rng(0)
    sound = np.zeros(24000)
    sound[6000:] = rng.standard_normal(18000) * np.exp(-np.arange(18000) / 3000)
    assert snr_db(sound, sound) > 150
    assert log_spectral_db(sound, sound) == 0.0
    assert snr_db(sound, sound + 0.1 * sound) == pytest.approx(20.0, abs=0.01)
    assert onset_error_ms(sound, np.roll(sound, 96), 48000) == pytest.approx(2.0, abs=0.1)
    # a kick's later half-waves are no onsets
    kick = np.sin(2 * np.pi * 50 * np.arange(24000) / 48000) * np.exp(-np.arange(24000) / 4000)
    assert onset_error_ms(np.roll(kick, 48), kick * np.linspace(0.8, 1.0, 24000), 48000) <= 1.0
    assert compare(sound, sound, 48000)["multi_resolution_stft"] == 0.0


def test_percentiles_count_what_came_too_late() -> None:
    found = percentiles(np.array([1e-4] * 98 + [2e-3] * 2), 1e-3)
    assert found["xruns"] == 2
    assert found["p50_us"] == pytest.approx(100)
    assert found["max_us"] == pytest.approx(2000)


@pytest.mark.parametrize(("name", "block"), [("nano", 48), ("raspberry", 2048)])
def test_every_peer_streams_what_the_network_gives_offline(tmp_path: Path, name: str, block: int) -> None:
    import onnxruntime

    from bench.live import peers
    from bench.live.explicit_state import with_states
    from quantize.formats.tflite import float_tflite

    path = write_decoder(name, "float", tmp_path)
    model, states = with_states(path)
    feeds = peers.fixed_feeds(model, path, block)
    ((label, first),) = feeds.items()
    frames = first.shape[2]
    x = np.random.default_rng(0).standard_normal((1, first.shape[1], 5 * frames)).astype(np.float32)
    expected = onnxruntime.InferenceSession(str(path)).run(None, {label: x})[0]
    steps = {
        "onnxruntime": peers.onnxruntime_step(model, states, feeds),
        "LiteRT": peers.litert_step(model, states, feeds, float_tflite),
        "torch eager": peers.torch_step(model, states, feeds, scripted=False),
        "TorchScript": peers.torch_step(model, states, feeds, scripted=True),
    }
    assert set(steps) == set(peers.NAMES)
    for runtime, step in steps.items():
        heard = []
        for k in range(5):
            feeds[label] = np.ascontiguousarray(x[:, :, frames * k : frames * (k + 1)])
            heard.append(step()[0].copy())
        found = np.concatenate(heard, axis=2)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=1e-4), runtime


def test_a_live_run_has_a_row_for_every_peer_and_names_who_is_absent(folder: Path) -> None:
    from bench.live.host import live
    from quantize.formats.tflite import float_tflite

    path, plain = folder / "tiny.int8.onnx", folder / "tiny.onnx"
    found = live(path, 48, float_path=plain, callbacks=20, to_tflite=float_tflite)["side_by_side"]
    assert list(found["rows"]) == [
        "vaectrol, integers",
        "vaectrol, float",
        "onnxruntime",
        "LiteRT",
        "torch eager",
        "TorchScript",
    ]
    assert found["absent"] == {}
    for row in found["rows"].values():
        assert 0 < row["p50_us"] <= row["p99_us"] <= row["p999_us"] <= row["max_us"]
        assert row["callbacks"] == 20
    without = live(path, 48, float_path=plain, callbacks=20)["side_by_side"]
    assert set(without["absent"]) == {"LiteRT"}


def test_on_a_board_without_a_cycle_model_the_command_measures_live(
    folder: Path, tmp_path: Path, capsys
) -> None:
    words = ["bench", str(folder / "tiny.int8.onnx"), "--board", "rpi4", "--live", "--quick"]
    assert vaectrol.main([*words, "-o", str(tmp_path)]) == 0
    part = json.loads((tmp_path / "report.json").read_text())["models"]["model"]
    assert "predicted" not in part
    assert len(part["live"]["side_by_side"]["rows"]) == 6
    assert part["live"]["side_by_side"]["absent"] == {}
    assert {"processor", "cores", "governor"} <= set(part["live"]["machine"])
    said = capsys.readouterr().out
    for shown in (said, (tmp_path / "report.html").read_text()):
        assert "LiteRT" in shown
        assert "jitter" in shown


def test_there_are_as_many_micro_cases_as_the_readme_says() -> None:
    text = (Path(__file__).parents[2] / "bench" / "README.md").read_text(encoding="utf-8")
    assert f"{len(CASES)} micro-cases" in text


@pytest.mark.parametrize("rate", [Fraction(48), Fraction(48, 256), Fraction(24, 512), Fraction(3, 2)])
def test_callbacks_of_a_model_that_is_slower_than_they_are_hold_no_tick_too_many(rate):
    ticks = [ticks_of_callback(k, rate) for k in range(1024)]
    assert sum(ticks) == int(1024 * rate)
    assert set(ticks) <= {int(rate), int(rate) + 1}
