/* Activations on integers: tables (tanh, sigmoid and the like), leaky ReLU, clip, snake. */
#include "arith.h"
#include "rows.h"
#include "rows_m7.h"

static inline int32_t interpolated(const int16_t *table, uint32_t index, int32_t fraction) {
    const int32_t left = table[index], right = table[index + 1u];
    return left + (((right - left) * fraction + 64) >> 7);
}

static inline int16_t looked_up(const int16_t *table, int32_t x) {
    const uint32_t u = (uint32_t)(x + 32768);
    return (int16_t)interpolated(table, u >> 7, (int32_t)(u & 127u));
}

void vk_table_s16(const int16_t *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes) {
    VK_ROWS_1_S16(looked_up(table, x), vk_m7_table(a_, out_, turns, table, table + 1, 64))
}

static inline int16_t looked_up_finely(const vk_table *k, int32_t x) {
    const int32_t d = x - k->first, u = d < 0 ? 0 : d > k->span ? k->span : d;
    const int16_t *knot = k->knots + (u >> k->shift);
    const int32_t left = knot[0], right = knot[1], fraction = u & ((1 << k->shift) - 1);
    return (int16_t)(left + (((right - left) * fraction + ((1 << k->shift) >> 1)) >> k->shift));
}

void vk_table_fine_s16(const vk_table *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                       size_t frames, size_t lanes) {
    VK_ROWS_1(int16_t, int16_t, looked_up_finely(table, x))
}

void vk_table_s8(const int8_t *table, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                 size_t lanes) {
    VK_ROWS_1(int8_t, int8_t, table[x + 128])
}

static inline int32_t leaked(int32_t x, int32_t slope) { return x >= 0 ? x : (x * slope + (1 << 14)) >> 15; }

void vk_leaky_s16(int32_t slope, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes) {
    VK_ROWS_1_S16(leaked(x, slope), vk_m7_leaky(a_, out_, turns, slope, 1 << 14))
}

void vk_leaky_s8(int32_t slope, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                 size_t lanes) {
    VK_ROWS_1(int8_t, int8_t, leaked(x, slope))
}

static inline int32_t clipped(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }

void vk_clip_s16(int32_t low, int32_t high, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                 size_t frames, size_t lanes) {
    VK_ROWS_1_S16(clipped(x, low, high), vk_m7_clip(a_, out_, turns, vk_twice(low), vk_twice(high)))
}

void vk_bend_s16(int32_t slope, int32_t low, int32_t high, const int16_t *a, size_t a_step, int16_t *out,
                 size_t out_step, size_t frames, size_t lanes) {
#if defined(__ARM_ARCH_7EM__)
    const uint32_t room = vk_twice(32767 - high);
    if (slope == 8192 && low <= -8192) { /* a quarter of int16 is never below that */
        VK_ROWS_1_S16(clipped(leaked(x, slope), low, high), vk_m7_bend_quarter(a_, out_, turns, 0u, 0x10001u, room))
        return;
    }
#endif
    VK_ROWS_1_S16(clipped(leaked(x, slope), low, high),
                  vk_m7_bend(a_, out_, turns, slope, 1 << 14, vk_twice(low + 32768), room))
}

void vk_clip_s8(int32_t low, int32_t high, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                size_t lanes) {
    VK_ROWS_1(int8_t, int8_t, clipped(x, low, high))
}

static inline int16_t snaked(const vk_snake *k, int32_t x) {
    const uint32_t phase = (uint32_t)x * k->rate;
    const int32_t s = interpolated(vk_sin2, phase >> 23, (int32_t)((phase >> 16) & 127u));
    return vk_sat16((x * k->multiplier_x + s * k->multiplier_s + (1 << (k->shift - 1))) >> k->shift);
}

void vk_snake_s16(const vk_snake *channel, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                  size_t frames, size_t lanes) {
    VK_ROWS_C(int16_t, snaked(&channel[c], x))
}
