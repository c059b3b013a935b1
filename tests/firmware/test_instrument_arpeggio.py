"""The arpeggio: notes of the chord and no others, led by least motion, steady under noise and odd volts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from common.chords import QUALITIES, SLOTS, number_of
from tests.firmware.conftest import shim_library
from toy.harmony import progressions

pytestmark = pytest.mark.fast

CLOCK, RESET, FREEZE = 1, 2, 4
NOTE, CHANGE, START, SNAPPED = range(4)
RATIO, TEMPO, SWING, PATTERN, RANGE, LENGTH, DENSITY, PACE, VOICING, TRANSPOSE, INPUT, SNAP = range(1, 13)
NAMES = list(QUALITIES)
Q = len(NAMES)
PERIOD, STEPS = 100, 2500
CADENCE = [number_of(0, "maj"), number_of(9, "min7"), number_of(2, "min7"), number_of(7, "7")]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return shim_library("arpeggio_shim.c", tmp_path_factory.mktemp("arpeggio"), "control", "instruments")


def scores(chords, sure=8.0):
    """Scores ``[23, 16]`` of chords by their numbers; a list of fewer than 16 is repeated slot by slot."""
    chords = np.repeat(chords, SLOTS // len(chords))
    out = np.full((23, SLOTS), -sure, np.float32)
    out[chords // Q, np.arange(SLOTS)] = sure
    out[12 + chords % Q, np.arange(SLOTS)] = sure
    out[22, 1:] = np.where(chords[1:] == chords[:-1], sure, -sure)
    return out


class Arpeggio:
    def __init__(self, shim, low=None, high=None, *, clocked=True):
        self.ffi, self.lib = shim.ffi, shim.lib
        low = scores(CADENCE) if low is None else low
        rows = [[len(notes), *notes, *[0] * (4 - len(notes))] for notes in QUALITIES.values()]
        self.lib.shim_arpeggio_init(
            clocked,
            self.ffi.new("uint8_t[]", [byte for row in rows for byte in row]),
            *(self.ffi.new("float[]", one.ravel().tolist()) for one in (low, low if high is None else high)),
        )

    def set(self, parameter, position):
        assert self.lib.shim_arpeggio_set(parameter, position)

    def scores(self, low):
        both = [self.ffi.new("float[]", low.ravel().tolist()) for _ in range(2)]
        self.lib.shim_arpeggio_scores(*both)

    def run(self, gates, volts=(0.0, 0.0, 0.0), block=48):
        """``volts`` of latent, transposition and quantizer: three numbers, or ``[blocks, 3]``."""
        gates = np.ascontiguousarray(gates, np.uint32)
        blocks = -(-gates.size // block)
        codes = (np.broadcast_to(np.asarray(volts, np.float32), (blocks, 3)) + 5) / 10
        codes = np.ascontiguousarray(codes, np.float32)
        self.gates = np.zeros(gates.size, np.uint32)
        self.melody, self.bass, self.quantized = (np.zeros(gates.size, np.float32) for _ in range(3))
        self.chords, voiced = np.zeros(blocks, np.uint8), np.zeros(5 * blocks, np.uint8)
        take = self.ffi.from_buffer
        self.lib.shim_arpeggio_run(
            take("uint32_t[]", gates),
            take("float[]", codes),
            gates.size,
            block,
            take("uint32_t[]", self.gates),
            *(take("float[]", one) for one in (self.melody, self.bass, self.quantized)),
            take("uint8_t[]", self.chords),
            take("uint8_t[]", voiced),
        )
        self.voiced = [row[1 : 1 + row[0]].tolist() for row in voiced.reshape(-1, 5)]
        return self

    def rises(self, source):
        return np.flatnonzero(np.diff((self.gates >> source & 1).astype(int), prepend=0) == 1)

    def notes(self):
        """Semitones at every note's beginning."""
        return np.round(self.melody[self.rises(NOTE)] * 12).astype(int)


def clock(ticks, period, start=4800, bit=CLOCK):
    gates = np.zeros(ticks, np.uint32)
    for at in np.arange(start, ticks, period).astype(int):
        gates[at : at + 48] |= bit
    return gates


