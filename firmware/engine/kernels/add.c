/* Residual add: two tensors on their own scales to a third, one rounding. */
#include "arith.h"
#include "rows.h"
#include "rows_m7.h"

static inline int32_t sum(const vk_add *q, int32_t x, int32_t y) {
    return (x * q->multiplier_a + y * q->multiplier_b + (1 << (q->shift - 1))) >> q->shift;
}

#if defined(__ARM_ARCH_7EM__)
static inline uint32_t multipliers_of(const vk_add *q) {
    return (uint32_t)(uint16_t)q->multiplier_a | (uint32_t)(uint16_t)q->multiplier_b << 16;
}

/* a mean and the usual shifts have code of their own */
static void turned(const vk_add *k, const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns) {
    const uint32_t multipliers = multipliers_of(k);
    const int32_t rounding = 1 << (k->shift - 1);
    if (multipliers == VK_HALVES && k->shift == 15) {
        vk_m7_mean(a, b, out, turns);
    } else if (k->shift == 15) {
        vk_m7_add_15(a, b, out, turns, multipliers, rounding);
    } else if (k->shift == 14) {
        vk_m7_add_14(a, b, out, turns, multipliers, rounding);
    } else {
        vk_m7_add(a, b, out, turns, multipliers, rounding, k->shift);
    }
}
#endif

void vk_add_s16(const vk_add *q, const int16_t *a, size_t a_step, const int16_t *b, size_t b_step, int16_t *out,
                size_t out_step, size_t frames, size_t lanes) {
    const vk_add k = *q;
    VK_ROWS_2_S16(vk_sat16(sum(&k, x, y)), turned(&k, a_, b_, out_, turns))
}

void vk_add_s8(const vk_add *q, const int8_t *a, size_t a_step, const int8_t *b, size_t b_step, int8_t *out,
               size_t out_step, size_t frames, size_t lanes) {
    const vk_add k = *q;
    VK_ROWS_2(int8_t, vk_sat8(sum(&k, x, y)))
}
