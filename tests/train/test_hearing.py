"""What the ear objects to is measured rightly: sounds of known answer, and outside witnesses."""

import librosa
import numpy as np
import pytest
import scipy.linalg
import soundfile

from common.drums import CLASSES
from train.data.names import kit_of
from train.hearing import embedding
from train.hearing.attack import time_to_peak_ms
from train.hearing.crowds import compare, real_kits
from train.hearing.ears import LOG_MEL
from train.hearing.envelope_line import envelope_line_db
from train.hearing.figures import MEASURED, HitFigures
from train.hearing.frechet import frechet_distance, principal_axes
from train.hearing.hear import hear
from train.hearing.hiss import hiss_dbfs
from train.hearing.hits import Hits
from train.hearing.low_energy import low_energy_db
from train.hearing.naming import Namer
from train.hearing.pictures import COARSE, FINE, FLOOR, HOP, MELS, SAMPLES, SIZE, picture, pictures
from train.hearing.told_apart import told_apart
from train.hearing.tonal import tonal_share

RATE_HZ = 48_000
SECONDS = np.arange(24_000) / RATE_HZ


def noise(seed=0, count=24_000):
    return np.random.default_rng(seed).standard_normal(count)


def modulated_line_db(depth):
    """What theory says of white noise above 4 kHz times 1 + depth·sin(2π·1000·t), half a second of it."""
    amplitude = 2 * depth / (1 + depth**2 / 2)  # of the line in the squared envelope over its mean
    window = np.hanning(24_000)
    # three bins of the main lobe hold 1, ¼ and ¼ of the peak's power
    line = 0.5 * (amplitude * window.sum() / 2) ** 2
    band = 0.5 - 4 / 48  # of the noise, in cycles per sample; its square's spectrum falls from 1 / band at 0
    floor = (window**2).sum() * (band - 1 / 48) / band**2
    return 10 * np.log10(1 + line / floor)


@pytest.mark.parametrize("depth", [0.0, 0.03, 0.1, 0.3])
def test_a_noise_modulated_at_the_frame_rate_has_the_line_that_theory_says(depth):
    modulated = [(1 + depth * np.sin(2 * np.pi * 1000 * SECONDS)) * noise(seed) for seed in range(12)]
    found = np.mean([envelope_line_db(sound) for sound in modulated])
    assert found == pytest.approx(modulated_line_db(depth), abs=1.5)


def test_the_line_is_found_in_a_short_and_falling_hit_too():
    falling = np.exp(-SECONDS / 0.02) * noise()
    powers = [10 ** (envelope_line_db(np.exp(-SECONDS / 0.02) * noise(s)) / 10) for s in range(40)]
    assert np.mean(powers) == pytest.approx(1.0, abs=0.4)
    assert envelope_line_db((1 + 0.5 * np.sin(2 * np.pi * 1000 * SECONDS)) * falling) > 10.0
    assert envelope_line_db(np.zeros(100)) == 0.0


@pytest.mark.parametrize("level", [1.0, 0.1, 0.003])
def test_a_sine_at_60_hz_gives_its_energy(level):
    sound = level * np.sin(2 * np.pi * 60 * SECONDS) + np.sin(2 * np.pi * 1000 * SECONDS)
    sound *= np.hanning(len(sound))  # a cut would spread the high tone
    assert low_energy_db(sound) == pytest.approx(10 * np.log10(level**2 / (1 + level**2)), abs=0.2)


def test_the_energy_below_80_hz_of_nothing_and_of_a_high_tone():
    assert low_energy_db(np.zeros(0)) == low_energy_db(np.zeros(500)) == -90.0
    assert low_energy_db(np.hanning(24_000) * np.sin(2 * np.pi * 5000 * SECONDS)) < -80.0


@pytest.mark.parametrize("at_ms", [0.5, 3.0, 12.0])
def test_time_to_peak(at_ms):
    rise = np.minimum(1.0, SECONDS * 1000 / at_ms)
    assert time_to_peak_ms(rise * np.exp(-SECONDS)) == pytest.approx(0.9 * at_ms, abs=0.1)
    assert time_to_peak_ms(np.zeros(9)) == 0.0


@pytest.mark.parametrize("part", [0.0, 0.3, 0.65, 0.95])
def test_the_tonal_share_is_the_energy_of_tones_among_noise(part):
    tones = sum(np.sin(2 * np.pi * hz * SECONDS) for hz in (2100.0, 3737.0, 5011.0, 9203.0, 12_001.0))
    rough = noise()
    spectrum = np.fft.rfft(rough)
    hz = np.fft.rfftfreq(len(rough), 1 / RATE_HZ)
    spectrum[(hz < 1500) | (hz > 16_000)] = 0
    rough = np.fft.irfft(spectrum)
    sound = np.sqrt(part) * tones / tones.std() + np.sqrt(1 - part) * rough / rough.std()
    assert tonal_share(sound) == pytest.approx(part, abs=0.05)


