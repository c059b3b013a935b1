"""What the encoder thinks a draft looks like is what its sound looks like, and drafts are mended by it."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from common.refusal import Refusal
from train.export.export import export_module
from train.export.pack import packed
from train.latents.table import Rotation, fold
from train.models.drum import DrumVAE
from train.models.hit.control import Hit
from train.models.hit.encoder import HitEncoder
from train.models.hit.moments import between, moments_ms, seen
from train.models.hit.shape import HitShape
from train.models.hit.sound import HitSound
from train.tasks.drum import DrumRecipe, DrumTask

SHAPE = HitShape()
SMALL = HitShape(trunk=(32,), noise_rank=8, transient_rank=4, encoder=16)


def a_hit() -> Hit:
    """Three partials, one of which glides, above noise that falls."""
    modes = torch.zeros(5, SHAPE.modes)
    modes[2] = -12.0
    for mode, level, decay in ((2, -0.5, 0.9), (25, -2.0, 0.5), (48, -3.0, -0.4)):
        modes[1, mode], modes[2, mode], modes[3, mode] = decay, level, 1.0
    seconds = torch.tensor(SHAPE.grid_ms) / 1000
    noise = (-2.5 - 9.0 * seconds[:, None] - 0.04 * torch.arange(SHAPE.bands)).reshape(1, -1, 1)
    glide = torch.tensor([1.2, 0.1]).reshape(1, 2, 1)
    return Hit(modes.reshape(1, -1, 1), glide, noise, torch.zeros(1, SHAPE.transient, 1))


def test_windows_around_the_stroke_see_half_and_later_ones_all():
    table = seen(192, ((0,), (48,), (4800,)), 2000)
    assert table.sum(1) == pytest.approx([0.5, 0.962, 1.0], abs=0.01)
    edges = moments_ms(2000)
    assert edges[0] == 0 and edges[-1] == 2000 and np.all(np.diff(edges) >= 1)
    lerp = between(SHAPE.grid_ms)
    assert lerp.sum(1) == pytest.approx(1.0)
    grid = lerp @ np.array(SHAPE.grid_ms, float)
    assert grid == pytest.approx(0.5 * (edges[1:] + edges[:-1]))


def test_a_sketch_shows_what_the_pictures_of_the_sound_show():
    encoder, sound, hit = HitEncoder(SHAPE), HitSound(SHAPE).eval(), a_hit()
    with torch.no_grad():
        drawn = encoder.sketch(hit)
        views = [encoder.look(sound(hit, 1600, number=number)) for number in range(12)]
        for place, picture in enumerate(encoder.sketch.pictures):
            power = torch.stack([torch.exp(v[place] / picture.scale) - picture.floor for v in views]).mean(0)
            heard = picture.heard(torch.log(power + picture.floor) * picture.scale)
            off = (drawn[place] - heard) / picture.scale  # nats of power
            loud = heard / picture.scale > np.log(30 * picture.floor)
            # A window that the stroke is in sees its edge, which sounds everywhere: a sketch leaves that out.
            loud &= picture.seconds > 0.5 * picture.size / 48_000
            assert loud.float().mean() > 0.2
            assert off[loud].abs().median() < 0.3 and off[loud].median().abs() < 0.15, place


def test_a_draft_that_plays_something_else_is_mended_by_what_differs():
    """The mender alone, taught for a moment, brings latents back that were moved."""
    torch.manual_seed(0)
    model = DrumVAE(SMALL)
    encoder, control = model.encoder, model.decoder.control
    with torch.no_grad():  # a network whose latents are heard
        for layer in (control.modes, control.noise):
            layer.weight.mul_(6.0)
    encoder.look_at(control)
    knobs = torch.zeros(32, len(SMALL.knobs))
    knobs[:, 0] = 1.0
    optimizer = torch.optim.Adam(encoder.mender.parameters(), 2e-3)

    def mended() -> tuple[torch.Tensor, torch.Tensor]:
        z = torch.randn(32, SMALL.latents)
        draft = z + 0.5 * torch.randn_like(z)
        with torch.no_grad():
            heard = encoder.sketch(control(z[:, :, None], knobs[:, :, None]))
            drawn = encoder.sketch(encoder.control(draft[:, :, None], knobs[:, :, None]))
        after = draft + encoder.mender(heard, drawn, draft, knobs)
        return (draft - z).square().mean(), (after - z).square().mean()

    with torch.no_grad():
        before, after = mended()
    assert float(after) == pytest.approx(float(before))  # an untaught one leaves drafts alone
    for _ in range(150):
        optimizer.zero_grad()
        mended()[1].backward()
        optimizer.step()
    with torch.no_grad():
        before, after = mended()
    assert float(after) < 0.7 * float(before)


def test_the_exported_encoder_thinks_what_the_trained_one_does(tmp_path):
    torch.manual_seed(1)
    recipe = DrumRecipe(kind="drum", name="small", model={"trunk": [32], "noise_rank": 8, "encoder": 16})
    task = DrumTask(recipe)
    with torch.no_grad():
        task.model.encoder.mender.layers[-1].weight.normal_(0, 0.05)
    inputs, outputs = task.encoder_ports()
    path = tmp_path / "e.onnx"
    export_module(task.model.encoder, inputs, outputs, {"kind": "drum", "part": "encoder"}, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    audio = HitSound(SHAPE).eval()(a_hit(), 2000).detach()
    told = session.run(None, {session.get_inputs()[0].name: audio.numpy()})
    with torch.no_grad():
        mean, log_variance = task.model.encoder(audio)
        first = task.model.encoder.drafts(task.model.encoder.look(audio)).first
    assert np.allclose(told[0], mean.numpy(), atol=1e-3) and np.allclose(told[1], log_variance, atol=1e-3)
    assert float((mean - first).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("most_bytes", "off"), [pytest.param(10_000_000, 0.002, marks=pytest.mark.slow), (0, 0.06)]
)
def test_a_training_goes_on_from_model_files(tmp_path, most_bytes, off):
    """Turned latents and all; what the files say in onnxruntime is what the task then says."""
    torch.manual_seed(2)
    recipe = DrumRecipe(kind="drum", name="small", model={"trunk": [32], "noise_rank": 8, "encoder": 16})
    task, other = DrumTask(recipe), DrumTask(recipe)
    with torch.no_grad():
        task.model.encoder.mender.layers[-1].weight.normal_(0, 0.05)
    task.model.encoder.look_at(task.model.decoder.control)
    matrix = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0] * np.linspace(2, 0.3, 16)
    fold(task, Rotation(matrix, np.full(16, 1 / 16)))
    for part, ports, name in (
        (task.model.decoder, task.decoder_ports(), "d.int8.onnx"),
        (task.model.encoder, task.encoder_ports(), "d.encoder.onnx"),
    ):
        export_module(part, *ports, {"kind": "drum", "part": name}, tmp_path / name)
    file = tmp_path / "d.encoder.onnx"
    onnx.save(packed(onnx.load(file), most_bytes), file)
    other.start_from_file(tmp_path / "d.int8.onnx")
    audio = HitSound(SHAPE).eval()(a_hit(), 2000).detach()
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    told = session.run(None, {session.get_inputs()[0].name: audio.numpy()})[0]
    knobs = torch.zeros(1, len(SHAPE.knobs), 1)
    with torch.no_grad():
        mean, _ = other.model.encoder(audio)
        ours, theirs = (one.model.decoder.control(mean[:, :, None], knobs) for one in (other, task))
    assert np.abs(mean.numpy() - told).max() < off * np.abs(told).max()
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))
    with pytest.raises(Refusal, match="another shape"):
        DrumTask(DrumRecipe(kind="drum", name="wide")).start_from_file(tmp_path / "d.int8.onnx")
