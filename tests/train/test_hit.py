"""The per-hit drum: its sound is what its formula says, and recordings are taken apart into the same."""

import numpy as np
import pytest
import torch

from train.analysis.hit.analyse import FLOOR, analyse
from train.analysis.hit.bands import noise_gains
from train.analysis.hit.gliding import find_glide, find_low
from train.analysis.hit.partials import time_constant
from train.analysis.hit.static import find_static
from train.analysis.hit.targets import WEIGHTS, distance, targets_of
from train.judges.distances import mr_stft
from train.models.hit import shape as meaning
from train.models.hit.bands import amplitudes, band_filters, centres_hz
from train.models.hit.control import Hit, HitControl
from train.models.hit.shape import FRAME, HitShape
from train.models.hit.sound import HitSound, hit_noise

SHAPE = HitShape()
SECOND = np.arange(48_000) / 48_000


def raw(hz, decays_s, levels, phases, glide=(0.05, 0.025), noise=None, transient=None):
    """What a network would say of such a hit; a slot of frequency 0 is off."""
    there = hz > 0
    place = np.where(there, np.log(np.maximum(hz, 1) / SHAPE.anchors_hz), 0) / SHAPE.spreads
    rows = [
        np.arctanh(np.clip(place, -0.9999, 0.9999)),
        2 * np.arctanh(np.log(decays_s / meaning.DECAY_MIDDLE_S) / meaning.DECAY_SPAN),
        np.where(there, levels, meaning.LEVEL_LOWEST),
        np.cos(phases),
        np.sin(phases),
    ]
    bent = np.arctanh(np.log(glide[1] / meaning.GLIDE_TIME_MIDDLE_S) / meaning.GLIDE_TIME_SPAN)
    noise = np.full((len(SHAPE.grid_ms), SHAPE.bands), -12.0) if noise is None else noise
    transient = np.zeros(SHAPE.transient) if transient is None else transient
    parts = (np.concatenate(rows), [np.log(glide[0]) - meaning.GLIDE_OFFSET, bent], noise.ravel(), transient)
    return Hit(*(torch.tensor(np.asarray(part, np.float32))[None, :, None] for part in parts))


def some_modes(seed=0):
    rng = np.random.default_rng(seed)
    there = np.zeros(SHAPE.modes, bool)
    there[[2, 5, 8, 20, 33, 41, 50]] = True
    hz = SHAPE.anchors_hz * np.exp(rng.uniform(-0.4, 0.4, SHAPE.modes) * SHAPE.spreads) * there
    return (
        hz,
        rng.uniform(0.02, 0.3, SHAPE.modes),
        rng.uniform(-4, -1.5, SHAPE.modes),
        rng.uniform(-3, 3, SHAPE.modes),
    )


def played(hit, frames=1000, number=0):
    sound = HitSound(SHAPE).eval()
    with torch.no_grad():
        return sound(hit, frames, number=number)[0, 0].numpy()


def test_modes_sound_as_their_formula_says():
    hz, decays, levels, phases = some_modes()
    amount, seconds = 1.5, 0.02
    wanted = np.zeros(48_000)
    for k in np.flatnonzero(hz):
        warped = SECOND
        if k < SHAPE.gliding:
            warped = SECOND + amount * seconds * (1 - np.exp(-SECOND / seconds))
        envelope = np.exp(levels[k] - SECOND / decays[k])
        wanted += envelope * np.sin(2 * np.pi * hz[k] * warped + phases[k])
    made = played(raw(hz, decays, levels, phases, (amount, seconds)))
    assert np.abs(made - wanted).max() < 2e-3 * np.abs(wanted).max()


def test_the_transient_is_faded_and_begins_at_once():
    hit = raw(np.zeros(SHAPE.modes), np.full(SHAPE.modes, 0.05), np.zeros(SHAPE.modes), np.zeros(SHAPE.modes))
    hit = hit._replace(transient=torch.ones(1, SHAPE.transient, 1))
    made = played(hit, 20)
    assert made[0] == 1.0 and np.all(np.diff(made[: SHAPE.transient]) < 1e-6)
    assert not made[SHAPE.transient :].any()