def test_hiss_is_measured_after_the_recording_and_silence_is_none():
    ring = np.concatenate([noise(0, 12_000), np.zeros(48_000)])
    assert hiss_dbfs(ring, 12_000) == -200.0
    hissing = ring + 10 ** (-52 / 20) * noise(1, 60_000)
    assert hiss_dbfs(hissing, 12_000) == pytest.approx(-52.0, abs=0.2)
    assert hiss_dbfs(ring[:12_000], 12_000) == -200.0  # nothing was made there


def test_pictures_are_those_of_librosa():
    sound = 0.3 * noise(3, 20_000) * np.exp(-np.arange(20_000) / 4000)
    padded = np.pad(sound / np.abs(sound).max(), (0, SAMPLES - len(sound)))
    level = librosa.feature.melspectrogram(
        y=padded,
        sr=RATE_HZ,
        n_fft=SIZE,
        hop_length=HOP,
        n_mels=MELS,
        fmin=20.0,
        fmax=20_000.0,
        norm=None,
        pad_mode="constant",
    )
    level = np.log(level + FLOOR)[:, : FINE[0] + COARSE[0]]
    found = picture(sound)
    fine = level[:, : FINE[0]].reshape(MELS, -1, FINE[1]).mean(2).ravel()
    np.testing.assert_allclose(found[: len(fine)], fine, atol=1e-4)
    np.testing.assert_allclose(found[-MELS:], level.std(1), atol=1e-4)
    np.testing.assert_allclose(found[-2 * MELS : -MELS], level.mean(1), atol=1e-4)
    np.testing.assert_allclose(picture(2 * sound), found, atol=1e-6)  # loudness is not what is looked at


