/* Noise through short filters that change per frame; the noise is a hash of the sample's number, so it repeats.
 *
 * The hash is Wellons' lowbias32 (nullprogram.com/blog/2018/07/31).
 */
#include <stdbool.h>

#include "vk_dsp.h"

#if defined(__ARM_ARCH_7EM__)
#define ROLLED _Pragma("clang loop unroll(disable)") /* unrolled it is 2.9 KB, and no faster */
#else
#define ROLLED
#endif

static inline float noise_at(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return (float)(int32_t)x * 0x1p-31f;
}

enum { CHUNK = 32, MOST_TAPS = 64 }; /* samples at a time, and the longest filter that the buffer holds */

/* `samples` outputs of one band through one filter; every noise value is hashed once. */
static void chunk_of_band(const vk_noise *noise, uint32_t n, uint32_t b, const float *filter, float *out,
                          size_t out_step, uint32_t samples) {
    float heard[CHUNK + MOST_TAPS - 1];
    const uint32_t bands = noise->bands, past = noise->taps - 1u;
    uint32_t key = (n - past) * bands + b + noise->seed * 0x9e3779b9u;
    ROLLED for (uint32_t i = 0; i < ((samples + 3u) & ~3u) + past; i++, key += bands) {
        heard[i] = n + i < past ? 0.0f : noise_at(key); /* before the first sample there is silence */
    }
    /* four sums side by side: each alone would wait for its own last addition */
    for (uint32_t i = 0; i < samples; i += 4u) {
        const float *newest = heard + past + i;
        float a0 = filter[0] * newest[0], a1 = filter[0] * newest[1], a2 = filter[0] * newest[2],
              a3 = filter[0] * newest[3];
        ROLLED for (uint32_t k = 1; k <= past; k++) {
            const float f = filter[k], *x = newest - k;
            a0 += f * x[0];
            a1 += f * x[1];
            a2 += f * x[2];
            a3 += f * x[3];
        }
        const float sums[4] = {a0, a1, a2, a3};
        for (uint32_t j = 0; j < 4u && i + j < samples; j++, out += out_step) {
            *out = sums[j];
        }
    }
}

/* A filter too long for the buffer: every tap hashes its own. */
static void sample_of_band(const vk_noise *noise, uint32_t n, uint32_t b, const float *filter, float *out) {
    const uint32_t count = n < noise->taps ? n + 1u : noise->taps;
    uint32_t key = n * noise->bands + b + noise->seed * 0x9e3779b9u;
    float sum = filter[0] * noise_at(key);
    ROLLED for (uint32_t k = 1; k < count; k++) {
        key -= noise->bands;
        sum += filter[k] * noise_at(key);
    }
    *out = sum;
}

void vk_filtered_noise(const vk_noise *noise, vk_noise_state *state, const float *taps, size_t taps_step, float *out,
                       size_t out_step, size_t frames) {
    const uint32_t bands = noise->bands, count = noise->taps, hop = noise->hop;
    const bool buffered = count > 1u && count <= MOST_TAPS;
    const uint32_t step = buffered ? CHUNK : 1u;
    for (size_t t = 0; t < frames; t++, taps += taps_step) {
        for (uint32_t h = 0; h < hop; h += step) {
            const uint32_t samples = hop - h < step ? hop - h : step;
            if (count == 1u) { /* noise with a gain per band */
                const uint32_t key = state->n * bands + noise->seed * 0x9e3779b9u;
                for (uint32_t b = 0; b < bands; b++) {
                    out[b] = taps[b] * noise_at(key + b);
                }
            } else {
                for (uint32_t b = 0; b < bands; b++) {
                    const float *filter = taps + b * count;
                    if (buffered) {
                        chunk_of_band(noise, state->n, b, filter, out + b, out_step, samples);
                    } else {
                        sample_of_band(noise, state->n, b, filter, out + b);
                    }
                }
            }
            state->n += samples;
            out += samples * out_step;
        }
    }
}
