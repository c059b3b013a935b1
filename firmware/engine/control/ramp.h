/* Linear interpolation over a block: the value a control had at the end of the last block to the one it has now. */
#ifndef VAECTROL_CONTROL_RAMP_H
#define VAECTROL_CONTROL_RAMP_H

#include <stddef.h>

typedef struct Ramp {
    float from, to;
} Ramp;

static inline void ramp_reset(Ramp *ramp, float value) {
    ramp->from = value;
    ramp->to = value;
}

static inline void ramp_next(Ramp *ramp, float value) {
    ramp->from = ramp->to;
    ramp->to = value;
}

/* After a share of the block, 0 … 1. */
static inline float ramp_at(const Ramp *ramp, float share) { return ramp->from + (ramp->to - ramp->from) * share; }

/* The same from sample to sample; a ramp at rest stays where it is to the bit. */
typedef struct Slope {
    float now, step;
} Slope;

static inline Slope ramp_slope(const Ramp *ramp, float per_tick, size_t ticks_done) {
    const float step = (ramp->to - ramp->from) * per_tick;
    return (Slope){ramp->from + step * (float)ticks_done, step};
}

static inline float slope_next(Slope *slope) {
    const float now = slope->now;
    slope->now += slope->step;
    return now;
}

#endif
