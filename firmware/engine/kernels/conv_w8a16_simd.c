/* Convolution, int8 weights × int16 activations, for x86, aarch64 and WebAssembly.
 *
 * Eight output channels in the lanes of a vector, the window's taps broadcast: no sum crosses lanes, no window is
 * rearranged. Frames come four at a time, so that a weight is loaded and widened once for all of them.
 */
#include "arith.h"
#include "memory.h"
#include "narrow_simd.h"
#include "slice.h"

#if defined(__aarch64__)
#include <arm_neon.h>
typedef struct sums {
    int32x4_t low, high;
} sums;
static inline sums sums_load(const int32_t *p) { return (sums){vld1q_s32(p), vld1q_s32(p + 4)}; }
static inline void sums_store(int32_t *p, sums s) {
    vst1q_s32(p, s.low);
    vst1q_s32(p + 4, s.high);
}
static inline sums sums_add(sums a, sums b) { return (sums){vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
typedef struct widened {
    int16x8_t first, second;
} widened;
static inline widened weights_load(const int8_t *w) {
    return (widened){vmovl_s8(vld1_s8(w)), vmovl_s8(vld1_s8(w + 8))};
}
static inline sums two_taps(sums s, widened w, const int16_t *x) {
    s.low = vmlal_n_s16(s.low, vget_low_s16(w.first), x[0]);
    s.high = vmlal_high_n_s16(s.high, w.first, x[0]);
    s.low = vmlal_n_s16(s.low, vget_low_s16(w.second), x[1]);
    s.high = vmlal_high_n_s16(s.high, w.second, x[1]);
    return s;
}
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
typedef struct sums {
    v128_t low, high;
} sums;
static inline sums sums_load(const int32_t *p) { return (sums){wasm_v128_load(p), wasm_v128_load(p + 4)}; }
static inline void sums_store(int32_t *p, sums s) {
    wasm_v128_store(p, s.low);
    wasm_v128_store(p + 4, s.high);
}
static inline sums sums_add(sums a, sums b) {
    return (sums){wasm_i32x4_add(a.low, b.low), wasm_i32x4_add(a.high, b.high)};
}
typedef struct widened {
    v128_t first, second;
} widened;
static inline widened weights_load(const int8_t *w) {
    return (widened){wasm_i16x8_load8x8(w), wasm_i16x8_load8x8(w + 8)};
}
static inline sums two_taps(sums s, widened w, const int16_t *x) {
    const v128_t pair = wasm_v128_load32_splat(x);
    s.low = wasm_i32x4_add(s.low, wasm_i32x4_dot_i16x8(w.first, pair));
    s.high = wasm_i32x4_add(s.high, wasm_i32x4_dot_i16x8(w.second, pair));
    return s;
}
#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256i sums;
static inline sums sums_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
typedef __m256i widened;
static inline widened weights_load(const int8_t *w) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
}
static inline sums sums_add(sums a, sums b) { return _mm256_add_epi32(a, b); }
static inline sums two_taps(sums s, widened w, const int16_t *x) {
    const int32_t pair = (int32_t)vk_load_word(x);
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_dpwssd_epi32(s, w, _mm256_set1_epi32(pair));
#else
    return _mm256_add_epi32(s, _mm256_madd_epi16(w, _mm256_set1_epi32(pair)));
#endif
}
#elif defined(__SSE2__)
#include <emmintrin.h>
typedef struct sums {
    __m128i low, high;
} sums;
static inline sums sums_load(const int32_t *p) {
    return (sums){_mm_loadu_si128((const __m128i *)(const void *)p),
                  _mm_loadu_si128((const __m128i *)(const void *)(p + 4))};
}
static inline void sums_store(int32_t *p, sums s) {
    _mm_storeu_si128((__m128i *)(void *)p, s.low);
    _mm_storeu_si128((__m128i *)(void *)(p + 4), s.high);
}
static inline sums sums_add(sums a, sums b) {
    return (sums){_mm_add_epi32(a.low, b.low), _mm_add_epi32(a.high, b.high)};
}
typedef struct widened {
    __m128i first, second;
} widened;
static inline widened weights_load(const int8_t *w) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)w);
    return (widened){_mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8),
                     _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8)};
}
static inline sums two_taps(sums s, widened w, const int16_t *x) {
    const int32_t pair = (int32_t)vk_load_word(x);
    const __m128i both = _mm_set1_epi32(pair);
    s.low = _mm_add_epi32(s.low, _mm_madd_epi16(w.first, both));
    s.high = _mm_add_epi32(s.high, _mm_madd_epi16(w.second, both));
    return s;
}
#else
typedef struct sums {
    int32_t lane[8];
} sums;
static inline sums sums_load(const int32_t *p) {
    sums s;
    for (size_t j = 0; j < 8u; j++) {
        s.lane[j] = p[j];
    }
    return s;
}
static inline void sums_store(int32_t *p, sums s) {
    for (size_t j = 0; j < 8u; j++) {
        p[j] = s.lane[j];
    }
}
static inline sums sums_add(sums a, sums b) {
    for (size_t j = 0; j < 8u; j++) {
        a.lane[j] += b.lane[j];
    }
    return a;
}
typedef const int8_t *widened;
static inline widened weights_load(const int8_t *w) { return w; }
static inline sums two_taps(sums s, widened w, const int16_t *x) {
    for (size_t j = 0; j < 8u; j++) {
        s.lane[j] += w[2u * j] * x[0] + w[2u * j + 1u] * x[1];
    }
    return s;
}
#endif

