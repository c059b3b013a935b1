/* Wellons' lowbias32 (nullprogram.com/blog/2018/07/31): noise that depends on a sample's number alone. */
#ifndef VAECTROL_DSP_HASH_H
#define VAECTROL_DSP_HASH_H

#include <stdint.h>

#define GOLDEN 0x9e3779b9u

static inline uint32_t hash32(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return x;
}

#endif
