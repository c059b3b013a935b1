"""The distortions do what their table says, without aliasing, and chains are read and refused as written."""

from __future__ import annotations

import numpy as np
import pytest

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from toy.chain import apply, draw, factory_chains, read_chain
from toy.effects import EFFECTS, oversampled

pytestmark = pytest.mark.fast

N = 9600


def tone(frequency_hz, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(N) / SAMPLE_RATE_HZ)


def middle(effect):
    return {name: (low + high) / 2 for name, (low, high) in EFFECTS[effect].ranges.items()}


def wet_of(effect, dry, **changed):
    return apply([{"use": effect, **middle(effect), **changed}], dry)


def harmonics(x, frequency_hz, count):
    window = np.hanning(len(x))
    spectrum = np.abs(np.fft.rfft(x * window)) / window.sum() * 2
    bins = [round(k * frequency_hz * len(x) / SAMPLE_RATE_HZ) for k in range(1, count + 1)]
    return np.array([spectrum[b] for b in bins])


@pytest.mark.parametrize("effect", sorted(EFFECTS))
def test_an_effect_stays_in_range_and_keeps_silence(effect):
    rng = np.random.default_rng(0)
    for _ in range(8):
        drawn = {name: rng.uniform(low, high) for name, (low, high) in EFFECTS[effect].ranges.items()}
        wet = apply([{"use": effect, **drawn}], tone(220, 0.9))
        assert wet.dtype == np.float32 and len(wet) == N and np.isfinite(wet).all()
        assert np.abs(wet).max() < 2.1
        quiet = apply([{"use": effect, **drawn}], np.zeros(N))
        assert np.abs(quiet[2400:]).max() < 0.02


def test_odd_and_even_harmonics_are_where_the_table_says():
    f = 500.0
    even = harmonics(wet_of("diode", tone(f), asymmetry=0.0), f, 6)
    assert even[1] < 1e-3 * even[0] and even[2] > 0.02 * even[0]
    lopsided = harmonics(wet_of("diode", tone(f), asymmetry=0.6), f, 6)
    assert lopsided[1] > 0.01 * lopsided[0]
    octave = harmonics(wet_of("rectifier", tone(f), amount=1.0), f, 6)
    assert octave[1] > 20 * octave[0]
    gentle, hard = (
        harmonics(wet_of("tube", tone(f), drive_db=db, bias=0.5, sag=0.0), f, 6) for db in (0.0, 20.0)
    )
    assert gentle[1] > gentle[2] and hard[2] > hard[1]
    gentle, folded = (
        harmonics(wet_of("wavefolder", tone(f), folds=k, symmetry=0.0), f, 11) for k in (1.0, 7.0)
    )
    assert folded[4:].sum() / folded[0] > 10 * gentle[4:].sum() / gentle[0]


@pytest.mark.parametrize("effect", sorted(EFFECTS))
def test_oversampling_keeps_aliases_out(effect):
    """A 5 kHz tone: what is not a harmonic is an alias; eight times the rate must do far better than once."""
    f = 5010.0
    changed = {"folds": 3.0} if effect == "wavefolder" else {}
    settings = {**middle(effect), **changed}

    def alias(factor):
        x = oversampled(
            tone(f), lambda u: EFFECTS[effect].curve(u, SAMPLE_RATE_HZ * factor, **settings), factor
        )
        window = np.blackman(N - 1600)
        spectrum = np.abs(np.fft.rfft(x[800:-800] * window)) ** 2
        hz = np.fft.rfftfreq(len(window), 1 / SAMPLE_RATE_HZ)
        nearest = np.abs(hz[:, None] - f * np.arange(5)).min(axis=1)
        return spectrum[nearest > 60].sum() / spectrum.sum()

    assert alias(8) < 1e-3
    assert alias(8) < 0.2 * alias(1) or alias(1) < 1e-6


def test_the_diode_solves_its_circuit():
    from toy.effects import diode

    drive, resistance, saturation, thermal = 10 ** (20 / 20), 2200.0, 2.52e-9, 1.752 * 0.02585
    u = np.linspace(-1, 1, 101)
    v = 0.7 * diode(u, 48_000.0, drive_db=20.0, diodes=1.0, asymmetry=0.0)
    left = (drive * u - v) / resistance
    right = saturation * (np.exp(v / thermal) - np.exp(-v / thermal))
    # the table is linear between 8,001 voltages: exact to a fraction of a millivolt
    assert np.abs(left - right).max() < 2e-3 * np.abs(left).max() + 1e-6


def test_every_factory_chain_can_be_drawn_and_applied():
    chains = factory_chains()
    assert {"diode", "tube", "fuzz", "fold", "octave", "distortion", "clipping", "bitcrush"} <= {
        chain.name for chain in chains
    }
    for chain in chains:
        drawn = draw(chain, np.random.default_rng(1))
        assert drawn == draw(chain, np.random.default_rng(1))
        wet = apply(drawn, tone(330))
        assert np.abs(wet).max() > 0.01 and np.array_equal(wet, apply(drawn, tone(330)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "not TOML"),
        ("name = 'x'", "no [[effect]]"),
        ("[[effect]]\ndrive_db = 3", "has no 'use'"),
        ("[[effect]]\nuse = 'phaser9000'", "unknown effect 'phaser9000'"),
        ("[[effect]]\nuse = 'fuzz'\ndrive_db = 3", "wants exactly bias, drive_db, gate"),
        ("[[effect]]\nuse = 'fuzz'\ndrive_db = [5, 3]\nbias = 0\ngate = 0", "write a number or [low, high]"),
        ("[[effect]]\nuse = 'pedalboard.Nothing'", "pedalboard.Nothing"),
        ("[[effect]]\nuse = 'pedalboard.Distortion'\nsweetness = 3", "cannot be made"),
    ],
)
def test_a_wrong_chain_is_refused_in_one_sentence(tmp_path, text, says):
    path = tmp_path / "chain.toml"
    path.write_text(text)
    with pytest.raises(Refusal) as refusal:
        read_chain(path)
    assert says in str(refusal.value) and str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_any_pedalboard_plugin_can_stand_in_a_chain(tmp_path):
    path = tmp_path / "chain.toml"
    path.write_text(
        "[[effect]]\nuse='pedalboard.Chorus'\nmix=[0.2, 0.8]\n[[effect]]\nuse='pedalboard.Phaser'\n"
    )
    drawn = draw(read_chain(path), np.random.default_rng(0))
    assert 0.2 <= drawn[0]["mix"] <= 0.8
    assert not np.allclose(apply(drawn, tone(200)), tone(200), atol=0.01)
