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
static inline uint32_t pulse_next(uint16_t *left)
{
    if (*left == 0) {
        return 0;
    }
    --*left;
    return 1;
}

/* A sample that a converter can take; NaN is silence. */
static inline float audible(float x)
{
    return bound_sound(x, 1.0f);
}

/* The jacks that carry any of these sources. */
static inline uint32_t output_gates(const OutputSpec *spec, uint32_t sources)
{
    uint32_t out = 0;
    for (uint8_t g = 0; g < spec->gates; ++g) {
        if (spec->gate[g] >= 0) {
            out |= (sources >> spec->gate[g] & 1u) << g;
        }
    }
    return out;
}

#endif