/* Eight channels: their weights, and what requantizes them, lane by lane for the vectorizer. */
typedef struct block {
    const int8_t *weights;
    size_t n; /* channels of it that exist */
    int32_t bias[8], multiplier[8], shift[8];
} block;

static inline void finish(const block *b, sums s, int16_t *y) {
    int16_t full[8];
#if defined(__AVX2__)
    const __m256i half = _mm256_set1_epi64x(INT64_C(0x80000000)), m = sums_load(b->multiplier);
    const __m256i acc = _mm256_sllv_epi32(s, sums_load(b->shift));
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(acc, m), half);
    const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(acc, 32), _mm256_srli_epi64(m, 32));
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), _mm256_add_epi64(odd, half), 0xaa);
    const __m128i eight = _mm_packs_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128((__m128i *)(void *)full, eight);
#else
    int32_t acc[8];
    sums_store(acc, s);
    for (size_t j = 0; j < 8u; j++) {
        full[j] = vk_sat16(vk_smmulr(vk_shifted(acc[j], b->shift[j]), b->multiplier[j]));
    }
#endif
    if (b->n == 8u) {
        __builtin_memcpy(y, full, sizeof full);
    } else {
        for (size_t j = 0; j < b->n; j++) {
            y[j] = full[j];
        }
    }
}

/* one block of channels × four frames */
static inline void four_frames(const vk_conv *layer, const block *b, const int16_t *x, int16_t *y, size_t out_step) {
    sums s[4];
    for (size_t f = 0; f < 4u; f++) {
        s[f] = sums_load(b->bias);
    }
    const int8_t *w = b->weights;
    const size_t frame_step = layer->frame_step, run = layer->run;
    for (size_t r = 0; r < layer->runs; r++) {
        const int16_t *xr = x + r * layer->run_step;
        for (size_t i = 0; i < run; i += 2u, w += 16) {
            const widened two = weights_load(w);
            for (size_t f = 0; f < 4u; f++) {
                s[f] = two_taps(s[f], two, xr + f * frame_step + i);
            }
        }
    }
    for (size_t f = 0; f < 4u; f++) {
        finish(b, s[f], y + f * out_step);
    }
}

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define WIDE_FRAMES 8u

