/* Joined sums for x86, aarch64 and WebAssembly: eight output channels in the lanes of a vector, four frames at a time,
 * so that a weight is loaded and widened once for all of them. */
#include "joined.h"
#include "memory.h"

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
    for (size_t f = 0; f < frames; f++) {
        int16_t *y = out + (t + f) * out_step;
        if (count == LANES) { /* for the vectorizer */
            settle(&acc[f], q, y, LANES);
        } else {
            settle(&acc[f], q, y, count);
        }
    }
}

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
