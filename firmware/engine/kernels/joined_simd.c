/* Joined sums for x86, aarch64 and WebAssembly: eight output channels in the lanes of a vector, four frames at a time,
 * so that a weight is loaded and widened once for all of them. */
#include "joined.h"
#include "memory.h"
#include "narrow_simd.h"

#if !defined(__ARM_ARCH_7EM__)
typedef int32_t sums __attribute__((vector_size(32)));
typedef int16_t halves __attribute__((vector_size(16)));

#define LANES 8u
#define TOGETHER 4u

#if defined(__AVX2__)
#include <immintrin.h>
/* two rows, channel by channel */
typedef __m256i pair;
static inline void rows_load(pair *rows, const int16_t *w) {
    const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)w);
    const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(w + LANES));
    *rows = _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b));
}
static inline void add_rows(sums *s, const pair *rows, const int16_t *x) {
    *s += (sums)_mm256_madd_epi16(*rows, _mm256_set1_epi32((int32_t)vk_load_word(x)));
}
#else
typedef struct pair {
    sums first, second;
} pair;
static inline void rows_load(pair *rows, const int16_t *w) {
    halves row;
    memcpy(&row, w, sizeof row);
    rows->first = __builtin_convertvector(row, sums);
    memcpy(&row, w + LANES, sizeof row);
    rows->second = __builtin_convertvector(row, sums);
}
static inline void add_rows(sums *s, const pair *rows, const int16_t *x) {
    *s += rows->first * (int32_t)x[0] + rows->second * (int32_t)x[1];
}
#endif

#if defined(__AVX2__)
/* One member of eight records: 0 the biases, 1 the multipliers, 2 the shifts. */
static inline __m256i member_of(const vk_requant *q, int member) {
    const __m256i places = _mm256_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21);
    return _mm256_i32gather_epi32((const int *)(const void *)q + member, places, 4);
}

static inline void settle_eight(const sums *acc, const __m256i *by, int16_t *y) {
    const __m256i half = _mm256_set1_epi64x(INT64_C(0x80000000));
    const __m256i sum = _mm256_sllv_epi32(_mm256_add_epi32((__m256i)*acc, by[0]), by[2]);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(sum, by[1]), half);
    const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(sum, 32), _mm256_srli_epi64(by[1], 32));
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), _mm256_add_epi64(odd, half), 0xaa);
    const __m128i eight = _mm_packs_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
    _mm_storeu_si128((__m128i *)(void *)y, eight);
}
#endif

static inline
    __attribute__((always_inline)) void settle(const sums *acc, const vk_requant *q, int16_t *y, size_t count) {
    for (size_t c = 0; c < count; c++) {
        y[c] = vk_sat16(vk_requantize((*acc)[c] + q[c].bias, &q[c]));
    }
}

/* One block of channels of `frames` frames from frame t on; `frames` is a constant after inlining. */
static inline __attribute__((always_inline)) void block(const vk_joined *layer, const int16_t *w, const vk_requant *q,
                                                        const int16_t *const *taps, size_t t, int16_t *out,
                                                        size_t out_step, size_t count, const size_t frames) {
    sums acc[TOGETHER] = {{0}};
    for (size_t k = 0; k < layer->taps; k++) {
        const size_t pitch = layer->pitches[k]; /* even */
        const int16_t *x = taps[k] + t * pitch;
        for (size_t i = 0; i < pitch; i += 2u, w += 2u * LANES) {
            pair rows;
            rows_load(&rows, w);
            for (size_t f = 0; f < frames; f++) {
                add_rows(&acc[f], &rows, x + f * pitch + i);
            }
        }
    }
#if defined(__AVX2__)
    if (count == LANES) {
        const __m256i by[3] = {member_of(q, 0), member_of(q, 1), member_of(q, 2)};
        for (size_t f = 0; f < frames; f++) {
            settle_eight(&acc[f], by, out + (t + f) * out_step);
        }
        return;
    }
#endif
    for (size_t f = 0; f < frames; f++) {
        settle(&acc[f], q, out + (t + f) * out_step, count);
    }
}

#if defined(VK_NARROW)
/* All frames of a layer of few channels but the last ones; how many they are. */
static size_t narrow_frames(const vk_joined *layer, size_t elements, const int16_t *const *taps, int16_t *out,
                            size_t out_step, size_t frames) {
    const size_t wide = narrow_width(layer->channels, out_step);
    if (!wide || elements > 2u * VK_NARROW) {
        return 0;
    }
    for (size_t k = 0; k < layer->taps; k++) {
        if (!narrow_holds(wide, layer->pitches[k], layer->pitches[k] / 2u)) {
            return 0;
        }
    }
    narrow n;
    narrow_init(&n, wide, layer->channels, layer->requant);
    for (size_t k = 0; k < elements / 2u; k++) {
        const int16_t *w = layer->weights + 2u * k * LANES;
        n.weights[k] = narrow_each(wide,
                                   _mm_unpacklo_epi16(_mm_loadl_epi64((const __m128i *)(const void *)w),
                                                      _mm_loadl_epi64((const __m128i *)(const void *)(w + LANES))));
    }
    size_t t = 0;
    for (; t + n.frames <= frames; t += n.frames) {
        __m512i sum = n.bias;
        const __m512i *weights = n.weights;
        for (size_t k = 0; k < layer->taps; k++) {
            const size_t pitch = layer->pitches[k], words = pitch / 2u;
            sum = narrow_add(sum, weights, taps[k] + t * pitch, narrow_mask(&n, pitch, words), narrow_places(&n, pitch),
                             words);
            weights += words;
        }
        narrow_settle(&n, sum, out + t * out_step);
    }
    return t;
}
#endif

void vk_joined_s16(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step, size_t frames) {
    const size_t channels = layer->channels;
    size_t elements = 0;
    for (size_t k = 0; k < layer->taps; k++) {
        elements += layer->pitches[k];
    }
    for (size_t first = 0; first < channels; first += LANES) {
        const int16_t *w = layer->weights + first * elements;
        const vk_requant *q = layer->requant + first;
        const size_t count = channels - first < LANES ? channels - first : LANES;
        size_t t = 0;
#if defined(VK_NARROW)
        t = narrow_frames(layer, elements, taps, out, out_step, frames);
#endif
        for (; t + TOGETHER <= frames; t += TOGETHER) {
            block(layer, w, q, taps, t, out + first, out_step, count, TOGETHER);
        }
        for (; t < frames; t++) {
            block(layer, w, q, taps, t, out + first, out_step, count, 1u);
        }
    }
    if (layer->curve) {
        vk_table_fine_s16(layer->curve, out, out_step, out, out_step, frames, channels);
    }
}
#endif
