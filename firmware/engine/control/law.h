/* Laws: how travel of a knob becomes travel of what it moves. All map 0 … 1 onto 0 … 1, rising. */
#ifndef VAECTROL_CONTROL_LAW_H
#define VAECTROL_CONTROL_LAW_H

#include <stdint.h>

enum {
    LAW_LINEAR = 0,
    LAW_SQUARE, /* gentle start */
    LAW_CUBE,   /* audio taper: within 3 dB of 60 dB of exponential over the upper two thirds */
    LAW_ROOT,   /* quick start: 1 − (1 − x)² */
    LAW_S,      /* fine at both ends: smoothstep */
    LAW_COUNT
};

static inline float law_apply(uint8_t law, float x) {
    switch (law) {
    case LAW_SQUARE: return x * x;
    case LAW_CUBE: return x * x * x;
    case LAW_ROOT: return x * (2.0f - x);
    case LAW_S: return x * x * (3.0f - 2.0f * x);
    default: return x;
    }
}

#endif
