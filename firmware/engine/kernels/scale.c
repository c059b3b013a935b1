/* Products (FiLM) and changes of scale: one multiply to 64 bits, one rounding. */
#include "arith.h"
#include "rows.h"
#include "rows_m7.h"

static inline int32_t scaled(const vk_scale *q, int32_t v) { return vk_smmulr(vk_shifted(v, q->shift), q->multiplier); }

void vk_mul_s16(const vk_scale *q, const int16_t *a, size_t a_step, const int16_t *b, size_t b_step, int16_t *out,
                size_t out_step, size_t frames, size_t lanes) {
    const vk_scale k = *q;
#if defined(__ARM_ARCH_7EM__)
    if (b_step == 0u && k.shift == 0 && a_step == out_step && frames > 1u) { /* a gain held over the frames */
        for (; lanes >= 8u; lanes -= 8u, a += 8, b += 8, out += 8) {
            vk_m7_mul_held(a, out, (uint32_t)frames, b, 2u * (uint32_t)a_step, k.multiplier);
        }
        if (lanes == 0u) {
            return;
        }
    }
#endif
    VK_ROWS_2_S16(vk_sat16(scaled(&k, x * y)), vk_m7_mul(a_, b_, out_, turns, k.multiplier, k.shift))
}

void vk_mul_s8(const vk_scale *q, const int8_t *a, size_t a_step, const int8_t *b, size_t b_step, int8_t *out,
               size_t out_step, size_t frames, size_t lanes) {
    const vk_scale k = *q;
    VK_ROWS_2(int8_t, vk_sat8(scaled(&k, x * y)))
}

void vk_rescale_s16(const vk_scale *q, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                    size_t lanes) {
    const vk_scale k = *q;
    VK_ROWS_1_S16(vk_sat16(scaled(&k, x)), vk_m7_rescale(a_, out_, turns, k.multiplier, k.shift))
}

void vk_rescale_s8(const vk_scale *q, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                   size_t lanes) {
    const vk_scale k = *q;
    VK_ROWS_1(int8_t, int8_t, vk_sat8(scaled(&k, x)))
}

void vk_rescale_s16_s8(const vk_scale *q, const int16_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                       size_t lanes) {
    const vk_scale k = *q;
    VK_ROWS_1(int16_t, int8_t, vk_sat8(scaled(&k, x)))
}

void vk_rescale_s8_s16(const vk_scale *q, const int8_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                       size_t lanes) {
    const vk_scale k = *q;
    VK_ROWS_1(int8_t, int16_t, vk_sat16(scaled(&k, x)))
}
