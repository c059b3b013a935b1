/* Activations on integers: tables (tanh, sigmoid and the like), leaky ReLU, clip, snake. */
#include "arith.h"
#include "rows.h"
#include "rows_m7.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

static inline int32_t interpolated(const int16_t *table, uint32_t index, int32_t fraction) {
    const int32_t left = table[index], right = table[index + 1u];
    return left + (((right - left) * fraction + 64) >> 7);
}

#if !defined(__AVX2__)
static inline int16_t looked_up(const int16_t *table, int32_t x) {
    const uint32_t u = (uint32_t)(x + 32768);
    return (int16_t)interpolated(table, u >> 7, (int32_t)(u & 127u));
}
#endif

static inline int16_t looked_up_finely(const vk_table *k, int32_t x) {
    const int32_t d = x - k->first, u = d < 0 ? 0 : d > k->span ? k->span : d;
    const int16_t *knot = k->knots + (u >> k->shift);
    const int32_t left = knot[0], right = knot[1], fraction = u & ((1 << k->shift) - 1);
    return (int16_t)(left + (((right - left) * fraction + ((1 << k->shift) >> 1)) >> k->shift));
}

#if defined(__AVX2__)
/* Eight lanes of a row as long as there are eight: both knots of a lane are one word, and one gather brings all. */
static inline size_t eights(const vk_table *k, const int16_t *a, int16_t *out, size_t lanes) {
    const __m256i first = _mm256_set1_epi32(k->first), span = _mm256_set1_epi32(k->span);
    const __m256i below = _mm256_set1_epi32((1 << k->shift) - 1), half = _mm256_set1_epi32((1 << k->shift) >> 1);
    const __m128i shift = _mm_cvtsi32_si128(k->shift);
    size_t c = 0;
    for (; c + 8u <= lanes; c += 8u) {
        const __m256i x = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(a + c)));
        const __m256i above = _mm256_max_epi32(_mm256_sub_epi32(x, first), _mm256_setzero_si256());
        const __m256i u = _mm256_min_epi32(above, span);
        const __m256i knots = _mm256_i32gather_epi32((const int *)(const void *)k->knots, _mm256_srl_epi32(u, shift),
                                                     2);
        const __m256i left = _mm256_srai_epi32(_mm256_slli_epi32(knots, 16), 16), right = _mm256_srai_epi32(knots, 16);
        const __m256i rise = _mm256_mullo_epi32(_mm256_sub_epi32(right, left), _mm256_and_si256(u, below));
        const __m256i y = _mm256_add_epi32(left, _mm256_sra_epi32(_mm256_add_epi32(rise, half), shift));
        const __m128i low = _mm256_castsi256_si128(y), high = _mm256_extracti128_si256(y, 1);
        _mm_storeu_si128((__m128i *)(void *)(out + c), _mm_packs_epi32(low, high));
    }
    return c;
}

void vk_table_fine_s16(const vk_table *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                       size_t frames, size_t lanes) {
    VK_FLAT(a_step == n_ && out_step == n_)
    for (size_t t = 0; t < rows_; t++, a += a_step, out += out_step) {
        for (size_t c = eights(table, a, out, n_); c < n_; c++) {
            out[c] = looked_up_finely(table, a[c]);
        }
    }
}

void vk_table_s16(const int16_t *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes) {
    const vk_table whole = {table, -32768, 65535, 7};
    vk_table_fine_s16(&whole, a, a_step, out, out_step, frames, lanes);
}
#else
void vk_table_fine_s16(const vk_table *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                       size_t frames, size_t lanes) {
    VK_ROWS_1(int16_t, int16_t, looked_up_finely(table, x))
}

void vk_table_s16(const int16_t *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes) {
    VK_ROWS_1_S16(looked_up(table, x), vk_m7_table(a_, out_, turns, table, table + 1, 64))
}
#endif

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
