/* What joined sums have in common wherever they are not assembly: the function behind the sum. */
#ifndef VAECTROL_KERNELS_JOINED_H
#define VAECTROL_KERNELS_JOINED_H

#include "arith.h"

static inline int16_t vk_curved(const struct vk_table *k, int16_t x) {
    if (k == NULL) {
        return x;
    }
    const int32_t d = x - k->first, u = d < 0 ? 0 : d > k->span ? k->span : d;
    const int16_t *knot = k->knots + (u >> k->shift);
    const int32_t left = knot[0], right = knot[1], fraction = u & ((1 << k->shift) - 1);
    return (int16_t)(left + (((right - left) * fraction + ((1 << k->shift) >> 1)) >> k->shift));
}
#endif
