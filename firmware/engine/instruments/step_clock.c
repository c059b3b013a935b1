/* From clock pulses to a place in the pattern. */
#include "step_clock.h"

#define COINCIDENT_TICKS 240u    /* 5 ms: a reset that comes just after its clock */
#define PERIOD_MIN_TICKS 24u     /* 2 kHz: what is faster is noise on the line */
#define PERIOD_MAX_TICKS 240000u /* 5 s: what is slower is a clock that stood still */

/* Steps per pulse, in 24ths. */
static const uint8_t ratio_24ths[STEP_CLOCK_RATIOS] = {2, 3, 4, 6, 8, 12, 24, 48, 72, 96, 144, 192};

void step_clock_init(StepClock *clock, float sample_rate_hz, bool clocked) {
    *clock = (StepClock){
        .place = -1,
        .step_ticks = (uint32_t)(sample_rate_hz * 0.125f),
        .ratio = STEP_CLOCK_ONE,
        .clocked = clocked,
        .armed = true,
    };
    clock->pulse_units = STEP_UNITS;
}

/* Long division, bit by bit: the M7 has none of 64 bits, and this is done once a pulse. */
static int64_t divided(int64_t units, uint32_t ticks) {
    const uint64_t number = (uint64_t)units;
    uint64_t rest = 0, quotient = 0;
    for (unsigned bit = 64; bit-- > 0;) {
        rest = rest << 1 | (number >> bit & 1u);
        quotient <<= 1;
        if (rest >= ticks) {
            rest -= ticks;
            quotient |= 1u;
        }
    }
    return (int64_t)quotient;
}

static int64_t last_pulse_before(const StepClock *clock) {
    const uint32_t ratio = ratio_24ths[clock->ratio];
    return (int64_t)((uint32_t)(clock->place >> 32) / ratio) * clock->pulse_units;
}

static void follow(StepClock *clock) {
    clock->tick_units = clock->measured ? divided(clock->pulse_units, clock->period_ticks)
                                        : divided(STEP_UNITS, clock->step_ticks);
}

void step_clock_ratio(StepClock *clock, uint8_t ratio) {
    if (ratio == clock->ratio || ratio >= STEP_CLOCK_RATIOS) {
        return;
    }
    clock->ratio = ratio;
    clock->pulse_units = (int64_t)ratio_24ths[ratio] << 32;
    follow(clock);
    /* The next pulse falls on the new grid, ahead of where we are. */
    if (clock->place > 0) {
        clock->pulse_place = last_pulse_before(clock);
    }
}

static void start_over(StepClock *clock) {
    clock->pulse_place = 0;
    clock->place = 0;
    clock->armed = false;
}

static void obey_pulse(StepClock *clock) {
    if (clock->heard && clock->since_ticks < PERIOD_MIN_TICKS) {
        return;
    }
    /* A gap of seconds is a clock that stopped: it goes on at the tempo it had. */
    if (clock->heard && clock->since_ticks <= PERIOD_MAX_TICKS) {
        clock->period_ticks = clock->since_ticks;
        clock->measured = true;
    }
    clock->heard = true;
    clock->since_ticks = 0;
    follow(clock);
    if (clock->armed) {
        start_over(clock);
        return;
    }
    clock->pulse_place += clock->pulse_units;
    clock->place = clock->pulse_place;
}

static void obey_reset(StepClock *clock) {
    if (step_clock_is_own(clock) || (clock->heard && clock->since_ticks < COINCIDENT_TICKS)) {
        start_over(clock);
    } else {
        clock->armed = true;
    }
}

bool step_clock_obey(StepClock *clock, bool pulse, bool reset) {
    const bool waited = clock->armed;
    if (pulse) {
        obey_pulse(clock);
    }
    if (reset) {
        obey_reset(clock);
    }
    return !clock->armed && (waited || reset);
}

int64_t step_clock_own_units(float tempo_bpm, float sample_rate_hz) {
    /* Four sixteenths to a beat; the float carries 24 bits of tempo, far below hearing. */
    const float steps_per_tick = tempo_bpm / (15.0f * sample_rate_hz);
    return (int32_t)(steps_per_tick * (float)STEP_UNITS);
}

void step_clock_tick_internal(StepClock *clock, int64_t own_units) {
    clock->since_ticks += clock->since_ticks < SINCE_MAX_TICKS;
    if (clock->armed) {
        start_over(clock);
        return;
    }
    clock->place += own_units;
    clock->pulse_place = last_pulse_before(clock);
}

bool step_clock_skip(StepClock *clock, uint32_t ticks, int64_t own_units, int64_t before) {
    const bool own = step_clock_is_own(clock);
    if ((own && clock->armed) || (clock->remote_ticks > 0 && clock->remote_ticks <= ticks)) {
        return false;
    }
    const bool moves = own || (clock->heard && !clock->armed);
    int64_t place = clock->place;
    if (moves) {
        const int64_t limit = own ? INT64_MAX : clock->pulse_place + clock->pulse_units - 1;
        place += (int64_t)ticks * (own ? own_units : clock->tick_units);
        place = place > limit ? limit : place;
        if (place >= before) {
            return false;
        }
    }
    clock->remote_ticks -= clock->remote_ticks > 0 ? ticks : 0u;
    const uint32_t since = clock->since_ticks + ticks;
    clock->since_ticks = since < SINCE_MAX_TICKS ? since : SINCE_MAX_TICKS;
    clock->place = place;
    if (own) {
        clock->pulse_place = last_pulse_before(clock);
    }
    return true;
}

int64_t step_clock_wrap(StepClock *clock) {
    const int64_t loop = STEP_UNITS * STEP_CLOCK_LOOP;
    if (clock->pulse_place < 2 * loop) {
        return 0;
    }
    clock->pulse_place -= loop;
    clock->place -= loop;
    return STEP_CLOCK_LOOP;
}
