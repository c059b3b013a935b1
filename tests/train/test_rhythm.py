"""The rhythm: a decoder written twice, knobs taught by what they move, patterns mixed across drummers."""

import numpy as np
import pytest
import torch

from common.drums import PARTS
from tests.train.small import SMALL_RHYTHM
from train.attributes.rhythm import PATTERN_ATTRIBUTES
from train.attributes.rhythm_soft import soft_attributes
from train.judges.player import Player
from train.judges.rhythm import control
from train.kinds import load_recipe
from train.latents.table import prepare_latents
from train.models.rhythm import Principal, RhythmDecoder, RhythmShape, RhythmVAE, begin_at, pattern_of
from train.tasks.rhythm import SPAN, Followed, RhythmTask

V = len(PARTS)
SMALL = {"latents": 4, "hidden": 8, "channels": 8, "encoder": 8, "look": 8}


@pytest.mark.fast
@pytest.mark.parametrize("gated", [False, True])
def test_the_decoder_s_two_ways_to_compute_agree(gated):
    torch.manual_seed(0)
    decoder = RhythmDecoder(RhythmShape(**SMALL, planes=12, gated=gated))
    z, attributes = torch.randn(5, 4, 1), torch.rand(5, 6, 1) * 2 - 1
    with torch.no_grad():
        layers, products = decoder(z, attributes), pattern_of(decoder.logits(z, attributes))
    assert torch.allclose(layers, products, atol=1e-6)
    assert float(layers.std()) > 0.01


@pytest.mark.fast
def test_a_sure_onset_still_feels_what_its_attributes_lack():
    logits = torch.full((1, 27, 32), -9.0)
    logits[:, :V, ::4] = 9.0
    for temperature, felt in ((1.0, 1e-3), (4.0, 2e-2)):
        free = logits.clone().requires_grad_(True)
        density = soft_attributes(pattern_of(free), torch.sigmoid(free[:, :V] / temperature))[0, 0]
        density.backward()
        assert float(density.detach()) == pytest.approx(9 * 8 / 32)
        slopes = free.grad[:, :V] * 32
        assert (slopes < felt).all() == (temperature == 1.0)


def test_training_begins_at_principal_components():
    """An untrained model plays what scikit-learn's regression on the knobs and components beside it say."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    beats = rng.random((10, 9, 32)) < 0.15
    there = rng.random((400, 10)) < 0.5
    onsets = np.stack([beats[some].any(0) for some in there]).astype(np.float32)
    knobs = np.where(there[:, :6], 1.0, -1.0).astype(np.float32)  # six beats on knobs, four for the latents
    torch.manual_seed(0)
    model = RhythmVAE(RhythmShape(latents=32, planes=12))
    heard = torch.cat([torch.from_numpy(onsets), torch.zeros(400, 18, 32)], 1)
    told = torch.from_numpy(knobs)

    def played():
        model.encoder.look_at(model.decoder)
        with torch.no_grad():
            mean, _ = model.encoder(heard)
            return model.decoder(mean[:, :, None], told[:, :, None])[:, :V].numpy().reshape(400, -1) > 0.5

    flat = onsets.reshape(400, -1)
    before = np.mean(played() == (flat > 0.5))
    begin_at(model, Principal.of(torch.from_numpy(onsets), told, 32))
    line = LinearRegression().fit(knobs, flat)
    away = np.eye(flat.shape[1]) - line.coef_ @ np.linalg.pinv(line.coef_)
    rest = (flat - flat.mean(0)) @ away
    found = PCA(32).fit(rest)
    wanted = line.predict(knobs) + found.inverse_transform(found.transform(rest)) > 0.45
    assert before < 0.85 and np.mean(wanted == (flat > 0.5)) > 0.93
    assert np.mean(played() == wanted) > 0.99


def task_of(rhythms, *changes):
    task = RhythmTask(load_recipe("rhythm_quick", [*SMALL_RHYTHM, *changes]))
    task.prepare(rhythms)
    task._trainer = None
    return task


def test_what_moves_too_little_is_pulled_harder(rhythms):
    task = task_of(rhythms)
    task.progress = 0.5
    number, asked = torch.tensor([0, 1, 1]), torch.ones(3)
    for _ in range(40):
        task.watch_span(Followed(torch.zeros(6), number, torch.tensor([0.2, 1.2, 1.2]), asked))
    assert task.pull[0] > 1.1 and task.pull[1] < 1.0
    assert float(task.moved[0] / task.asked[0]) < SPAN < float(task.moved[1] / task.asked[1])


def test_a_perfect_instrument_is_not_short_of_anything(rhythms):
    """Followed is told the truth: the same decoder's attributes, measured again without gradients."""
    task = task_of(rhythms)
    batch = task.draw(0)
    followed = task.follow(torch.randn(8, 4), batch["knobs"][:8])
    assert (followed.asked >= 0).all() and followed.moved.shape == followed.asked.shape == (4,)
    still = Followed(followed.far, followed.number, followed.asked, followed.asked)
    assert float(still.short()) == 0.0
    half = Followed(followed.far, followed.number, 0.5 * followed.asked, followed.asked)
    assert all(float(s) == pytest.approx(0.5) or float(s) == 0.0 for s in half.spans())
    assert float(half.short()) > 0


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_the_span_is_what_moved_over_what_was_asked(rhythms, part):
    """A player whose velocities spread by a known part of what the dynamics knob asks for."""
    task = task_of(rhythms)
    number = list(PATTERN_ATTRIBUTES).index("dynamics")

    def decode(feeds):
        knobs = torch.from_numpy(feeds["attributes"][:, :, 0])
        wanted = task.from_knobs(knobs)[:, number].numpy()
        patterns = np.zeros((len(wanted), 27, 32), np.float32)
        patterns[:, 0] = 1.0
        patterns[:, V] = 0.5 + part * wanted[:, None] * np.tile([1, -1], 16)
        return (patterns,)

    player = Player("", task, lambda x: x, decode, [])
    found = control(player, np.zeros((3, 4), np.float32), np.zeros((3, 6), np.float32))
    assert found["dynamics"]["span_median"] == pytest.approx(part, rel=0.01)
    assert found["density"]["span_median"] == 0.0


