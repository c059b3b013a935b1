"""A pedal is placed: its point, what a flow reads there, and how it sounds; a flow that inverts."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from common.refusal import Refusal
from tests.train.test_drive import SMALL
from train.analysis.locate_device import place, write
from train.attributes.effect import ParameterTable, amount_of
from train.fit import fit
from train.judges.player import Player, open_player
from train.kinds import load_recipe
from train.latents.space import FILE, Space, fit_space
from train.models.flow import ParameterFlow
from vaectrol import main

SIZE, TYPES = 8, 5


def random_flow(seed=0):
    torch.manual_seed(seed)
    flow = ParameterFlow(SIZE, TYPES, torch.ones(TYPES, SIZE))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return flow.double().eval()


def one_hot_in_double(flow):
    flow._one_hot = lambda kind: torch.nn.functional.one_hot(kind, flow.types).double()
    return flow


@torch.no_grad()
def test_the_flow_inverts():
    flow = one_hot_in_double(random_flow())
    z, kind = 2 * torch.randn(64, SIZE, dtype=torch.float64), torch.arange(64) % TYPES
    u, _ = flow(z, kind)
    assert (u - z).abs().max() > 0.5
    assert torch.allclose(flow.inverse(u, kind), z, atol=1e-8)


def test_the_flow_knows_how_it_changes_volumes():
    flow = one_hot_in_double(random_flow(1))
    z, kind = torch.randn(1, SIZE, dtype=torch.float64), torch.tensor([2])
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, kind)[0][0], z)[:, 0]
    assert float(flow(z, kind)[1]) == pytest.approx(float(torch.linalg.slogdet(jacobian)[1]), abs=1e-8)


@torch.no_grad()
def test_corrected_latents_read_as_the_parameters_and_else_as_they_were():
    flow = random_flow(2).float()
    flow.known[:, 5:] = 0
    z, kind = 2 * torch.randn(64, SIZE), torch.arange(64) % TYPES
    stated = torch.randn(64, SIZE)
    stated[:, 1] = torch.nan
    before, after = flow(z, kind)[0], flow(flow.corrected(z, kind, stated, reach=1.5), kind)[0]
    told = [0, 2, 3, 4]
    assert torch.allclose(after[:, told], stated[:, told], atol=1e-4)
    rest = [1, 5, 6, 7]
    assert before[:, rest].abs().max() > 1.5
    assert torch.allclose(after[:, rest], before[:, rest].clamp(-1.5, 1.5), atol=1e-4)


def made_up(count, seed=0):
    """Two effects whose parameters lie bent and mixed in the latents."""
    rng = np.random.default_rng(seed)
    items, z = [], []
    for number in range(count):
        drive, tone, rest = rng.uniform(0, 30), rng.uniform(-1, 1), rng.standard_normal(2)
        a = (drive - 15) / 9
        place = [2.5 if number % 2 else -2.5, 0.5 * a + 0.2 * tone, tone + 0.1 * a * a, rest[0]]
        z.append([place[0] + 0.1 * rest[1], *place[1:]])
        parameters = {"box.drive_db": drive, "box.tone": tone, "box.fixed": 6}
        items.append({"effect": ("fuzz", "tube")[number % 2], "parameters": parameters})
    return items, np.array(z, np.float32)


def test_a_fitted_space_reads_and_makes():
    items, z = made_up(240)
    space = fit_space(items[:200], z[:200], np.full((200, 4), 0.05), steps=400)
    readings = [space.read(point) for point in z[200:]]
    assert [r.effect for r in readings] == [item["effect"] for item in items[200:]]
    assert all(r.probability > 0.9 and sum(r.others.values()) == pytest.approx(1, abs=1e-5) for r in readings)
    for name in ("box.drive_db", "box.tone"):
        wanted = np.array([item["parameters"][name] for item in items[200:]])
        told = np.array([r.parameters[name] for r in readings])
        assert 1 - np.var(told - wanted) / np.var(wanted) > 0.9
    # and back: ask for parameters, get a point that reads as them
    u = np.zeros((1, 4))
    u[0, 0] = 1.0
    read = space.parameters(space.latents("tube", u)[0], "tube")
    scale = space.table.scales[space.table.effects.index("tube")][0]
    assert scale.name == "box.drive_db" and read[scale.name] == pytest.approx(
        scale.mean + scale.spread, rel=1e-3
    )


def test_a_space_is_kept_whole(tmp_path):
    items, z = made_up(40)
    space = fit_space(items, z, np.full((40, 4), 0.05), steps=20)
    space.save(tmp_path / FILE)
    again = Space.load(tmp_path / FILE)
    assert again.table == space.table and again.read(z[0]) == space.read(z[0])
    (tmp_path / FILE).write_bytes(b"torn")
    with pytest.raises(Refusal, match="it is fitted again"):
        Space.load(tmp_path / FILE)


def test_the_table_puts_the_amount_first_and_leaves_out_what_never_changes():
    table = ParameterTable.of(made_up(20)[0], 4)
    assert [[s.name for s in scales] for scales in table.scales] == [["box.drive_db", "box.tone"]] * 2
    assert table.known().tolist() == [[1, 1, 0, 0]] * 2
    assert ParameterTable.from_json(json.loads(json.dumps(table.as_json()))) == table
    unknown = table.standardised([{"effect": "never met", "parameters": {}}])
    assert np.isnan(unknown).all()
    assert amount_of({"Clipping.threshold_db": -12.0}) == ("Clipping.threshold_db", 12.0)
    assert amount_of({"tone": 3.0}) is None and amount_of(None) is None


@pytest.fixture(scope="module")
def run(drives, tmp_path_factory):
    sets = [*SMALL, "fit.batch=6", "fit.validation_items=8", "fit.steps=6", "fit.interval=6"]
    folder = tmp_path_factory.mktemp("runs") / "drive"
    return fit(load_recipe("drive_quick", sets), drives, folder, pictures=False, export=False)


def files_of(drives, index):
    root, item = Path(drives.head["source"]["path"]), drives.manifest[index]
    return root / item["dry_file"], root / item["file"]


def test_a_pedal_is_placed_and_sounds_as_its_point_does(run, drives, tmp_path):
    broad = next(
        index
        for index, item in enumerate(drives.manifest)
        if "drums" in item["name"] and item["effect"] in ("clipping", "diode", "distortion", "tube")
    )
    dry, wet = files_of(drives, broad)
    found = place(run, dry, wet)
    assert set(found.latents) == {f"z{i}" for i in range(1, 9)}
    assert all(0 <= v <= 1 for v in found.travel.values())
    assert found.effect in {item["effect"] for item in drives.manifest}
    assert (run / FILE).exists()
    before = (run / FILE).stat().st_mtime_ns
    write(found, tmp_path / "placed.wav")
    sound, rate_hz = soundfile.read(tmp_path / "placed.wav")
    assert rate_hz == 48_000 and len(sound) == len(soundfile.read(dry)[0])
    # turned and late, it is the same pedal, and the rendering is turned as it is
    audio, rate_hz = soundfile.read(wet)
    turned = tmp_path / "turned.wav"
    soundfile.write(turned, -np.concatenate([np.zeros(700), audio])[: len(audio)], rate_hz, subtype="FLOAT")
    again = place(run, dry, turned)
    assert again.polarity == -found.polarity
    # A delay under a quarter of a millisecond, 12 samples, is taken for the device's own when it comes alone.
    assert 0 <= again.delay_samples - found.delay_samples - 700 <= 12
    assert np.allclose(list(again.latents.values()), list(found.latents.values()), atol=0.3)
    assert np.corrcoef(again.rendering[:20_000], found.rendering[:20_000])[0, 1] < -0.9
    assert (run / FILE).stat().st_mtime_ns == before


def test_the_command_prints_the_point(run, drives, tmp_path, capsys):
    dry, wet = (str(path) for path in files_of(drives, 0))
    out = tmp_path / "out.wav"
    assert main(["place", str(run), dry, wet, "-o", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rendering"] == str(out) and out.exists() and printed["esr"] > 0
    assert main(["place", str(run), dry, wet, "-o", str(out)]) == 0
    words = capsys.readouterr().out
    assert "type " in words and "z8" in words and "ESR" in words


@pytest.mark.parametrize(("rate_hz", "late"), [(48_000, 100), (44_100, 100), (48_000, 0)])
def test_a_delay_is_taken_out_as_the_model_knows_the_device(run, monkeypatch, tmp_path, rate_hz, late):
    """A phrase shows the delay with that of the device's own filters; what the model knows of them stays."""
    own = 9  # samples at 48 kHz: the device's filter

    def device(x, delay):
        taps = np.zeros(64)
        taps[0], taps[round(delay)], taps[round(delay) + 1] = 0.05, 0.7, 0.3
        return np.tanh(3 * np.convolve(x, taps)[: len(x)])

    known = open_player(run)
    monkeypatch.setattr(
        "train.judges.player.open_player",
        lambda folder: Player(
            "device",
            known.task,
            known.encode,
            lambda feeds: (device(feeds["audio"][0, 0], own)[None, None].astype(np.float32),),
            known.latents,
        ),
    )
    rng = np.random.default_rng(5)
    dry = np.convolve(0.2 * rng.standard_normal(2 * rate_hz), np.hanning(9) / 4, "same")
    wet = np.concatenate([np.zeros(late), device(dry, own * rate_hz / 48_000)])[: len(dry)]
    for name, sound in (("dry", dry), ("wet", wet)):
        soundfile.write(tmp_path / f"{name}.wav", sound, rate_hz, subtype="FLOAT")
    found = place(run, tmp_path / "dry.wav", tmp_path / "wet.wav")
    assert found.delay_samples == late
    assert found.esr < (1e-6 if rate_hz == 48_000 else 0.1)
    assert len(found.rendering) == 96_000


