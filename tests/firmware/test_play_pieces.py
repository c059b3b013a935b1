"""A play of any length in the memory of a second: the same sound, and no more memory for more of it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.play.host import HostInstrument
from firmware.play.pieces import PIECE_TICKS, blank, put, rendered_pieces
from firmware.play.render import open_instrument, play, read_sound, write_tracks
from firmware.script.cv_script import Script, events, readings, signals
from hardware.board import load_board

HOST = load_board("host")


@pytest.fixture(scope="module")
def drive(model_files, tmp_path_factory) -> HostInstrument:
    models = {"drive": model_files["drive"]}
    return open_instrument("drive", tmp_path_factory.mktemp("drive"), models)[1]


@pytest.mark.parametrize("block", [48, 37, 256])
def test_piece_by_piece_is_the_whole(drive, block):
    """A crowd of events at the seam of two pieces too: sixteen fit into the queue of a block."""
    ticks = 2 * PIECE_TICKS + 1234
    seam = PIECE_TICKS // block * block / HOST.audio.sample_rate_hz
    crowd = np.full(50, seam - 1e-4)
    columns = {
        "knob_1": (np.array([0.0, 2.0]), np.array([0.0, 1.0])),
        "gate_in_1": (np.array([0.5, 1.01]), np.array([1.0, 0.0])),
        "mix": (crowd, np.linspace(0.0, 1.0, 50)),
    }
    script = Script(columns=columns)
    tone = (0.3 * np.sin(np.arange(ticks) * 0.02)).astype(np.float32)
    drive.begin()
    wanted = drive.render(signals(script, HOST, ticks, drive.parameters, {"audio_in_1": tone}), block)
    drive.begin()
    made = blank(drive, ticks, block)

    def read(span):
        return readings(script, HOST, span, {"audio_in_1": tone[span]})

    for span, part in rendered_pieces(drive, ticks, block, read, events(script, HOST, drive.parameters)):
        put(made, span, part, block)
    for name in ("audio", "cv", "gates", "positions"):
        assert np.array_equal(getattr(made, name), getattr(wanted, name)), name
    assert np.abs(made.audio).max() > 0.01


@pytest.mark.parametrize("instrument", ["drive", "rhythm"])
def test_ten_times_as_long_takes_no_more_memory(instrument, tmp_path, model_files):
    """Script, sound file at another rate, rendering, judgement and tracks; a rhythm's drums too."""
    import soundfile

    from firmware.play.verdict import complaint

    models = {instrument: model_files[instrument]}

    def peak(seconds: float) -> int:
        script = tmp_path / f"{seconds}.csv"
        script.write_text(f"time,knob_1,gate_in_1\n0,0,0\n0.1,,1\n0.11,,0\n{seconds},1,0\n")
        tone = tmp_path / f"{seconds}.wav"
        with soundfile.SoundFile(tone, "w", 44_100, 2) as file:
            for _ in range(round(seconds)):
                file.write(0.3 * np.sin(np.arange(88_200).reshape(-1, 2) * 0.05))
        sounds = {"audio_in_1": tone} if instrument == "drive" else {}
        tracemalloc.start()
        try:
            played = play(instrument, script=script, sounds=sounds, models=models, seconds=seconds)
            complaint(played.rendered, True)
            assert played.peak >= 0
            write_tracks(tmp_path / "out.wav", played.sound, played.rendered, played.built)
            assert played.seconds == pytest.approx(seconds)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(3.0)  # what is imported and compiled once
    short, long = peak(3.0), peak(30.0)
    assert long <= 1.3 * short
    assert soundfile.info(tmp_path / "out.wav").frames == 30 * 48_000


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000, 96_000, 47_999])
def test_a_sound_read_in_pieces_is_the_sound(rate_hz, tmp_path):
    import soundfile
    from scipy.signal import resample_poly

    sound = 0.3 * np.random.default_rng(0).standard_normal((rate_hz * 4 + 17, 2))
    path = tmp_path / "sound.wav"
    soundfile.write(path, sound, rate_hz, subtype="DOUBLE")
    made = read_sound(path, 48_000)
    mono = sound.mean(axis=1)
    common = np.gcd(48_000, rate_hz)
    wanted = resample_poly(mono, 48_000 // common, rate_hz // common) if rate_hz != 48_000 else mono
    assert len(made) == len(wanted)
    assert np.abs(made - wanted).max() < 1e-6


def test_a_sound_that_goes_bad_late_is_refused(tmp_path):
    import soundfile

    sound = np.zeros(200_000, np.float32)
    sound[-1] = np.nan
    soundfile.write(tmp_path / "late.wav", sound, 48_000, subtype="FLOAT")
    with pytest.raises(Refusal, match="not numbers"):
        read_sound(tmp_path / "late.wav", 48_000)


def test_a_spooled_array_keeps_what_was_written_when_it_leaves_the_memory():
    from common.spool import release, spooled

    array = spooled((3, 100_000), "float32")
    assert not array.any()
    array[1:] = np.arange(100_000)
    release(array[1])
    release(array)
    release(np.zeros(3))
    assert not array[0].any() and np.array_equal(array[2], np.arange(100_000))
    assert spooled((0, 5), "uint32").shape == (0, 5)


def test_an_hour_leaves_the_memory_as_it_is_made(drive):
    """Pages of a rendering that are done are not kept resident, on systems that tell."""
    from pathlib import Path

    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("this system does not tell what is resident")

    def resident_kib() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "RssFile" in line)

    ticks = 60 * PIECE_TICKS
    made = blank(drive, ticks, 48)
    quiet = Script()
    before = resident_kib()
    for span, part in rendered_pieces(drive, ticks, 48, lambda span: readings(quiet, HOST, span, {}), []):
        put(made, span, part, 48)
    size_kib = (made.audio.nbytes + made.cv.nbytes + made.gates.nbytes) // 1024
    assert size_kib > 50_000
    assert resident_kib() - before < size_kib / 10
