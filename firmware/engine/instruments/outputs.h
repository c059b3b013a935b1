/* What goes out: which of an instrument's gates, voltages and sounds each jack carries; generated. */
#ifndef VAECTROL_INSTRUMENTS_OUTPUTS_H
#define VAECTROL_INSTRUMENTS_OUTPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "../control/bound.h"
#include "../port.h"

typedef struct OutputSpec {
    uint8_t audios, cvs, gates;
    const int8_t *audio; /* [audios] source of each channel, -1: silence */
    const int8_t *cv;    /* [cvs] */
    const int8_t *gate;  /* [gates] */
} OutputSpec;

#define PULSE_TICKS 240u /* 5 ms: a trigger any module sees */

/* Counts a pulse down; true while it is high. */
static inline uint32_t pulse_next(uint16_t *left) {
    if (*left == 0) {
        return 0;
    }
    --*left;
    return 1;
}

/* The same for many sources at once: bit s of `high` is pulse s, and most samples change nothing. */
#define PULSES 16u
typedef struct Pulses {
    uint32_t high;
    uint32_t now, change; /* ticks; when the first of them ends */
    uint32_t end[PULSES];
} Pulses;

static inline void pulses_start(Pulses *pulses, uint8_t source) {
    pulses->end[source] = pulses->now + PULSE_TICKS;
    if (pulses->high == 0) {
        pulses->change = pulses->end[source];
    }
    pulses->high |= 1u << source;
}

static inline void pulses_end(Pulses *pulses) {
    uint32_t soonest = pulses->now + PULSE_TICKS;
    for (uint8_t s = 0; s < PULSES; ++s) {
        const bool ends = (int32_t)(pulses->end[s] - pulses->now) <= 0;
        if (ends) {
            pulses->high &= ~(1u << s);
        } else if ((pulses->high >> s & 1u) && (int32_t)(pulses->end[s] - soonest) < 0) {
            soonest = pulses->end[s];
        }
    }
    pulses->change = soonest;
}

/* What is high in this sample. */
static inline uint32_t pulses_next(Pulses *pulses) {
    const uint32_t high = pulses->high;
    ++pulses->now;
    if (__builtin_expect(high != 0 && pulses->now == pulses->change, 0)) {
        pulses_end(pulses);
    }
    return high;
}

/* A sample that a converter can take; NaN is silence. */
static inline float audible(float x) { return bound_sound(x, 1.0f); }

/* A block of one sound to the jacks that carry it; the others are silent. */
static inline void output_sound(const OutputSpec *spec, float *sound, const PortBlock *block) {
    for (size_t i = 0; i < block->ticks; ++i) {
        sound[i] = audible(sound[i]);
    }
    for (uint8_t c = 0; c < spec->audios; ++c) {
        if (spec->audio[c] >= 0) {
            __builtin_memcpy(block->audio_out[c], sound, block->ticks * sizeof *sound);
        } else {
            __builtin_memset(block->audio_out[c], 0, block->ticks * sizeof *sound);
        }
    }
}

/* The jacks that carry any of these sources. */
static inline uint32_t output_gates(const OutputSpec *spec, uint32_t sources) {
    uint32_t out = 0;
    for (uint8_t g = 0; g < spec->gates; ++g) {
        if (spec->gate[g] >= 0) {
            out |= (sources >> spec->gate[g] & 1u) << g;
        }
    }
    return out;
}

/* A block's gates, from the sources that are high in each sample. */
static inline void output_gate_block(const OutputSpec *spec, const uint32_t *sources, const PortBlock *block) {
    uint32_t now = 0, jacks = 0; /* most samples are as the one before */
    for (size_t i = 0; i < block->ticks; ++i) {
        if (__builtin_expect(sources[i] != now, 0)) {
            now = sources[i];
            jacks = output_gates(spec, now);
        }
        block->gates_out[i] = jacks;
    }
}

/* A block of silence from every channel, for what has no sound of its own. */
static inline void output_silence(const OutputSpec *spec, const PortBlock *block) {
    for (uint8_t c = 0; c < spec->audios; ++c) {
        for (size_t i = 0; i < block->ticks; ++i) {
            block->audio_out[c][i] = 0.0f;
        }
    }
}

#endif