def test_the_frechet_distance_is_that_of_the_root_of_the_product():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6))
    b = rng.standard_normal((300, 6)) @ rng.standard_normal((6, 6)) + 2.0
    ca, cb = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(ca @ cb).real
    witness = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(witness, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(a, a + 3.0) == pytest.approx(6 * 9.0, rel=1e-6)
    mean, axes = principal_axes(a, 6)
    assert frechet_distance((a - mean) @ axes, (b - mean) @ axes) == pytest.approx(witness, rel=1e-6)


def test_crowds_of_one_kind_are_not_told_apart_and_others_are():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((120, 20)), rng.standard_normal((120, 20))
    names = [f"drum {i // 4}" for i in range(120)]
    others = [f"other {i // 4}" for i in range(120)]
    assert told_apart(a, b, names, others) == pytest.approx(0.5, abs=0.12)
    assert told_apart(a, b + 1.5, names, others) > 0.98
    assert np.isnan(told_apart(a, b, ["one"] * 120, others))


def test_knowing_an_instrument_is_not_telling_apart():
    """Takes of an instrument are alike; whoever had met one of them would know the others."""
    rng = np.random.default_rng(2)
    where = rng.standard_normal((40, 30)) * 10
    takes = np.repeat(where, 6, 0) + 0.01 * rng.standard_normal((240, 30))
    names = [f"drum {i // 6}" for i in range(240)]
    mixed = rng.permutation(240)  # the same instruments on both sides
    a, b = mixed[:120], mixed[120:]
    found = told_apart(takes[a], takes[b], [names[i] for i in a], [names[i] for i in b])
    assert found == pytest.approx(0.5, abs=0.15)


def kick(seed):
    rng = np.random.default_rng(seed)
    hz = rng.uniform(45, 70)
    return np.exp(-SECONDS / rng.uniform(0.05, 0.2)) * np.sin(2 * np.pi * hz * SECONDS)


def hat(seed):
    rng = np.random.default_rng(seed)
    high = np.diff(np.concatenate([[0.0], rng.standard_normal(24_000)]))
    return 0.3 * high * np.exp(-SECONDS / rng.uniform(0.02, 0.06))


def kit(name, count, change=1.0):
    sounds = [maker(hash_of(name) + i) * change for i in range(count) for maker in (kick, hat)]
    labels = np.tile([CLASSES.index("kick"), CLASSES.index("hat_closed")], count)
    return Hits(sounds, labels, [f"{name}/{i // 4}" for i in range(2 * count)], [name] * (2 * count))


def hash_of(name):
    return 1000 * sum(map(ord, name))


def joined(*parts):
    return Hits(
        [sound for part in parts for sound in part.sounds],
        np.concatenate([part.classes for part in parts]),
        [name for part in parts for name in part.instruments],
        [name for part in parts for name in part.kits],
    )


def test_a_classifier_of_real_drums_names_hits():
    train, other = kit("a", 20), kit("b", 6)
    namer = Namer(pictures(train.sounds), train.classes)
    assert namer.right(pictures(other.sounds), other.classes).all()
    assert not namer.right(pictures(other.sounds), other.classes[::-1]).any()
    with pytest.raises(ValueError, match="one class"):
        Namer(pictures(train.sounds[::2]), train.classes[::2])


def test_made_sounds_are_held_to_what_other_real_kits_get(monkeypatch):
    monkeypatch.setattr("train.hearing.crowds.LEAST_CLASSES_OF_A_KIT", 2)
    train = joined(kit("a", 24), kit("b", 24), kit("c", 5))
    unseen = kit("d", 16)
    assert real_kits(train) == ["a", "b"]
    same = Hits([s * 0.9 for s in unseen.sounds], unseen.classes, unseen.instruments, unseen.kits)
    buzzing = Hits(
        [(s + 0.05 * noise(i)).astype(np.float32) for i, s in enumerate(unseen.sounds)],
        unseen.classes,
        unseen.instruments,
        unseen.kits,
    )
    good = compare(LOG_MEL, train, unseen, same, same)
    bad = compare(LOG_MEL, train, unseen, buzzing, buzzing)
    assert good["told_made"] == good["told_recordings"] < 0.8
    assert good["distance_made"] == pytest.approx(good["distance_recordings"], rel=1e-6)
    assert good["told_kits_least"] <= good["told_kits_most"] < 0.8
    assert bad["told_made"] > 0.95 and bad["told_random"] > 0.95
    assert bad["distance_made"] > 2 * bad["distance_kits_most"]


def heard(train, unseen, noon=None):
    noon = noon or kit("noon", 2)
    return hear(
        {
            "train": train,
            "recordings": unseen,
            "made": unseen,
            "random": unseen,
            "noon": noon,
            "loudness_db": np.full(len(unseen), -1.5),
            "hiss_dbfs": np.where(unseen.classes == 0, -52.0, -200.0),
        }
    )


def test_what_is_heard_of_sounds_that_are_right_and_of_a_noon_that_is_wrong(monkeypatch):
    monkeypatch.setattr(embedding, "is_installed", lambda: False)
    monkeypatch.setattr("train.hearing.hear.is_installed", lambda: False)
    train, unseen = joined(kit("a", 24), kit("b", 24)), kit("d", 6)
    found = heard(train, unseen)
    assert found["classes"]["kick"]["made"] == found["classes"]["kick"]["recordings"]
    assert found["worst"]["made"] == dict.fromkeys(MEASURED, 0.0)
    assert found["loudness_bias_db"] == -1.5
    assert found["hiss_dbfs"] == found["classes"]["kick"]["hiss_dbfs"] == -52.0
    assert found["named_noon"] == 1.0 and found["noon_octaves"] < 0.5
    assert any("pip install --no-deps aisfx" in note for note in found["notes"])
    noon = kit("noon", 2)
    noon.sounds[::2] = noon.sounds[1::2]  # kicks that are hats
    found = heard(train, unseen, noon)
    assert found["named_noon"] == 0.5 and found["noon_octaves"] > 4.0
    assert found["classes"]["kick"]["named_noon"] == 0.0


def test_what_a_data_set_cannot_show_is_said(monkeypatch):
    monkeypatch.setattr(embedding, "is_installed", lambda: False)
    one_kit = heard(kit("a", 12), kit("a", 6))
    assert any(note.startswith("no unseen kit") for note in one_kit["notes"])
    other_takes = heard(joined(kit("a", 12), kit("b", 12)), kit("b", 6))
    assert any(note.endswith("trained on: b") for note in other_takes["notes"])
    kicks = kit("a", 12).take(range(0, 24, 2))
    one_class = heard(kicks, kit("b", 12).take(range(0, 24, 2)))
    assert any(note.startswith("no names") for note in one_class["notes"])
    assert np.isnan(one_class["named_noon"])


def test_figures_have_the_names_of_their_report():
    assert set(MEASURED) == set(HitFigures.__annotations__)


def test_kits_are_read_from_the_names_of_instruments():
    assert kit_of("tr808/kick/bd", "kick") == "tr808"
    assert kit_of("my kits/two/hat_open/oh", "hat_open") == "my kits/two"
    assert kit_of("kick/bd", "kick") == "kick/bd"  # without a kit, each is its own


@pytest.mark.skipif(not embedding.is_installed(), reason="needs aisfx (pip install --no-deps aisfx)")
def test_the_embedding_sees_what_its_own_package_sees(tmp_path):
    import torch
    from aisfx.spectrogram.spectrogram_librosa import compute_spectrogram

    t = np.arange(2 * 44_100) / 44_100
    sound = 0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t) * np.exp(-t / 0.5)
    soundfile.write(tmp_path / "a.wav", sound, 44_100)
    theirs = compute_spectrogram(tmp_path / "a.wav", 44_100, 2048, 1024, 96, 0.0, 22_050.0)[:, :100].T
    theirs = np.pad(theirs, ((0, 100 - len(theirs)), (0, 0))).astype(np.float32)
    import soxr

    ours = soxr.resample(sound, 44_100, RATE_HZ)
    with torch.no_grad():
        wanted = embedding._network()(torch.from_numpy(theirs[None]))[0].numpy()
    found = embedding.embeddings([ours])[0]
    far = embedding.embeddings([noise(1, 96_000)])[0]
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(far - wanted)
