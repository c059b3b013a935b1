/* From clock pulses to a place in the pattern: multiplied or divided, followed within one pulse, never ahead of it.
 *
 * Place is counted in integers (STEP_UNITS to a sixteenth), so that a set played for a week is still in step.
 * Between pulses the place moves on at the last pulse's tempo and waits just before where the next pulse will put
 * it; a pulse that comes early takes it there at once. No clock, no movement. Where nothing is patched, the module's
 * own clock moves it, and stands still while pulses come from outside.
 */
#ifndef VAECTROL_INSTRUMENTS_STEP_CLOCK_H
#define VAECTROL_INSTRUMENTS_STEP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STEP_UNITS ((int64_t)24 << 32) /* divisible by every ratio below */
#define STEP_CLOCK_RATIOS 12u          /* steps per pulse: 1/12 1/8 1/6 1/4 1/3 1/2 1 2 3 4 6 8 */
#define STEP_CLOCK_ONE 6u
#define SINCE_MAX_TICKS 2880000u /* a minute */
#define STEP_CLOCK_LOOP 768      /* steps: whole patterns and whole pulses at every ratio */
#define REMOTE_TICKS 120000u     /* 2.5 s without a pulse from outside: the module's own clock goes on */

/* Whole steps in a place that is not before the first; the processor divides 32 bits. */
static inline uint32_t step_of(int64_t place) { return (uint32_t)(place >> 32) / 24u; }

typedef struct StepClock {
    int64_t place;         /* in units since the first step; < 0: before it, waiting */
    int64_t pulse_place;   /* where the last pulse was */
    int64_t pulse_units;   /* from pulse to pulse */
    int64_t tick_units;    /* from sample to sample */
    uint32_t since_ticks;  /* since the last pulse; stops counting at a minute */
    uint32_t period_ticks; /* from pulse to pulse, once two have come */
    uint32_t step_ticks;   /* of a sixteenth until then: 120 BPM */
    uint32_t remote_ticks; /* left of REMOTE_TICKS */
    uint8_t ratio;
    bool clocked;         /* something is patched to the clock: no clock of its own */
    bool heard, measured; /* one pulse, two pulses came since init */
    bool armed;           /* reset: the next pulse is the first step */
} StepClock;

void step_clock_init(StepClock *clock, float sample_rate_hz, bool clocked);
void step_clock_ratio(StepClock *clock, uint8_t ratio);
/* What the module's own clock moves the place by, from sample to sample. */
int64_t step_clock_own_units(float tempo_bpm, float sample_rate_hz);
/* Whether the module's own clock moves the place. */
static inline bool step_clock_is_own(const StepClock *clock) { return !clock->clocked && clock->remote_ticks == 0; }
/* One sample of the module's own clock. */
void step_clock_tick_internal(StepClock *clock, int64_t own_units);
/* One sample goes by. */
static inline void step_clock_tick(StepClock *clock, int64_t own_units) {
    if (step_clock_is_own(clock)) {
        step_clock_tick_internal(clock, own_units);
        return;
    }
    clock->remote_ticks -= clock->remote_ticks > 0;
    clock->since_ticks += clock->since_ticks < SINCE_MAX_TICKS;
    if (!clock->heard || clock->armed) {
        return;
    }
    const int64_t limit = clock->pulse_place + clock->pulse_units - 1;
    clock->place += clock->tick_units;
    if (clock->place > limit) {
        clock->place = limit;
    }
}
/* So many samples at once, as step_clock_tick would do one after the other, where the place stays before `before` all
 * the while; else nothing is done. */
bool step_clock_skip(StepClock *clock, uint32_t ticks, int64_t own_units, int64_t before);
/* A pulse, a reset or both at this sample; whether the pattern starts over. A reset leads back to the first step: at
 * the next pulse, or now if one came within the last 5 ms or the clock is the module's own. */
bool step_clock_obey(StepClock *clock, bool pulse, bool reset);
/* Counts start over before they grow out of their integers: by how many steps, mostly 0. Once per block. */
int64_t step_clock_wrap(StepClock *clock);

#ifdef __cplusplus
}
#endif
#endif
