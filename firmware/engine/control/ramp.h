/* Linear interpolation over a block: the value a control had at the end of the last block to the one it has now. */
#ifndef VAECTROL_CONTROL_RAMP_H
#define VAECTROL_CONTROL_RAMP_H

#include <stddef.h>

typedef struct Ramp {
    float from, to;
} Ramp;

static inline void ramp_reset(Ramp *ramp, float value)
{
    ramp->from = value;
    ramp->to = value;
}

static inline void ramp_next(Ramp *ramp, float value)
{
    ramp->from = ramp->to;
    ramp->to = value;
}

/* After `ticks_done` of `ticks` samples of the block; a block of no samples is nobody's. */
static inline float ramp_at(const Ramp *ramp, size_t ticks_done, size_t ticks)
{
    return ramp->from + (ramp->to - ramp->from) * ((float)ticks_done / (float)ticks);
}

static inline float ramp_step(const Ramp *ramp, size_t ticks)
{
    return (ramp->to - ramp->from) / (float)ticks;
}

#endif
