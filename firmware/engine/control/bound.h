/* Bounds that also catch NaN: whatever comes from outside becomes a number inside its range. */
#ifndef VAECTROL_CONTROL_BOUND_H
#define VAECTROL_CONTROL_BOUND_H

/* NaN fails both comparisons, so the first line must accept, not refuse. */
static inline float bound(float x, float low, float high)
{
    if (!(x >= low)) {
        return low;
    }
    return x > high ? high : x;
}

static inline float bound_unit(float x)
{
    return bound(x, 0.0f, 1.0f);
}

static inline float magnitude(float x)
{
    return x < 0.0f ? -x : x;
}

#endif
