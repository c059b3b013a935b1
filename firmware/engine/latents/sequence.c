/* Sixteen steps of latents on a clock. */
#include "sequence.h"

#include "../control/bound.h"
#include "../control/table.h"
#include "../dsp/hash.h"

#define PLAYED 0x5bd1e995u   /* so that chance and mutation draw apart */
#define GLIDE_BITS 16        /* of a place, below what a float can hold of a step */
#define REST_S 2.0f          /* from the last step that a hand recorded until it is stored */
#define MUTATED_REST_S 30.0f /* from the last mutation: one a step would wear the flash out */

void sequence_reset(Sequence *sequence, const SequenceSpec *spec) {
    step_clock_init(&sequence->clock, spec->sample_rate_hz, spec->clocked);
    sequence->grid = -1;
    sequence->next = 0;
    sequence->began = 0;
    sequence->index = -1;
}

void sequence_init(Sequence *sequence, const SequenceSpec *spec) {
    *sequence = (Sequence){.bank = {.hash = spec->hash}};
    sequence_reset(sequence, spec);
}

/* 0 … 1, below 1. */
static float drawn(uint32_t count) { return (float)(hash32(count) >> 8) * (1.0f / 16777216.0f); }

static bool holds(const Sequence *sequence, uint8_t step) { return sequence->bank.recorded >> step & 1u; }

static float *values_of(Sequence *sequence, const SequenceSpec *spec, uint8_t step) {
    return sequence->bank.value + (size_t)step * (size_t)(spec->latents + spec->knobs);
}

static void changed(Sequence *sequence, float rest_s) {
    __atomic_store_n(&sequence->changes, sequence->changes + 1u, __ATOMIC_RELEASE);
    sequence->resting_s = sequence->resting_s > rest_s ? sequence->resting_s : rest_s;
}

static void rest(Sequence *sequence, float seconds) {
    if (sequence->resting_s <= 0.0f) {
        return;
    }
    sequence->resting_s -= seconds;
    if (sequence->resting_s <= 0.0f) {
        __atomic_store_n(&sequence->rested, sequence->changes, __ATOMIC_RELEASE);
    }
}

/* Every latent of a step goes a share of the way to where the training data might have it. */
static void mutate(Sequence *sequence, const SequenceSpec *spec, float share) {
    float *step = values_of(sequence, spec, (uint8_t)sequence->index);
    changed(sequence, MUTATED_REST_S);
    for (uint8_t i = 0; i < spec->latents; ++i) {
        const float place = drawn(sequence->count * SEQUENCE_LATENTS + i + GOLDEN);
        const float there = table_at(spec->quantile + (size_t)i * spec->points, spec->points, place);
        step[i] += share * (there - step[i]);
    }
}

static void find_next(Sequence *sequence) {
    const int64_t begin = sequence->grid * STEP_UNITS;
    sequence->next = begin + STEP_UNITS;
    if (sequence->struck < sequence->strikes) {
        /* 24 is divisible by one to four, and the processor divides 32 bits. */
        const uint32_t apart = 24u / sequence->strikes * sequence->struck;
        sequence->next = begin + ((int64_t)apart << 32);
    }
}

static void begin_step(Sequence *sequence, const SequenceSpec *spec, const Panel *panel, int64_t grid, size_t at) {
    const int32_t length = (int32_t)(panel_value(panel, (uint8_t)spec->steps) + 0.5f);
    const int32_t index = (sequence->index + (int32_t)(grid - sequence->grid)) % length;
    const bool records = sequence->takes_next || (panel->level[at] >> spec->record & 1u);
    sequence->takes_next = false;
    sequence->grid = grid;
    sequence->index = (int8_t)(index < 0 ? index + length : index);
    sequence->strikes = 0;
    sequence->struck = 0;
    ++sequence->count;
    const uint8_t step = (uint8_t)sequence->index;
    if ((panel->level[at] >> spec->clear & 1u) && holds(sequence, step)) {
        changed(sequence, REST_S);
        sequence->bank.recorded &= ~(1u << step);
    }
    sequence->takes = records;
    if (!records && drawn(sequence->count ^ PLAYED) >= panel_value(panel, (uint8_t)spec->probability)) {
        return; /* what sounds goes on */
    }
    sequence->glides = holds(sequence, step) || holds(sequence, sequence->sounding);
    sequence->began = grid * STEP_UNITS;
    sequence->sounding = step;
    for (uint8_t i = 0; i < spec->latents + spec->knobs; ++i) {
        sequence->from[i] = sequence->now[i];
    }
    if (!records && !holds(sequence, step)) {
        return;
    }
    const float share = panel_value(panel, (uint8_t)spec->mutation);
    if (!records && share > 0.0f) {
        mutate(sequence, spec, share);
    }
    if (spec->strike >= 0) {
        sequence->strikes = (uint8_t)(panel_value(panel, (uint8_t)spec->ratchet) + 0.5f);
    }
}