def classes(number):
    return {(number // Q + note) % 12 for note in QUALITIES[NAMES[number % Q]]}


@pytest.mark.parametrize("block", [1, 48, 256])
def test_each_pulse_is_a_note_of_the_chord_to_the_sample(shim, block):
    played = Arpeggio(shim).run(clock(4800 + 6000 * 64, 6000), block=block)
    notes = played.rises(NOTE)
    assert notes.tolist() == list(range(4800, 4800 + 6000 * 64, 6000))
    for number, key in enumerate(played.notes()):
        assert key % 12 in classes(CADENCE[number // 8 % 4])
    # a slot is two steps here, a chord four slots
    assert played.rises(CHANGE).tolist() == [4800 + 6000 * n for n in range(0, 64, 8)]
    assert played.rises(START).tolist() == [4800, 4800 + 6000 * 32]
    assert np.allclose(played.bass[played.rises(CHANGE)] * 12, [0, 9, 2, 7] * 2, atol=1e-5)


@pytest.mark.parametrize("first", [0, 60, 300])
def test_a_clock_at_power_on_plays_its_first_step(shim, first):
    played = Arpeggio(shim).run(clock(6000 * 9, 6000, first))
    notes = played.rises(NOTE)
    assert notes[0] < 480 + first
    assert (notes[1:] - first).tolist() == list(range(6000, 6000 * 9 - first, 6000))
    assert played.rises(START)[0] == notes[0]


def test_only_notes_of_the_chord_sound_whatever_is_turned(shim):
    """A hundred thousand steps of forty progressions."""
    rng = np.random.default_rng(1)
    heard = set()
    for turn in range(40):
        chords = rng.integers(0, 120, SLOTS)
        arpeggio = Arpeggio(shim, scores(chords))
        for parameter in (PATTERN, RANGE, VOICING):
            arpeggio.set(parameter, float(rng.random()))
        arpeggio.run(clock(2400 + PERIOD * STEPS, PERIOD, 2400), block=240)
        wanted = [chords[step // 2 % SLOTS] for step in range(STEPS)]
        keys = np.round(arpeggio.melody[2400 + PERIOD // 2 :: PERIOD] * 12).astype(int)
        assert len(keys) == STEPS
        for step, key in enumerate(keys):
            assert key % 12 in classes(wanted[step]), (turn, step)
        heard.update(keys.tolist())
        assert arpeggio.melody.min() >= 0
        assert arpeggio.melody.max() <= 5
    assert len(heard) > 40


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (0, [0, 1, 2, 3, 4, 5, 0, 1]),
        (1, [5, 4, 3, 2, 1, 0, 5, 4]),
        (2, [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1]),
        (3, [0, 5, 1, 4, 2, 3, 0, 5]),
        (4, [0, 3, 1, 4, 2, 5, 0, 3]),
    ],
)
def test_a_pattern_has_its_order(shim, pattern, wanted):
    arpeggio = Arpeggio(shim, scores([0]))
    arpeggio.set(PATTERN, pattern / 5)
    arpeggio.set(RANGE, 0.5)  # two octaves
    keys = arpeggio.run(clock(4800 + 6000 * len(wanted) - 100, 6000)).notes()
    pool = [12, 16, 19, 24, 28, 31]
    assert keys.tolist() == [pool[one] for one in wanted]


def test_any_order_is_the_same_again_and_reaches_every_note(shim):
    runs = []
    for _ in range(2):
        arpeggio = Arpeggio(shim, scores([0]))
        arpeggio.set(PATTERN, 1.0)
        arpeggio.set(RANGE, 1.0)
        runs.append(arpeggio.run(clock(4800 + 1000 * 200, 1000)).notes())
    assert (runs[0] == runs[1]).all()
    assert set(runs[0]) == {12, 16, 19, 24, 28, 31, 36, 40, 43}


def motion(before, after):
    """Semitones from each note to the nearest of the other chord, both ways."""
    return sum(min(abs(a - b) for b in before) for a in after) + sum(
        min(abs(a - b) for a in after) for b in before
    )


def test_chords_are_led_with_at_least_two_fifths_less_motion_than_from_their_roots(shim):
    """On songs from the grammar; the figure for real songs is in the experiment's page."""
    moved = {0.0: 0, 1.0: 0}
    for song in progressions.songs(4, 12):
        tonic = progressions.NOTES.index(song.tonic)
        slots = []
        for bar in song.bars:
            symbols = bar.split()
            slots += [symbols[0], symbols[-1]]
        numbers = []
        for symbol in slots[:SLOTS]:
            note, _, quality = symbol.partition(":")
            quality = {"sus4": "sus", "hdim7": "hdim"}.get(quality, quality)
            numbers.append(number_of(progressions.NOTES.index(note) - tonic, quality))
        for voicing in moved:
            arpeggio = Arpeggio(shim, scores(np.array(numbers)))
            arpeggio.set(VOICING, voicing)
            arpeggio.run(clock(4800 + 960 * 64, 960))
            told = [one for one in arpeggio.voiced if one]
            for before, after in pairwise(told):
                assert after == sorted(after) and len(set(after)) == len(after)
                assert after[0] >= 12
                assert after[-1] <= 38
                moved[voicing] += motion(before, after) if before != after else 0
    assert moved[1.0] <= 0.6 * moved[0.0]


def test_noise_on_a_voltage_never_flickers_a_chord(shim):
    """3 mV of noise at two hundred places along the latent, most of them where chords are about to change."""
    rng = np.random.default_rng(5)
    chords = [rng.integers(0, 120, SLOTS) for _ in range(2)]
    arpeggio = Arpeggio(shim, scores(chords[0]), scores(chords[1]))
    flickers = 0
    for volts in np.concatenate([np.linspace(-0.05, 0.05, 150), np.linspace(-4, 4, 50)]):
        still = np.tile([volts, 0.0, 0.0], (400, 1))
        arpeggio.run(np.zeros(400 * 48, np.uint32), still)
        arpeggio.run(clock(48 * 20 * 64, 960, 480), still[:1])  # all slots once, settled
        settled = arpeggio.chords[640:].copy()
        noisy = np.tile([volts, 0.0, 0.0], (48 * 20 * 64 // 48, 1))
        noisy[:, 0] += rng.normal(0, 0.003, len(noisy))
        arpeggio.run(clock(48 * 20 * 64, 960, 480), noisy)
        flickers += int((arpeggio.chords[640:] != settled).sum())
    assert flickers == 0


def test_a_voltage_that_moves_does_change_the_chords(shim):
    """The steadiness above is not deafness."""
    chords = [np.full(SLOTS, number_of(0, "maj")), np.full(SLOTS, number_of(5, "min"))]
    arpeggio = Arpeggio(shim, scores(chords[0]), scores(chords[1]))
    assert arpeggio.run(clock(96_000, 960), [-4.0, 0, 0]).chords[-1] == number_of(0, "maj")
    assert arpeggio.run(clock(96_000, 960), [4.0, 0, 0]).chords[-1] == number_of(5, "min")


def test_freeze_holds_the_progression(shim):
    chords = [np.full(SLOTS, number_of(0, "maj")), np.full(SLOTS, number_of(5, "min"))]
    arpeggio = Arpeggio(shim, scores(chords[0]), scores(chords[1]))
    arpeggio.run(clock(48_000, 960), [-4.0, 0, 0])
    frozen = clock(96_000, 960) | np.uint32(FREEZE)
    assert set(arpeggio.run(frozen, [4.0, 0, 0]).chords) == {number_of(0, "maj")}
    assert arpeggio.run(clock(96_000, 960), [4.0, 0, 0]).chords[-1] == number_of(5, "min")


@pytest.mark.parametrize("volts", [np.nan, np.inf, -np.inf, -9.0, 9.0, 1e30])
def test_an_absurd_voltage_stays_a_note_of_the_chord(shim, volts):
    arpeggio = Arpeggio(shim, scores([0]))
    with np.errstate(invalid="ignore"):
        arpeggio.run(clock(96_000, 960), [0.0, volts, volts])
    keys = arpeggio.melody[4900:] * 12
    assert np.isfinite(arpeggio.melody).all() and np.isfinite(arpeggio.quantized).all()
    assert arpeggio.melody.min() >= 0
    assert arpeggio.melody.max() <= 5
    assert np.allclose(keys, np.round(keys), atol=1e-4)
    steps = np.diff(np.unique(np.round(keys).astype(int) % 12))
    assert sorted([*steps, 12 - steps.sum()]) == [3, 4, 5]  # a major triad, wherever it was moved to
    assert np.abs(arpeggio.quantized).max() <= 12


def test_chatter_and_storms_leave_no_gate_stuck(shim):
    rng = np.random.default_rng(2)
    for length in (0.0, 0.5, 1.0):
        arpeggio = Arpeggio(shim)
        arpeggio.set(LENGTH, length)
        gates = (rng.random(96_000) < 0.2).astype(np.uint32) * CLOCK
        gates |= (rng.random(96_000) < 0.01).astype(np.uint32) * RESET
        arpeggio.run(gates, block=256)
        arpeggio.run(np.zeros(96_000, np.uint32))
        assert not arpeggio.gates[-48_000:].any()
        arpeggio.run(clock(96_000, 6000))  # and it is sane again at once
        assert len(arpeggio.rises(NOTE)) >= (1 if length == 1.0 else 14)


def test_a_clock_that_wavers_leaves_a_gap_between_notes(shim):
    rng = np.random.default_rng(7)
    at = (4800 + np.cumsum(6000 * (1 + rng.uniform(-0.3, 0.3, 60)))).astype(int)
    gates = np.zeros(at[-1] + 6000, np.uint32)
    for one in at:
        gates[one : one + 48] = CLOCK
    arpeggio = Arpeggio(shim)
    arpeggio.set(LENGTH, 0.9)
    arpeggio.run(gates)
    assert len(arpeggio.rises(NOTE)) == len(at)


def test_a_note_is_as_long_as_asked_and_ties_at_the_end_of_the_travel(shim):
    for length, part in ((0.0, 0.05), (0.5, 0.525)):
        arpeggio = Arpeggio(shim)
        arpeggio.set(LENGTH, length)
        arpeggio.run(clock(4800 + 6000 * 16, 6000))
        high = (arpeggio.gates >> NOTE & 1)[4800 + 6000 * 4 : 4800 + 6000 * 12].mean()
        assert high == pytest.approx(part, abs=0.01)
    arpeggio.set(LENGTH, 1.0)
    arpeggio.run(clock(6000 * 16, 6000, 0))
    assert (arpeggio.gates >> NOTE & 1)[12_000:].all()


def test_reset_begins_again(shim):
    gates = clock(6000 * 40, 6000)
    gates[4800 + 6000 * 11 + 3000 :][:48] |= RESET
    arpeggio = Arpeggio(shim).run(gates)
    assert arpeggio.rises(START).tolist() == [4800, 4800 + 6000 * 12]
    assert round(float(arpeggio.bass[4800 + 6000 * 12]) * 12) == 0


def test_density_leaves_notes_out_and_nothing_else(shim):
    counts = []
    for density in (0.0, 0.3, 0.7, 1.0):
        arpeggio = Arpeggio(shim)
        arpeggio.set(DENSITY, density)
        arpeggio.run(clock(4800 + 960 * 256, 960))
        counts.append(len(arpeggio.rises(NOTE)))
        assert len(arpeggio.rises(CHANGE)) == 32
    assert counts[0] == 0 and counts[-1] == 256 and counts == sorted(counts)


def test_transposition_is_whole_semitones_and_holds_through_noise(shim):
    arpeggio = Arpeggio(shim, scores([0]))
    rng = np.random.default_rng(3)
    blocks = 2000
    volts = np.zeros((blocks, 3))
    volts[:, 1] = 3.5 / 12 + rng.normal(0, 0.003, blocks)  # on the edge between two
    arpeggio.run(clock(blocks * 48, 960), volts)
    assert len(set(np.round(arpeggio.bass[4900:] * 12))) == 1
    for semitones in (-7, 0, 5, 12):
        arpeggio = Arpeggio(shim, scores([0]))
        arpeggio.run(clock(48_000, 960), [0.0, semitones / 12, 0.0])
        assert {int(key) % 12 for key in arpeggio.notes()} == {(n + semitones) % 12 for n in (0, 4, 7)}


@pytest.mark.parametrize(("snap", "notes"), [(0.0, {0, 4, 7}), (1.0, {0, 2, 4, 5, 7, 9, 11})])
def test_the_quantizer_rises_with_its_input_and_holds_20_cents(shim, snap, notes):
    arpeggio = Arpeggio(shim, scores([0]))
    arpeggio.set(SNAP, snap)
    arpeggio.run(clock(48_000, 960))
    blocks = 4000
    volts = np.zeros((blocks, 3))
    volts[:, 2] = np.linspace(-2, 4, blocks)
    up = np.round(arpeggio.run(np.zeros(blocks * 48, np.uint32), volts).quantized[::48] * 12, 3)
    assert (np.diff(up) >= 0).all()
    assert {int(key) % 12 for key in up} == notes
    down = np.round(arpeggio.run(np.zeros(blocks * 48, np.uint32), volts[::-1]).quantized[::48] * 12, 3)[::-1]
    lag = volts[np.flatnonzero(np.diff(up))[:8], 2] - volts[np.flatnonzero(np.diff(down))[:8], 2]
    assert (lag * 1200 >= 15).all() and (lag * 1200 <= 45).all()  # two borders, 10 cents either side


def test_volts_are_within_two_cents_after_the_converter(shim):
    """Through the board's own converter, rounded to its codes as the Daisy's port does (``module.cpp``)."""
    from hardware.board import load_board

    dac = load_board("patch_sm").dacs[0]
    arpeggio = Arpeggio(shim)
    arpeggio.set(RANGE, 1.0)
    volts = arpeggio.run(clock(4800 + 960 * 256, 960)).melody[4900:]
    codes = (volts * np.float32(dac.codes_per_volt) + np.float32(0.5)).astype(np.uint16)
    heard = codes * (dac.high_volts - dac.low_volts) / (2**dac.bits - 1) + dac.low_volts
    assert np.abs(heard - np.round(volts * 12) / 12).max() * 1200 < 0.8


def test_its_own_clock_runs_where_nothing_is_patched(shim):
    arpeggio = Arpeggio(shim, clocked=False).run(np.zeros(480_000, np.uint32))
    assert np.abs(np.diff(arpeggio.rises(NOTE)[1:]) - 6000).max() <= 1


def test_weeks_of_play_stay_in_step(shim):
    arpeggio = Arpeggio(shim)
    arpeggio.set(RATIO, 1.0)
    arpeggio.run(clock(24 * 3000, 24, 0), block=240)
    arpeggio.set(RATIO, 6 / 11)
    arpeggio.run(clock(480_000, 6000, 0))
    assert (np.diff(arpeggio.rises(NOTE))[2:] == 6000).all()


@pytest.fixture(scope="module")
def played(model_files):
    from firmware.instruments.demo import find_demo
    from firmware.play.render import play

    models = {"chords": model_files["chords"]}
    return play("arpeggio", board="patch_sm", script=find_demo("arpeggio").script, models=models, seconds=6.0)


def test_a_midi_file_holds_what_leaves_the_jacks(played, tmp_path):
    """As mido reads it back: every note where its gate rises, at the pitch of its voltage above C2."""
    import mido

    from firmware.midi.notes_out import write_notes

    path = tmp_path / "a.mid"
    count = write_notes(played, path)
    now, found, open_notes = 0.0, [], 0
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(now * 48_000), message.channel, message.note))
            open_notes += 1
        elif message.type in ("note_on", "note_off"):
            open_notes -= 1
    assert (len(found), open_notes) == (count, 0)
    for channel in (0, 1):
        level = (played.rendered.gates >> channel & 1).astype(int)
        rises = np.flatnonzero(np.diff(level, prepend=0) == 1)
        wanted = 36 + np.round(played.rendered.cv[channel, rises] * 12).astype(int)
        told = [(at, key) for at, where, key in found if where == channel]
        assert [key for _, key in told] == wanted.tolist()
        assert np.abs(np.array([at for at, _ in told]) - rises).max() <= 13  # half a MIDI tick
    assert len(found) > 40


def test_what_is_heard_has_the_pitch_of_the_note(played):
    """The strongest line of each note that sounds alone enough, against its key."""
    from firmware.midi.pitched import pitched_notes

    assert played.struck == "a plain synthesizer"
    notes = [one for one in pitched_notes(played.built, played.rendered) if one.channel == 0]
    right = 0
    for note in notes[:40]:
        piece = played.sound[0, note.begin : note.begin + 4800] * np.hanning(4800)
        spectrum = np.abs(np.fft.rfft(piece, 1 << 16))
        hz = 440 * 2 ** ((note.key - 69) / 12)
        near = spectrum[
            round(hz * 2**-0.04 * (1 << 16) / 48_000) : round(hz * 2**0.04 * (1 << 16) / 48_000) + 1
        ]
        right += near.max() > 0.2 * spectrum.max()
    assert right >= 38