/* two blocks of channels × eight frames: a multiply-accumulate of two taps of sixteen channels is one instruction */
static inline void eight_frames(const vk_conv *layer, const block b[2], const int16_t *x, int16_t *y, size_t out_step) {
    __m512i s[WIDE_FRAMES];
    for (size_t f = 0; f < WIDE_FRAMES; f++) {
        s[f] = _mm512_inserti64x4(_mm512_castsi256_si512(sums_load(b[0].bias)), sums_load(b[1].bias), 1);
    }
    const int8_t *first = b[0].weights, *second = b[1].weights;
    const size_t frame_step = layer->frame_step, run = layer->run;
    for (size_t r = 0; r < layer->runs; r++) {
        const int16_t *xr = x + r * layer->run_step;
        for (size_t i = 0; i < run; i += 2u, first += 16, second += 16) {
            const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)first);
            const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)second);
            const __m512i w = _mm512_cvtepi8_epi16(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
            for (size_t f = 0; f < WIDE_FRAMES; f++) {
                const int32_t pair = (int32_t)vk_load_word(xr + f * frame_step + i);
                s[f] = _mm512_dpwssd_epi32(s[f], w, _mm512_set1_epi32(pair));
            }
        }
    }
    int32_t acc[WIDE_FRAMES][2u * VK_BLOCK]; /* the loop above keeps its registers */
    for (size_t f = 0; f < WIDE_FRAMES; f++) {
        _mm512_storeu_si512(acc[f], s[f]);
    }
    for (size_t f = 0; f < WIDE_FRAMES; f++, y += out_step) {
        finish(&b[0], sums_load(acc[f]), y);
        finish(&b[1], sums_load(acc[f] + VK_BLOCK), y + VK_BLOCK);
    }
}
#endif

#if defined(__AVX512BW__)
/* Four taps of eight channels in one register, two in each half; `run` taps, a multiple of 16. */
static inline sums sixteen_taps(sums s, const int8_t *w, const int16_t *x, size_t run) {
    const __m512i halves = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    __m512i sum[4] = {_mm512_zextsi256_si512(s), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    for (size_t i = 0; i < run; i += 16u, w += 128, x += 16) {
        for (size_t f = 0; f < 4u; f++) {
            const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32u * f));
            const __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)(x + 4u * f));
            const __m512i taps = _mm512_permutexvar_epi32(halves, _mm512_castsi128_si512(four));
            sum[f] = _mm512_add_epi32(sum[f], _mm512_madd_epi16(_mm512_cvtepi8_epi16(bytes), taps));
        }
    }
    const __m512i all = _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3]));
    return _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
}
#endif

/* One frame, as slow layers have it: four sums side by side, so that no addition waits for the one before. Their
 * parts stay within the bound of the whole, so the integers are the same. */
static inline void one_frame(const vk_conv *layer, const block *b, const int16_t *x, int16_t *y) {
    static const int32_t none[8] = {0};
    sums s[4] = {sums_load(b->bias), sums_load(none), sums_load(none), sums_load(none)};
    const int8_t *w = b->weights;
    const size_t run = layer->run;
    for (size_t r = 0; r < layer->runs; r++) {
        const int16_t *xr = x + r * layer->run_step;
        size_t i = 0;
#if defined(__AVX512BW__)
        i = run & ~(size_t)15u;
        s[0] = sixteen_taps(s[0], w, xr, i);
        w += 8u * i;
#endif
        for (; i + 8u <= run; i += 8u, w += 64) {
            for (size_t f = 0; f < 4u; f++) {
                s[f] = two_taps(s[f], weights_load(w + 16u * f), xr + i + 2u * f);
            }
        }
        for (; i < run; i += 2u, w += 16) {
            s[0] = two_taps(s[0], weights_load(w), xr + i);
        }
    }
    finish(b, sums_add(sums_add(s[0], s[1]), sums_add(s[2], s[3])), y);
}

