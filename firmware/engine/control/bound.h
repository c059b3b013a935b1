/* Bounds that also catch NaN: whatever comes from outside becomes a number inside its range. */
#ifndef VAECTROL_CONTROL_BOUND_H
#define VAECTROL_CONTROL_BOUND_H

#include <stdint.h>

/* NaN fails both comparisons, so the first line must accept, not refuse. */
static inline float bound(float x, float low, float high) {
    if (!(x >= low)) {
        return low;
    }
    return x > high ? high : x;
}

static inline float bound_unit(float x) { return bound(x, 0.0f, 1.0f); }

static inline float magnitude(float x) { return x < 0.0f ? -x : x; }

/* A sound within ±limit; NaN is silence. Floats of one sign compare as integers do, and on a Cortex-M7 that is one
 * cycle where a float comparison and its flags take four. */
static inline float bound_sound(float x, float limit) {
    uint32_t size, most;
    __builtin_memcpy(&size, &x, sizeof size);
    __builtin_memcpy(&most, &limit, sizeof most);
    size &= 0x7FFFFFFFu;
    if (__builtin_expect(size <= most, 1)) {
        return x;
    }
    if (size > 0x7F800000u) {
        return 0.0f;
    }
    return x < 0.0f ? -limit : limit;
}

#endif
