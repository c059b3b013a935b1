/* Residual add: two tensors on their own scales to a third, one rounding. */
#include "arith.h"
#include "rows.h"

static inline int32_t sum(const vk_add *q, int32_t x, int32_t y) {
    return (x * q->multiplier_a + y * q->multiplier_b + (1 << (q->shift - 1))) >> q->shift;
}

void vk_add_s16(const vk_add *q, const int16_t *a, size_t a_step, const int16_t *b, size_t b_step, int16_t *out,
                size_t out_step, size_t frames, size_t lanes) {
    const vk_add k = *q;
    VK_ROWS_2(int16_t, int16_t, a, a_step, b, b_step, out, out_step, frames, lanes, vk_sat16(sum(&k, x, y)));
}

void vk_add_s8(const vk_add *q, const int8_t *a, size_t a_step, const int8_t *b, size_t b_step, int8_t *out,
               size_t out_step, size_t frames, size_t lanes) {
    const vk_add k = *q;
    VK_ROWS_2(int8_t, int8_t, a, a_step, b, b_step, out, out_step, frames, lanes, vk_sat8(sum(&k, x, y)));
}
