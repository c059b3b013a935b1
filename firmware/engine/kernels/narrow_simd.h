/* Layers of four output channels at most, with AVX-512: frames lie beside channels in a register, four frames of four
 * channels or eight of two, so that no lane is idle. The integers are those of the other ways.
 * Two frames of eight channels were as fast as four frames in four half registers, and are left to those. */
#ifndef VAECTROL_KERNELS_NARROW_SIMD_H
#define VAECTROL_KERNELS_NARROW_SIMD_H

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define VK_NARROW 16u /* lanes; words of a load; and the most pairs of taps that a layer may have */

#include <immintrin.h>

#include "vk.h"

typedef struct narrow {
    __m512i weights[VK_NARROW]; /* for every pair of taps, frame by frame the same */
    __m512i bias, multiplier, shift;
    size_t wide; /* lanes of a frame: 2 or 4 */
    size_t frames;
} narrow;

/* Lanes of a frame, 0 where channels don't lie side by side from frame to frame. */
static inline size_t narrow_width(size_t channels, size_t out_step) {
    const size_t wide = channels <= 2u ? 2u : 4u;
    return channels <= 4u && out_step == wide ? wide : 0u;
}

/* Whether one load holds `words` words of every frame, so many elements apart. */
static inline int narrow_holds(size_t wide, size_t step, size_t words) {
    return step % 2u == 0u && (VK_NARROW / wide - 1u) * step / 2u + words <= VK_NARROW;
}

/* One pair of taps of four channels, repeated for every frame. */
static inline __m512i narrow_each(size_t wide, __m128i four) {
    return wide == 4u ? _mm512_broadcast_i32x4(four) : _mm512_broadcastq_epi64(four);
}

/* A member of the channels' records, three of each, in the lanes of every frame. */
static inline __m512i narrow_member(const int *members, __m256i places) {
    return _mm512_broadcast_i64x4(_mm256_i32gather_epi32(members, places, 4));
}

static inline void narrow_init(narrow *n, size_t wide, size_t channels, const vk_requant *q) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i lane = _mm256_and_si256(lanes, _mm256_set1_epi32((int32_t)wide - 1));
    const __m256i last = _mm256_set1_epi32((int32_t)channels - 1);
    const __m256i place = _mm256_mullo_epi32(_mm256_min_epi32(lane, last), _mm256_set1_epi32(3));
    const __m256i pad = _mm256_cmpgt_epi32(lane, last); /* a pad lane is 0 */
    const int *members = (const int *)(const void *)q;
    n->bias = narrow_member(members, place);
    n->multiplier = _mm512_andnot_si512(_mm512_broadcast_i64x4(pad), narrow_member(members + 1, place));
    n->shift = narrow_member(members + 2, place);
    n->wide = wide;
    n->frames = VK_NARROW / wide;
}

/* Where each lane finds its frame's first word. */
static inline __m512i narrow_places(const narrow *n, size_t step) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i frame = _mm512_srli_epi32(lanes, n->wide == 4u ? 2 : 1);
    return _mm512_mullo_epi32(frame, _mm512_set1_epi32((int32_t)(step / 2u)));
}

/* Nothing is read beyond the last word of the last frame. */
static inline __mmask16 narrow_mask(const narrow *n, size_t step, size_t words) {
    return (__mmask16)((1u << ((n->frames - 1u) * step / 2u + words)) - 1u);
}

/* Adds `words` pairs of taps of all frames at x. */
static inline __m512i narrow_add(__m512i sum, const __m512i *weights, const int16_t *x, __mmask16 mask, __m512i places,
                                 size_t words) {
    const __m512i held = _mm512_maskz_loadu_epi32(mask, x);
    for (size_t i = 0; i < words; i++) {
        sum = _mm512_dpwssd_epi32(sum, weights[i], _mm512_permutexvar_epi32(places, held));
        places = _mm512_add_epi32(places, _mm512_set1_epi32(1));
    }
    return sum;
}

static inline void narrow_settle(const narrow *n, __m512i sum, int16_t *y) {
    const __m512i half = _mm512_set1_epi64(INT64_C(0x80000000)), acc = _mm512_sllv_epi32(sum, n->shift);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(acc, n->multiplier), half);
    const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), _mm512_srli_epi64(n->multiplier, 32));
    const __m512i high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), _mm512_add_epi64(odd, half));
    _mm256_storeu_si256((__m256i *)(void *)y, _mm512_cvtsepi32_epi16(high));
}
#endif
#endif