def test_every_drummer_lends_as_often_as_any_other(rhythms):
    task = task_of(rhythms)
    count = len(task.patterns["train"])
    task.drummers = [np.arange(2), np.arange(2, count)]
    picked = task.anyone(np.random.default_rng(0), 4000)
    assert np.mean(picked < 2) == pytest.approx(0.5, abs=0.03)
    assert set(picked) == set(range(count))


def test_bent_velocities_keep_the_onsets_and_their_order(rhythms):
    still = ("augment.mix=0", "augment.mute=0", "augment.velocity=0", "augment.rotate_bars=false")
    plain, bent = (
        task_of(rhythms, *still, *more).draw(3)["pattern"].numpy()
        for more in ((), ("augment.touch=0.5", "augment.feel=0.1"))
    )
    assert np.array_equal(plain[:, :V], bent[:, :V])
    assert not np.allclose(plain[:, V : 2 * V], bent[:, V : 2 * V])
    for before, after in zip(plain, bent, strict=True):
        there = before[:V] > 0
        ranks = [np.argsort(np.argsort(one[V : 2 * V][there], kind="stable")) for one in (before, after)]
        assert np.array_equal(*ranks)
        moved = (after - before)[2 * V :][there]
        inside = np.abs(after[2 * V :][there]) < 0.5
        assert np.ptp(moved[inside]) < 1e-6 and (after[2 * V :][~there] == before[2 * V :][~there]).all()


def test_knobs_are_taught_at_the_ends_of_their_travel(rhythms):
    task = task_of(rhythms)
    knobs = torch.zeros(400, 6)
    torch.manual_seed(0)
    followed = task.follow(torch.randn(400, 4), knobs)
    ends = task.from_knobs(torch.tensor([[-1.0], [1.0]]).expand(2, 6))
    whole = (ends[1] - ends[0]) / task.attribute_spread
    at_ends = torch.isclose(followed.asked, whole[followed.number], rtol=1e-4)
    assert 0.3 < float(at_ends.float().mean()) < 0.8


def test_the_model_rests_at_the_most_typical_of_ordinary_beats(rhythms):
    task = task_of(rhythms)
    patterns = np.zeros((40, 27, 32), np.float32)
    rng = np.random.default_rng(0)
    patterns[:, :V] = rng.random((40, 9, 32)) < 0.2
    beat = rng.random((9, 32)) < 0.2
    patterns[10:30, :V] = beat ^ (rng.random((20, 9, 32)) < 0.02)
    patterns[20, :V] = patterns[5, :V] = beat
    task.patterns["train"], knobs = patterns, rng.uniform(-1, 1, (40, 6)).astype(np.float32)
    knobs[[7, 15, 20, 25]] *= 0.1
    knobs[5] = 1.0  # as typical, and not ordinary
    task.knobs["train"] = knobs
    assert task.home() == 20


def test_rests_in_the_latent_table_are_the_home_pattern_s_latents(rhythms):
    task = task_of(rhythms)
    rows = prepare_latents(task).latents
    with torch.no_grad():
        mean, _ = task.model.eval().encoder(torch.from_numpy(task.patterns["train"][task.home()][None]))
    used = [number for number, row in enumerate(rows) if row["sign"] != "unused"]
    assert used and all("rest" in rows[number] for number in used)
    for number in used:
        assert rows[number]["rest"] == pytest.approx(float(mean[0, number]), abs=1e-3)
