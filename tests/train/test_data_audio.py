"""One file to one sound: every format, every rate, the onset to the sample, short sounds whole."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from common.audio import SAMPLE_RATE_HZ
from common.refusal import LeftOut
from tests.train.data_sources import hit, write
from train.data import audio as sound

pytestmark = pytest.mark.fast

FORMATS = [
    ("wav", "PCM_U8", 0.02),
    ("wav", "PCM_16", 1e-3),
    ("wav", "PCM_24", 1e-3),
    ("wav", "PCM_32", 1e-3),
    ("wav", "FLOAT", 1e-3),
    ("wav", "DOUBLE", 1e-3),
    ("aiff", "PCM_16", 1e-3),
    ("aiff", "PCM_24", 1e-3),
    ("flac", "PCM_16", 1e-3),
    ("flac", "PCM_24", 1e-3),
    ("ogg", "VORBIS", 0.15),
    ("mp3", "MPEG_LAYER_III", 0.15),
]


def worst_against(reference, got):
    n = min(len(reference), len(got))
    return np.abs(reference[:n] - got[:n]).max()


@pytest.mark.parametrize(("ending", "subtype", "tolerance"), FORMATS)
def test_every_format_gives_the_same_sound(tmp_path, ending, subtype, tolerance):
    audio = hit(rate_hz=48_000, lead=3000)
    path = write(tmp_path / f"a.{ending}", audio, 48_000, subtype=subtype)
    got, item, facts = sound.one_shot(path)
    assert facts["subtype"] == subtype and facts["format"] == {"ogg": "OGG"}.get(ending, ending.upper())
    lag = np.argmax(np.correlate(got[:2000], audio[3000:5000], "full")) - 1999
    assert abs(lag) <= (0 if tolerance < 0.1 else 240)  # lossy codecs sound before they are struck
    aligned = got[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag), got])
    body = slice(0, 6000)
    if tolerance < 0.1:
        assert worst_against(audio[3000:][body], aligned[body]) < tolerance
    else:
        assert np.corrcoef(audio[3000:][body], aligned[body])[0, 1] > 0.99
    assert item["peak_db"] == pytest.approx(20 * np.log10(0.8), abs=1.2)  # lossy codecs overshoot


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000])
def test_every_rate_gives_the_same_sound(tmp_path, rate_hz):
    got, item, _ = sound.one_shot(write(tmp_path / "a.wav", hit(180, rate_hz=rate_hz, lead=500), rate_hz))
    wanted = hit(180, rate_hz=48_000)
    lag = np.argmax(np.correlate(got[:4000], wanted[:4000], "full")) - 3999
    assert abs(lag) <= 48_000 / rate_hz + 3  # the edge itself is softer at a low rate
    spectrum = np.abs(np.fft.rfft(got, 1 << 17))
    assert np.fft.rfftfreq(1 << 17, 1 / 48_000)[spectrum.argmax()] == pytest.approx(180, abs=2)
    assert item["seconds"] == pytest.approx(0.25, abs=0.02)


def test_resampling_keeps_images_and_aliases_out():
    t = np.arange(44_100) / 44_100
    up = sound.resample(np.sin(2 * np.pi * 15_000 * t), 44_100)
    spectrum = np.abs(np.fft.rfft(up[4000:-4000] * np.blackman(len(up) - 8000))) ** 2
    hz = np.fft.rfftfreq(len(up) - 8000, 1 / 48_000)
    assert spectrum[np.abs(hz - 15_000) > 100].sum() < 1e-9 * spectrum.sum()
    down = sound.resample(np.sin(2 * np.pi * 30_000 * np.arange(96_000) / 96_000), 96_000)
    assert np.abs(down[4000:-4000]).max() < 1e-5


@settings(max_examples=30)
@given(st.integers(0, 20_000), st.floats(-30, 0), st.floats(40, 6000))
def test_the_onset_is_found_to_the_sample(lead, gain_db, frequency_hz):
    audio = 10 ** (gain_db / 20) * hit(frequency_hz, 0.2, 48_000, lead)
    assert sound.onset(audio) == lead


def test_noise_before_the_hit_is_not_the_hit():
    audio = hit(200, 0.3, 48_000, 12_000) + 0.004 * np.random.default_rng(0).standard_normal(12_000 + 14_400)
    assert abs(sound.onset(audio) - 12_000) <= 8  # to the zero crossing before it


@pytest.mark.parametrize("milliseconds", [0.1, 1, 5, 20, 100])
def test_a_short_click_is_data(tmp_path, milliseconds):
    n = max(2, round(48 * milliseconds))
    click = np.random.default_rng(1).uniform(-0.7, 0.7, n)
    got, item, _ = sound.one_shot(write(tmp_path / "a.wav", click, 48_000, subtype="FLOAT"))
    assert len(got) >= n - 1 and np.isfinite(got).all() and np.isfinite(item["loudness_lufs"])
    keep = n - n // 4 - 2
    at = sound.onset(click - sound.offset(click, 48_000))
    assert np.allclose(got[: keep - at], (click - sound.offset(click, 48_000))[at:keep], atol=1e-6)


def test_dc_goes_and_the_kick_keeps_its_shape(tmp_path):
    # a kick's first half-wave is lopsided: its mean is not an offset
    kick = hit(50, 0.6, 48_000, lead=2400)
    plain, _, _ = sound.one_shot(write(tmp_path / "a.wav", kick, 48_000, subtype="FLOAT"))
    moved, _, facts = sound.one_shot(write(tmp_path / "b.wav", kick * 0.8 + 0.1, 48_000, subtype="FLOAT"))
    assert facts["dc"] == pytest.approx(0.1, abs=2e-3)
    assert np.abs(moved[:9600] - 0.8 * plain[:9600]).max() < 3e-3
    assert np.abs(plain[:9600] - kick[2400:12_000]).max() < 3e-3


def test_long_sounds_end_softly_at_two_seconds(tmp_path):
    t = np.arange(5 * 48_000) / 48_000
    got, _, facts = sound.one_shot(write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 300 * t), 48_000))
    assert len(got) == sound.MAX_SAMPLES and facts["cut_at_limit"]
    assert np.abs(got[-10:]).max() < 1e-3 and np.abs(np.diff(got)).max() < 0.03


def test_stereo_that_cancels_keeps_its_louder_channel(tmp_path):
    mono = hit(rate_hz=48_000)
    got, _, facts = sound.one_shot(write(tmp_path / "a.wav", np.stack([mono, -0.9 * mono], 1), 48_000))
    assert facts["mono"].startswith("channel 1")
    assert np.abs(got).max() == pytest.approx(0.8, abs=0.01)
    _, _, facts = sound.one_shot(
        write(tmp_path / "b.wav", np.stack([mono, 0.5 * mono, 0.2 * mono], 1), 48_000)
    )
    assert facts["mono"] == "average" and facts["channels"] == 3


def test_loudness_is_that_of_the_standard():
    # EBU Tech 3341, case 1: a stereo 1 kHz sine at -23 dBFS reads -23 LUFS; one channel alone reads 3 LU less
    t = np.arange(3 * 48_000) / 48_000
    assert sound.loudness_lufs(10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * t)) == pytest.approx(
        -26.0, abs=0.1
    )


def test_clipping_is_counted():
    t = np.arange(4800) / 48_000
    assert sound.clipped_samples(0.9 * np.sin(2 * np.pi * 440 * t)) == 0
    assert sound.clipped_samples(np.clip(2 * np.sin(2 * np.pi * 440 * t), -1, 1)) > 1000


def test_what_cannot_be_read_says_why(tmp_path):
    def reason(path):
        with pytest.raises(LeftOut) as left_out:
            sound.one_shot(path)
        text = str(left_out.value)
        assert "\n" not in text and len(text) < 200
        return text

    (tmp_path / "text.wav").write_text("this is no sound at all, but a letter")
    assert "cannot be decoded" in reason(tmp_path / "text.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    assert "is empty" in reason(tmp_path / "empty.wav")
    assert "is silent" in reason(write(tmp_path / "silent.wav", np.zeros(4800), 48_000))
    assert "holds no samples" in reason(write(tmp_path / "nothing.wav", np.zeros(0), 48_000))
    assert "not numbers" in reason(write(tmp_path / "nan.wav", np.array([0.1, np.nan, 0.2]), subtype="FLOAT"))
    assert "cut it into shorter files" in reason(write(tmp_path / "long.wav", np.ones(40 * 8000) * 0.1, 8000))
    for ending in ("wav", "aiff", "flac"):
        whole = write(tmp_path / f"whole.{ending}", hit(noise=0.3, seconds=0.5), SAMPLE_RATE_HZ)
        cut = tmp_path / f"cut.{ending}"
        cut.write_bytes(whole.read_bytes()[: int(0.6 * whole.stat().st_size)])
        assert "truncated" in reason(cut) or "cannot be decoded" in reason(cut), ending


def test_wav_written_to_a_pipe_is_not_called_truncated(tmp_path):
    path = write(tmp_path / "a.wav", hit(), SAMPLE_RATE_HZ)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    got, _, _ = sound.one_shot(path)
    assert len(got) > 8000


def test_libsndfile_still_reads_what_we_promise():
    assert {"WAV", "AIFF", "FLAC", "OGG", "MP3"} <= set(soundfile.available_formats())
