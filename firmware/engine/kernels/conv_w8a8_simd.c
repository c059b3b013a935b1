/* Convolution, int8 weights × int8 activations, for x86, aarch64 (SDOT where there is one) and WebAssembly.
 *
 * Weights lie [channel][four taps]: SDOT sums four products into a channel's lane. Elsewhere both sides are
 * widened to int16 and summed in pairs, then pairs of pairs.
 */
#include "arith.h"
#include "memory.h"
#include "slice.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#endif

/* acc[c] += sum over k < 4 of w[4c + k]·x[k], for the eight channels of a block, `steps` times */
static inline void run_of_block(int32_t acc[8], const int8_t *w, const int8_t *x, size_t steps) {
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
    int32x4_t low = vld1q_s32(acc), high = vld1q_s32(acc + 4);
    for (size_t i = 0; i < steps; i++, w += 32, x += 4) {
        const int32_t four = (int32_t)vk_load_word(x);
        const int8x16_t taps = vreinterpretq_s8_s32(vdupq_n_s32(four));
        low = vdotq_s32(low, vld1q_s8(w), taps);
        high = vdotq_s32(high, vld1q_s8(w + 16), taps);
    }
    vst1q_s32(acc, low);
    vst1q_s32(acc + 4, high);
#elif defined(__aarch64__)
    int32x4_t low = vld1q_s32(acc), high = vld1q_s32(acc + 4);
    for (size_t i = 0; i < steps; i++, w += 32, x += 4) {
        const int32_t four = (int32_t)vk_load_word(x);
        const int8x8_t taps = vreinterpret_s8_s32(vdup_n_s32(four));
        /* |two products| ≤ 2·127·128 fits int16; pairwise adds give one lane per channel */
        for (size_t half = 0; half < 2u; half++) {
            const int8x16_t two = vld1q_s8(w + 16u * half);
            const int32x4_t a = vpaddlq_s16(vmull_s8(vget_low_s8(two), taps));
            const int32x4_t b = vpaddlq_s16(vmull_s8(vget_high_s8(two), taps));
            const int32x4_t sum = vpaddq_s32(a, b);
            if (half) {
                high = vaddq_s32(high, sum);
            } else {
                low = vaddq_s32(low, sum);
            }
        }
    }
    vst1q_s32(acc, low);
    vst1q_s32(acc + 4, high);
#elif defined(__wasm_simd128__)
    v128_t pairs[4] = {wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0), wasm_i32x4_const_splat(0),
                       wasm_i32x4_const_splat(0)};
    for (size_t i = 0; i < steps; i++, w += 32, x += 4) {
        const v128_t taps = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(x));
        for (size_t q = 0; q < 4u; q++) {
            pairs[q] = wasm_i32x4_add(pairs[q], wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(w + 8u * q), taps));
        }
    }
    for (size_t q = 0; q < 4u; q++) {
        acc[2u * q] += wasm_i32x4_extract_lane(pairs[q], 0) + wasm_i32x4_extract_lane(pairs[q], 1);
        acc[2u * q + 1u] += wasm_i32x4_extract_lane(pairs[q], 2) + wasm_i32x4_extract_lane(pairs[q], 3);
    }
#elif defined(__AVX2__)
    __m256i low = _mm256_setzero_si256(), high = low; /* two lanes per channel */
    for (size_t i = 0; i < steps; i++, w += 32, x += 4) {
        const int32_t four = (int32_t)vk_load_word(x);
        const __m256i taps = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
        const __m128i *v = (const __m128i *)(const void *)w;
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(v)), taps));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(v + 1)), taps));
    }
    int32_t lanes[16];
    _mm256_storeu_si256((__m256i *)(void *)lanes, low);
    _mm256_storeu_si256((__m256i *)(void *)(lanes + 8), high);
    for (size_t c = 0; c < 8u; c++) {
        acc[c] += lanes[2u * c] + lanes[2u * c + 1u];
    }
#else
    for (size_t i = 0; i < steps; i++, w += 32, x += 4) {
        for (size_t c = 0; c < 8u; c++) {
            acc[c] += w[4u * c] * x[0] + w[4u * c + 1u] * x[1] + w[4u * c + 2u] * x[2] + w[4u * c + 3u] * x[3];
        }
    }
#endif
}

void vk_conv_w8a8(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames, size_t first,
                  size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, 8u), run_taps = vk_round_up(layer->run, 4u);
    const size_t taps = vk_stored_taps(layer, 4u);
    for (size_t g = s.group; g < s.group_end; g++) {
        for (size_t c = s.channel; c < s.channel_end; c += 8u) {
            const int8_t *w = (const int8_t *)layer->weights + (g * padded + c) * taps;
            const vk_requant *q = &layer->requant[g * padded + c];
            const size_t n = s.channel_end - c < 8u ? s.channel_end - c : 8u;
            for (size_t t = 0; t < frames; t++) {
                const int8_t *x = window + t * layer->frame_step + g * layer->group_in;
                int8_t *y = out + t * out_step + g * layer->channels + c;
                int32_t acc[8];
                for (size_t j = 0; j < 8u; j++) {
                    acc[j] = q[j].bias;
                }
                for (size_t r = 0; r < layer->runs; r++) {
                    run_of_block(acc, w + 8u * r * run_taps, x + r * layer->run_step, run_taps / 4u);
                }
                for (size_t j = 0; j < n; j++) {
                    y[j] = vk_sat8(vk_requantize(acc[j], &q[j]));
                }
            }
        }
    }
}
