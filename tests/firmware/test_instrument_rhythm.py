"""The rhythm under clocks of every manner: in step, followed, bounded."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.fast

CLOCK, RESET, FILL, FREEZE = 1, 2, 4, 8
KICK, SNARE, ACCENT, STEP, START = 0, 1, 9, 10, 11
RATIO, TEMPO, SWING, TIMING, ACCENT_KNOB, FILL_KNOB = range(10, 16)
RESET_STEP, REMOTE_CLOCK = 4, 3


def pattern(onset=None, velocity=0.5, micro=0.0):
    """[27, 32]: kick on every fourth step, snare on 4 and 12 …, unless `onset` says otherwise."""
    out = np.zeros((3, 9, 32), np.float32)
    if onset is None:
        out[0, KICK, ::4] = 0.9
        out[0, SNARE, 4::8] = 0.6
    else:
        out[0] = onset
    out[1], out[2] = velocity, micro
    return out


class Rhythm:
    def __init__(self, shim, *, clocked=True, slices=3, grid=None):
        self.ffi, self.lib = shim.ffi, shim.lib
        grid = pattern() if grid is None else grid
        self.lib.shim_rhythm_init(clocked, slices, self.ffi.new("float[]", grid.ravel().tolist()))

    def run(self, gates, block=48):
        gates = np.ascontiguousarray(gates, np.uint32)
        out, velocity = np.zeros(gates.size, np.uint32), np.zeros(gates.size, np.float32)
        self.lib.shim_rhythm_run(
            self.ffi.from_buffer("uint32_t[]", gates),
            gates.size,
            block,
            self.ffi.from_buffer("uint32_t[]", out),
            self.ffi.from_buffer("float[]", velocity),
        )
        self.velocity = velocity
        return out

    def set(self, parameter, position):
        assert self.lib.shim_rhythm_set(parameter, position)


def clock(ticks, period, start=4800, bit=CLOCK):
    gates = np.zeros(ticks, np.uint32)
    for at in np.arange(start, ticks, period).astype(int):
        gates[at : at + 48] |= bit
    return gates


def rises(out, source):
    level = (out >> source & 1).astype(int)
    return np.flatnonzero(np.diff(level, prepend=0) == 1)


@pytest.mark.parametrize("block", [16, 48, 256])
@pytest.mark.parametrize("first", [0, 60, 300])
def test_a_clock_at_power_on_plays_its_first_step(instruments, first, block):
    """The pattern takes 80 callbacks of an ordinary decode; what falls due before it is there is held."""
    rhythm = Rhythm(instruments, slices=80)
    out = rhythm.run(clock(6000 * 9, 6000, first), block)
    beats = rises(out, KICK)
    assert beats[0] < 2000  # 42 ms at blocks of 16, 10 ms at 48; not left out
    assert beats[0] < 480 + 2 * block + first or block == 16
    assert list(beats[1:] - first) == [4 * 6000, 8 * 6000]


def test_steps_long_past_are_left_out_when_the_first_pattern_comes(instruments):
    grid = pattern()
    grid[0, KICK] = 0.9  # every step
    rhythm = Rhythm(instruments, slices=13 * 400, grid=grid)  # 0.4 s
    beats = rises(rhythm.run(clock(48_000, 3000, 0)), KICK)
    assert beats[0] > 19_000
    assert np.all(np.diff(beats) > 2000)  # no burst of what was missed
    assert set(beats[1:] % 3000) == {0}


@pytest.mark.parametrize("block", [1, 48, 64, 256])
def test_one_pulse_is_one_step_to_the_sample(instruments, block):
    rhythm = Rhythm(instruments)
    out = rhythm.run(clock(48_000 * 6, 6000), block)
    assert list(np.diff(rises(out, KICK))) == [24_000] * 11
    assert list(rises(out, STEP)) == list(range(4800, 48_000 * 6, 6000))
    assert (rises(out, KICK) - 4800) % 24_000 == pytest.approx(0)
    assert list(rises(out, START)) == [4800, 4800 + 32 * 6000]


@pytest.mark.parametrize(
    ("ratio", "steps"),
    [(0, 1 / 12), (2, 1 / 6), (3, 1 / 4), (5, 1 / 2), (6, 1), (7, 2), (8, 3), (9, 4), (11, 8)],
)
def test_the_clock_is_multiplied_and_divided(instruments, ratio, steps):
    rhythm = Rhythm(instruments)
    rhythm.set(RATIO, ratio / 11)
    period = round(6000 * steps)
    out = rhythm.run(clock(48_000 * 8, period))
    grid = rises(out, STEP)
    assert np.abs(np.diff(grid[4:]) - 6000).max() <= 6
    pulses = np.arange(4800, 48_000 * 8, period)
    # a step that falls on a pulse falls on it exactly
    on_pulse = np.isin(grid, pulses)
    assert on_pulse[4:].sum() >= (len(grid) - 5) * min(1.0, 1 / steps) - 1


def test_tempo_is_followed_within_one_step(instruments):
    rhythm = Rhythm(instruments)
    rhythm.set(RATIO, 7 / 11)  # two steps a pulse: the second one is extrapolated
    slow, fast = np.arange(4800, 100_800, 12_000), np.arange(100_800, 240_000, 6_000)
    gates = np.zeros(240_000, np.uint32)
    for at in np.concatenate([slow, fast]):
        gates[at : at + 48] |= CLOCK
    grid = rises(rhythm.run(gates), STEP)
    before, after = grid[grid < 100_800], grid[grid > 100_800 + 6_000]
    assert np.abs(np.diff(before[3:]) - 6_000).max() <= 1
    assert np.abs(np.diff(after) - 3_000).max() <= 1


def test_a_stopped_clock_stops_and_goes_on_in_place(instruments):
    rhythm = Rhythm(instruments)
    gates = np.concatenate([clock(60_000, 6000), np.zeros(480_000, np.uint32), clock(60_000, 6000)])
    grid = rises(rhythm.run(gates), STEP)
    assert not ((grid > 60_500) & (grid < 540_000)).any()
    assert list(np.diff(grid[grid > 540_000])) == [6000] * 9


def test_reset_starts_at_the_next_pulse_and_a_reset_with_the_clock_at_once(instruments):
    gates = clock(200_000, 6000)
    gates[4800 + 6000 * 5 + 3000 :][:48] |= RESET  # between pulses
    out = Rhythm(instruments).run(gates)
    assert list(rises(out, START)) == [4800, 4800 + 6000 * 6]
    for late in (0, 10, 200):  # together with a pulse, or just after
        gates = clock(200_000, 6000)
        gates[4800 + 6000 * 5 + late :][:48] |= RESET
        out = Rhythm(instruments).run(gates)
        assert list(rises(out, START)) == [4800, 4800 + 6000 * 5 + late]


def test_its_own_clock_runs_at_the_tempo_and_yields_to_a_remote_one(instruments):
    rhythm = Rhythm(instruments, clocked=False)
    grid = rises(rhythm.run(np.zeros(480_000, np.uint32)), STEP)
    assert np.abs(np.diff(grid) - 6000).max() <= 1  # 120 BPM
    rhythm.set(TEMPO, 0.0)
    grid = rises(rhythm.run(np.zeros(480_000, np.uint32)), STEP)
    assert np.abs(np.diff(grid[1:]) - 18_000).max() <= 1  # 40 BPM
    rhythm.lib.shim_rhythm_command(RESET_STEP)
    assert rises(rhythm.run(np.zeros(480, np.uint32)), START).size == 1
    for _ in range(8):
        rhythm.lib.shim_rhythm_command(REMOTE_CLOCK)
        out = rhythm.run(np.zeros(4800, np.uint32))
    assert rises(out, STEP).size == 1


def test_swing_and_microtiming_shift_and_stay_between_neighbours(instruments):
    everything = np.ones((9, 32), np.float32)
    rhythm = Rhythm(instruments, grid=pattern(everything))
    rhythm.set(SWING, 1.0)
    beats = rises(rhythm.run(clock(196_800, 6000)), KICK)[4:]
    late = (beats - 4800) % 12_000
    assert set(np.round(late / 100)) == {0, 80}  # odd sixteenths a third late
    grid = pattern(everything, micro=np.where(np.arange(32) % 3 == 0, -0.4, 0.45))
    rhythm = Rhythm(instruments, grid=grid)
    beats = rises(rhythm.run(clock(196_800, 6000)), KICK)
    steps = (beats[4:-1] - 4800) / 6000
    expected = [s + grid[2, 0, s % 32] for s in range(4, 4 + len(steps))]
    assert np.abs(steps - expected).max() < 0.01
    rhythm = Rhythm(instruments, grid=grid)
    rhythm.set(TIMING, 0.0)
    beats = rises(rhythm.run(clock(196_800, 6000)), KICK)
    assert ((beats - 4800) % 6000 == 0).all()


def test_density_adds_hits_in_the_order_of_their_probability(instruments):
    onset = np.zeros((9, 32), np.float32)
    onset[KICK] = np.linspace(0.99, 0.01, 32)
    counts = []
    for density in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0):
        rhythm = Rhythm(instruments, grid=pattern(onset))
        rhythm.set(1 + KICK, density)
        beats = rises(rhythm.run(clock(4800 + 32 * 6000 - 100, 6000)), KICK)
        steps = (beats - 4800) // 6000
        assert list(steps) == list(range(len(steps)))  # the likeliest first
        counts.append(len(steps))
    assert counts[0] == 0
    assert counts[-1] == 32
    assert counts == sorted(counts)


def test_a_fill_adds_and_freeze_holds(instruments):
    onset = np.zeros((9, 32), np.float32)
    onset[KICK] = np.linspace(0.99, 0.01, 32)
    plain = rises(Rhythm(instruments, grid=pattern(onset)).run(clock(192_000, 6000)), KICK)
    gates = clock(192_000, 6000) | np.uint32(FILL)
    filled = rises(Rhythm(instruments, grid=pattern(onset)).run(gates), KICK)
    assert len(filled) > len(plain)
    rhythm = Rhythm(instruments)
    rhythm.run(clock(48_000, 6000))
    decodes = rhythm.lib.shim_decodes()
    rhythm.set(0, 0.9)
    rhythm.run(clock(48_000, 6000, 0) | np.uint32(FREEZE))
    assert rhythm.lib.shim_decodes() == decodes
    rhythm.run(clock(48_000, 6000, 0))
    assert rhythm.lib.shim_decodes() > decodes
    assert rhythm.lib.shim_decoded() == pytest.approx(0.9, abs=1e-3)


def test_a_fill_at_high_density_does_not_play_everything(instruments):
    rhythm = Rhythm(instruments, grid=pattern(np.zeros((9, 32), np.float32)))
    for voice in range(9):
        rhythm.set(1 + voice, 0.9)
    out = rhythm.run(clock(96_000, 6000) | np.uint32(FILL))
    assert not any(rises(out, voice).size for voice in range(9))


def test_nothing_plays_before_the_first_pattern_is_there(instruments):
    rhythm = Rhythm(instruments, slices=13 * 300)  # 13 in a callback of 48 until something plays
    out = rhythm.run(clock(48_000, 6000))
    beats = rises(out, KICK)
    assert (beats > 300 * 48).all()
    assert beats.size


def test_accents_and_velocities_go_out(instruments):
    grid = pattern(velocity=np.linspace(0, 1, 32))
    rhythm = Rhythm(instruments, grid=grid)
    out = rhythm.run(clock(4800 + 32 * 6000 - 100, 6000))
    beats = rises(out, KICK)
    steps = (beats - 4800) // 6000
    assert np.allclose(rhythm.velocity[beats + 1], 5 * np.linspace(0, 1, 32)[steps], atol=1e-5)
    accents = (rises(out, ACCENT) - 4800) // 6000
    assert set(accents) == {s for s in steps if np.linspace(0, 1, 32)[s] >= 0.75}


@pytest.mark.parametrize("period", [24, 48, 100])
def test_absurd_clocks_and_reset_storms_stay_bounded(instruments, period):
    rhythm = Rhythm(instruments, grid=pattern(np.ones((9, 32), np.float32)))
    rhythm.set(RATIO, 1.0)
    rng = np.random.default_rng(3)
    gates = np.zeros(480_000, np.uint32)
    gates[::period] = CLOCK
    gates |= (rng.random(gates.size) < 0.01).astype(np.uint32) * RESET
    out = rhythm.run(gates, 256)
    assert rises(out, KICK).size
    grid = rises(rhythm.run(clock(96_000, 6000), 48), STEP)  # and it is sane again at once
    assert grid.size


def test_weeks_of_play_stay_in_step(instruments):
    """The counters start over; nothing is heard of it."""
    rhythm = Rhythm(instruments)
    rhythm.set(RATIO, 1.0)  # eight steps a pulse
    out = rhythm.run(clock(24 * 3000, 24, 0), 240)  # 24,000 steps in 1.5 s
    assert rises(out, START).size
    rhythm.set(RATIO, 6 / 11)
    out = rhythm.run(clock(480_000, 6000, 0))
    assert list(np.diff(rises(out, STEP))[2:]) == [6000] * (len(rises(out, STEP)) - 3)