/* The place has come to the next step or strike. */
static void play_due(Sequence *sequence, const SequenceSpec *spec, Panel *panel, size_t at) {
    const int64_t grid = (int64_t)step_of(sequence->clock.place);
    if (grid != sequence->grid) {
        begin_step(sequence, spec, panel, grid, at);
    }
    if (sequence->struck < sequence->strikes) {
        panel_raise(panel, (uint8_t)spec->strike, at);
        ++sequence->struck;
        sequence->jumps = true;
    }
    find_next(sequence);
}

static void start_over(Sequence *sequence) {
    sequence->grid = -1;
    sequence->index = -1;
    sequence->next = 0;
}

/* The gate rose within a step: that one is meant, or the next where it has nearly come. */
static void record_now(Sequence *sequence) {
    if (sequence->index < 0 || sequence->clock.place - sequence->grid * STEP_UNITS > STEP_UNITS / 2) {
        sequence->takes_next = true;
        return;
    }
    sequence->takes = true;
    sequence->sounding = (uint8_t)sequence->index;
    sequence->glides = false;
}

void sequence_advance(Sequence *sequence, const SequenceSpec *spec, Panel *panel) {
    StepClock *clock = &sequence->clock;
    rest(sequence, (float)panel->ticks / spec->sample_rate_hz);
    const float ratio = panel_position(panel, (uint8_t)spec->ratio) * (float)(STEP_CLOCK_RATIOS - 1u);
    step_clock_ratio(clock, (uint8_t)(ratio + 0.5f));
    const int64_t own_units = step_clock_own_units(panel_value(panel, (uint8_t)spec->tempo), spec->sample_rate_hz);
    const int64_t wrapped = step_clock_wrap(clock);
    sequence->grid -= wrapped;
    sequence->next -= wrapped * STEP_UNITS;
    sequence->began -= wrapped * STEP_UNITS;
    if (panel->remote_clock) {
        clock->remote_ticks = REMOTE_TICKS;
    }
    const uint32_t obeyed = 1u << spec->clock | 1u << spec->reset | 1u << spec->record;
    const bool quiet = !(panel->risen & obeyed) && !panel->remote_clock && !panel->remote_reset;
    if (quiet && step_clock_skip(clock, (uint32_t)panel->ticks, own_units, sequence->next)) {
        return;
    }
    for (size_t i = 0; i < panel->ticks; ++i) {
        const uint32_t rise = panel->rise[i];
        const bool pulse = (rise >> spec->clock & 1u) || (i == 0 && panel->remote_clock);
        const bool reset = (rise >> spec->reset & 1u) || (i == 0 && panel->remote_reset);
        step_clock_tick(clock, own_units);
        if ((pulse || reset) && step_clock_obey(clock, pulse, reset)) {
            start_over(sequence);
        }
        if (!clock->armed && clock->place >= sequence->next) {
            play_due(sequence, spec, panel, i);
        }
        if ((rise >> spec->record & 1u)) {
            record_now(sequence);
        }
    }
}

/* How much of the way to the step is gone, 1: all. */
static float gone(const Sequence *sequence, const SequenceSpec *spec, const Panel *panel) {
    const float share = panel_value(panel, (uint8_t)spec->glide);
    const int64_t units = sequence->clock.place - sequence->began;
    if (!sequence->glides || share <= 0.0f || units < 0 || units >= STEP_UNITS) {
        return 1.0f;
    }
    const float most = share * (float)(STEP_UNITS >> GLIDE_BITS);
    return bound_unit((float)(int32_t)(units >> GLIDE_BITS) / most);
}

/* One value that the sequence may play instead: what it is now. step: of the one that sounds; NULL: it holds nothing. */
static float played(Sequence *sequence, const float *step, uint8_t at, float way, float depth, float value) {
    const float to = step != NULL ? step[at] : value;
    const float now = way < 1.0f ? sequence->from[at] + way * (to - sequence->from[at]) : to;
    sequence->now[at] = now;
    if (depth <= 0.0f || now == value) {
        return value;
    }
    return depth < 1.0f ? value + depth * (now - value) : now;
}

bool sequence_play(Sequence *sequence, const SequenceSpec *spec, const Panel *panel, float *latent, float *knob) {
    if (sequence->takes) {
        float *step = values_of(sequence, spec, (uint8_t)sequence->index);
        changed(sequence, REST_S);
        sequence->takes = false;
        sequence->bank.recorded |= 1u << sequence->index;
        for (uint8_t i = 0; i < spec->latents; ++i) {
            step[i] = latent[i];
        }
        for (uint8_t i = 0; i < spec->knobs; ++i) {
            step[spec->latents + i] = knob[i];
        }
    }
    const bool jumps = sequence->jumps;
    sequence->jumps = false;
    const float way = gone(sequence, spec, panel);
    const float *step = holds(sequence, sequence->sounding) ? values_of(sequence, spec, sequence->sounding) : NULL;
    const float depth = sequence->bank.recorded != 0 ? panel_value(panel, (uint8_t)spec->depth) : 0.0f;
    for (uint8_t i = 0; i < spec->latents; ++i) {
        latent[i] = played(sequence, step, i, way, depth, latent[i]);
    }
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        knob[i] = played(sequence, step, (uint8_t)(spec->latents + i), way, depth, knob[i]);
    }
    return jumps;
}