def test_noise_is_at_its_level_from_the_first_sample_and_new_for_every_hit():
    level = 0.5
    noise = np.full((len(SHAPE.grid_ms), SHAPE.bands), np.log(level))
    silent = some_modes()
    hit = raw(np.zeros(SHAPE.modes), *silent[1:], noise=noise)
    several = np.stack([played(hit, 40, number) for number in range(60)])
    early, late = several[:, :48].std(), several[:, 960:].std()
    assert early == pytest.approx(late, rel=0.1)
    assert abs(np.corrcoef(several[0], several[1])[0, 1]) < 0.1
    assert np.array_equal(several[0], played(hit, 40, 0))


def test_noise_of_one_band_stays_in_it():
    for band in (3, 12, 28):
        noise = np.full((len(SHAPE.grid_ms), SHAPE.bands), -12.0)
        noise[:, band] = -1.0
        made = played(raw(np.zeros(SHAPE.modes), *some_modes()[1:], noise=noise), 1000)
        power = np.abs(np.fft.rfft(made * np.hanning(len(made)))) ** 2
        hz = np.fft.rfftfreq(len(made), 1 / 48_000)
        middle = centres_hz(SHAPE.bands)[band]
        assert abs((power * hz).sum() / power.sum() - middle) < 0.06 * middle + 60
        far = np.abs(hz - middle) > 2500
        assert power[far].sum() < 1e-3 * power.sum()


def test_hits_draw_noise_by_their_number_and_before_their_stroke_too():
    whole = hit_noise(3, 7, 500, before=127)
    assert torch.equal(whole[127:], hit_noise(3, 7, 500))
    assert -1 <= float(whole.min()) < -0.9 and 0.9 < float(whole.max()) < 1
    assert abs(float(hit_noise(3, 8, 48_000).mean())) < 0.01


def test_the_bands_are_symmetric_let_no_rumble_through_and_reach_one():
    filters = band_filters(SHAPE.bands, SHAPE.taps)
    assert np.allclose(filters, filters[:, ::-1])
    hz = np.linspace(0, 24_000, 2401)
    response = np.abs(amplitudes(filters, hz))
    assert response.max(1) == pytest.approx(np.ones(SHAPE.bands), abs=0.02)
    assert response[:, hz < 50].max() < 0.02
    for band, middle in enumerate(centres_hz(SHAPE.bands)):
        assert response[band, np.abs(hz - middle) > 2500].max() < 0.01


def test_windows_that_begin_later_hold_what_the_whole_sound_holds_there():
    torch.manual_seed(0)
    control, sound = HitControl(SHAPE), HitSound(SHAPE).eval()
    with torch.no_grad():
        hit = control(torch.randn(2, 16, 1), torch.zeros(2, 10, 1))
        whole = sound(hit, 300)
        part = sound(hit, 50, torch.tensor([40, 170]))
    for row, first in enumerate((40, 170)):
        assert torch.allclose(part[row], whole[row, :, first * FRAME : (first + 50) * FRAME], atol=1e-5)


@pytest.mark.parametrize("seconds", [0.01, 0.07, 0.5])
def test_a_time_constant_is_read_from_energies(seconds):
    t = np.arange(60) * 0.01
    assert time_constant(np.exp(-2 * t / seconds), t) == pytest.approx(seconds, rel=0.02)
    floor = np.exp(-2 * t / seconds) + 1e-6  # of the recording
    assert time_constant(floor, t) == pytest.approx(seconds, rel=0.25)


@pytest.mark.parametrize(("amount", "seconds"), [(2.0, 0.02), (0.5, 0.05)])
def test_a_kick_s_glide_is_found(amount, seconds):
    turned = SECOND + amount * seconds * (1 - np.exp(-SECOND / seconds))
    kick = np.sin(2 * np.pi * 52 * turned) * np.exp(-SECOND / 0.12)
    glide = find_glide(kick)
    assert glide.amount == pytest.approx(amount, rel=0.3)
    assert glide.seconds == pytest.approx(seconds, rel=0.7)
    low = find_low(kick, SHAPE.anchors_hz[: SHAPE.gliding].astype(float))
    loudest = low.hz[low.hz > 0]
    assert np.abs(loudest - 52).min() < 4


def test_partials_of_a_bell_are_found_in_noise():
    rng = np.random.default_rng(0)
    tones = np.array([1234.0, 3210.0, 7777.0])
    bell = sum(np.sin(2 * np.pi * f * SECOND) * np.exp(-SECOND / 0.2) for f in tones)
    sound = bell + 0.02 * rng.standard_normal(48_000)
    hz, decays = find_static(sound, SHAPE.anchors_hz[SHAPE.gliding :].astype(float))
    found = hz[hz > 0]
    for tone in tones:
        nearest = int(np.argmin(np.abs(hz - tone)))
        assert abs(hz[nearest] - tone) < 2
        assert decays[nearest] == pytest.approx(0.2, rel=0.15)
    assert len(found) <= 6