def test_what_cannot_be_placed_is_refused(run, drives, rhythms, tmp_path, capsys):
    dry, wet = files_of(drives, 0)
    with pytest.raises(Refusal, match="there is no file"):
        place(run, dry, tmp_path / "no.wav")
    stranger = tmp_path / "stranger.wav"
    soundfile.write(stranger, 0.3 * np.random.default_rng(0).standard_normal(38_400), 48_000, subtype="FLOAT")
    with pytest.raises(Refusal, match="nothing in common"):
        place(run, dry, stranger)
    soundfile.write(tmp_path / "short.wav", soundfile.read(wet)[0][:2000], 48_000, subtype="FLOAT")
    soundfile.write(tmp_path / "dry.wav", soundfile.read(dry)[0][:2000], 48_000, subtype="FLOAT")
    with pytest.raises(Refusal, match=r"short\.wav"):
        place(run, tmp_path / "dry.wav", tmp_path / "short.wav")
    with pytest.raises(Refusal, match="cannot write"):
        write(place(run, dry, wet), tmp_path / "dry.wav" / "in_a_file.wav")
    assert main(["place", str(tmp_path), str(dry), str(wet)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    from tests.train.small import SMALL_RHYTHM

    recipe = load_recipe("rhythm_quick", [*SMALL_RHYTHM, "fit.steps=2", "fit.interval=2"])
    other = fit(recipe, rhythms, tmp_path / "rhythm", pictures=False, export=False)
    with pytest.raises(Refusal, match="of kind rhythm"):
        place(other, dry, wet)