/* Block c of a group, which ends at channel `end`. */
static inline block block_of(const vk_conv *layer, size_t taps, size_t padded, size_t group, size_t c, size_t end) {
    const size_t left = end - c;
    const vk_requant *q = &layer->requant[group * padded + c];
    block b = {.weights = (const int8_t *)layer->weights + (group * padded + c) * taps,
               .n = left < VK_BLOCK ? left : VK_BLOCK};
    for (size_t j = 0; j < VK_BLOCK; j++) {
        b.bias[j] = q[j].bias;
        b.multiplier[j] = q[j].multiplier;
        b.shift[j] = q[j].shift;
    }
    return b;
}

#if defined(VK_NARROW)
/* All frames of a layer of few channels but the last ones; how many they are. */
static inline size_t narrow_frames(const vk_conv *layer, const block *b, const int16_t *x, int16_t *y, size_t out_step,
                                   size_t frames) {
    const size_t wide = narrow_width(b->n, out_step), words = (layer->run + 1u) / 2u;
    if (!wide || !narrow_holds(wide, layer->frame_step, words) || layer->runs * words > VK_NARROW) {
        return 0;
    }
    narrow n;
    narrow_init(&n, wide, b->n, layer->requant);
    for (size_t k = 0; k < layer->runs * words; k++) {
        n.weights[k] = narrow_each(
            wide, _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(b->weights + 16u * k))));
    }
    const __m512i places = narrow_places(&n, layer->frame_step);
    const __mmask16 mask = narrow_mask(&n, layer->frame_step, words);
    size_t t = 0;
    for (; t + n.frames <= frames; t += n.frames) {
        __m512i sum = n.bias;
        for (size_t r = 0; r < layer->runs; r++) {
            sum = narrow_add(sum, n.weights + r * words, x + t * layer->frame_step + r * layer->run_step, mask, places,
                             words);
        }
        narrow_settle(&n, sum, y + t * out_step);
    }
    return t;
}
#endif

/* One block of channels over some frames. */
static inline void blocks_frames(const vk_conv *layer, const block *b, const int16_t *x, int16_t *y, size_t out_step,
                                 size_t frames) {
    size_t t = 0;
#if defined(VK_NARROW)
    if (layer->groups == 1u && frames >= 4u && (t = narrow_frames(layer, b, x, y, out_step, frames)) > 0u) {
        x += t * layer->frame_step;
        y += t * out_step;
    }
#endif
    for (; t + 4u <= frames; t += 4u, x += 4u * layer->frame_step, y += 4u * out_step) {
        four_frames(layer, b, x, y, out_step);
    }
    for (; t < frames; t++, x += layer->frame_step, y += out_step) {
        one_frame(layer, b, x, y);
    }
}

void vk_conv_w8a16(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, VK_BLOCK), taps = vk_stored_taps(layer, VK_RUN_TAPS);
    for (size_t g = s.group; g < s.group_end; g++) {
        size_t c = s.channel;
#if defined(WIDE_FRAMES)
        const size_t wide = frames - frames % WIDE_FRAMES;
        for (; wide && c + VK_BLOCK < s.channel_end; c += 2u * VK_BLOCK) {
            const block b[2] = {block_of(layer, taps, padded, g, c, s.channel_end),
                                block_of(layer, taps, padded, g, c + VK_BLOCK, s.channel_end)};
            const int16_t *x = window + g * layer->group_in;
            int16_t *y = out + g * layer->channels + c;
            for (size_t t = 0; t < wide;
                 t += WIDE_FRAMES, x += WIDE_FRAMES * layer->frame_step, y += WIDE_FRAMES * out_step) {
                eight_frames(layer, b, x, y, out_step);
            }
            for (size_t half = 0; half < 2u; half++) {
                blocks_frames(layer, &b[half], x, y + half * VK_BLOCK, out_step, frames - wide);
            }
        }
#endif
        for (; c < s.channel_end; c += VK_BLOCK) {
            const block b = block_of(layer, taps, padded, g, c, s.channel_end);
            blocks_frames(layer, &b, window + g * layer->group_in, out + g * layer->channels + c, out_step, frames);
        }
    }
}