def test_gains_of_banded_noise_are_read_back():
    place = np.linspace(0, 5, SHAPE.bands)
    start, fall = -3 + 1.5 * np.sin(place), 8 + 4 * np.cos(2 * place)
    seconds = np.array(SHAPE.grid_ms) / 1000
    noise = np.maximum(start[None] - fall[None] * seconds[:, None], -11.0)
    made = played(raw(np.zeros(SHAPE.modes), *some_modes()[1:], noise=noise), 2000)
    read = noise_gains(made, SHAPE.grid_ms, SHAPE.bands, SHAPE.taps, FLOOR)
    heard = (seconds > 0.004) & (seconds < 0.5)
    loud = noise[heard] > noise[heard].max(1, keepdims=True) - 3  # a filter's skirts hide what is far below
    off = (read - noise)[heard][loud]
    assert abs(np.median(off)) < 0.15 and np.abs(off).mean() < 0.45


def test_a_stroke_of_noise_is_at_its_level_at_once_and_bursts_stay_bursts():
    """A window around the first sample is half empty, one around a burst mostly: neither is softer for it."""
    grid, rng = np.array(SHAPE.grid_ms), np.random.default_rng(0)
    high = centres_hz(SHAPE.bands) > 3000
    flat = np.full((len(grid), SHAPE.bands), -2.0) - 20 * (grid[:, None] / 1000)
    bursts = flat - 3.0 * ~np.isin(grid, (0, 1, 12, 14, 26, 28))[:, None]
    for wanted, early in ((flat, grid <= 3), (bursts, np.isin(grid, (0, 1, 12, 14, 26, 28)))):
        hit = raw(np.zeros(SHAPE.modes), *some_modes()[1:], noise=wanted)
        read = [
            noise_gains(played(hit, 2000, int(number)), SHAPE.grid_ms, SHAPE.bands, SHAPE.taps, FLOOR)
            for number in rng.integers(1000, size=12)
        ]
        off = (np.mean(read, 0) - wanted)[early][:, high]
        assert abs(off.mean()) < 0.25
        assert np.abs(off.mean(1)).max() < 0.45


def test_a_hit_taken_apart_and_put_together_is_the_hit():
    hz, decays, levels, phases = some_modes(3)
    noise = np.tile(-3.0 - 20 * np.array(SHAPE.grid_ms)[:, None] / 1000, (1, SHAPE.bands))
    sound = played(raw(hz, decays, levels, phases, noise=np.maximum(noise, -12)), 1000)
    found = analyse(sound, SHAPE)
    log_noise = np.where(found.noise <= FLOOR + 0.1, -12, found.noise)
    glide = (found.glide.amount, found.glide.seconds)
    again = played(
        raw(found.hz, found.decays_s, found.levels, found.phases, glide, log_noise), 1000, number=5
    )
    other = played(raw(*some_modes(9), noise=np.maximum(noise, -12)), 1000, number=5)
    assert mr_stft(again, sound) < 0.75 * mr_stft(other, sound)
    assert np.std(again) == pytest.approx(np.std(sound), rel=0.2)


def test_what_a_network_should_say_is_at_no_distance_from_itself():
    hz, decays, levels, phases = some_modes(4)
    sound = played(raw(hz, decays, levels, phases, (1.0, 0.03)), 1000)
    found = analyse(sound, SHAPE)
    targets = targets_of([found], [1.0], SHAPE)
    fade = HitSound(SHAPE).fade
    there = found.hz > 0
    said = raw(
        found.hz, found.decays_s, found.levels, found.phases, (found.glide.amount, found.glide.seconds)
    )
    stroke = np.pad(found.rest, (0, SHAPE.transient))[: SHAPE.transient]
    said = said._replace(
        noise=torch.tensor(found.noise.reshape(1, -1, 1)), transient=torch.tensor(stroke[None, :, None])
    )
    far = distance(said, targets, fade)
    assert set(far) == set(WEIGHTS) and there.sum() >= 3
    for name, value in far.items():
        assert float(value) < 0.02, name
    elsewhere = said._replace(modes=said.modes + 1.0, noise=said.noise + 1.0)
    assert float(distance(elsewhere, targets, fade)["noise"]) > 0.5
    assert float(distance(elsewhere, targets, fade)["level"]) > 0.5
