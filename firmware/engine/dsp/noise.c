/* Noise through short filters that change per frame; the noise is a hash of the sample's number, so it repeats.
 */
#include <stdbool.h>

#include "hash.h"
#include "vk_dsp.h"

#if defined(__ARM_ARCH_7EM__)
#define ROLLED _Pragma("clang loop unroll(disable)") /* unrolled it is 2.9 KB, and no faster */
#else
#define ROLLED
#endif

static inline float noise_at(uint32_t x) { return (float)(int32_t)hash32(x) * 0x1p-31f; }

enum { CHUNK = 32, MOST_TAPS = 64 }; /* samples at a time, and the longest filter that the buffer holds */

/* The noise of one band from sample n − past on; before the first sample there is silence. Two values side by side:
 * each alone would wait for its own multiplications. */
static void hear(const vk_noise *noise, uint32_t n, uint32_t b, uint32_t past, float *heard, uint32_t count) {
    const uint32_t bands = noise->bands;
    uint32_t i = 0;
    for (; n + i < past && i < count; i++) {
        heard[i] = 0.0f;
    }
    uint32_t key = (n + i - past) * bands + b + noise->seed * GOLDEN;
    ROLLED for (; i < count; i += 2u, key += 2u * bands) {
        const float first = noise_at(key), second = noise_at(key + bands);
        heard[i] = first;
        heard[i + 1u] = second;
    }
}

/* `samples` outputs of one band, the first of them h samples into its frame; every noise value is hashed once. Four
 * sums side by side, each with the filter of its own frame. */
static void chunk_of_band(const vk_noise *noise, uint32_t n, uint32_t b, const float *taps, size_t taps_step,
                          uint32_t h, float *out, size_t out_step, uint32_t samples) {
    float heard[CHUNK + MOST_TAPS + 2];
    const uint32_t past = noise->taps - 1u;
    hear(noise, n, b, past, heard, samples + past);
    for (uint32_t j = 0; j < 3u; j++) { /* read with the last four, never written out */
        heard[samples + past + j] = 0.0f;
    }
    const float *filter = taps + b * noise->taps;
    for (uint32_t i = 0; i < samples; i += 4u) {
        const uint32_t left = samples - i;
        const float *w[4];
        for (uint32_t j = 0; j < 4u; j++) { /* those beyond the last are not written */
            w[j] = filter;
            if (j + 1u < left && ++h == noise->hop) {
                h = 0;
                filter += taps_step;
            }
        }
        const float *newest = heard + past + i, *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
        float a0 = w0[0] * newest[0], a1 = w1[0] * newest[1], a2 = w2[0] * newest[2], a3 = w3[0] * newest[3];
        ROLLED for (uint32_t k = 1; k <= past; k++) {
            const float *x = newest - k;
            a0 += w0[k] * x[0];
            a1 += w1[k] * x[1];
            a2 += w2[k] * x[2];
            a3 += w3[k] * x[3];
        }
        out[0] = a0;
        if (left > 1u) {
            out[out_step] = a1;
        }
        if (left > 2u) {
            out[2u * out_step] = a2;
        }
        if (left > 3u) {
            out[3u * out_step] = a3;
        }
        out += 4u * out_step;
    }
}

/* A filter too long for the buffer: every tap hashes its own. */
static void sample_of_band(const vk_noise *noise, uint32_t n, uint32_t b, const float *filter, float *out) {
    const uint32_t count = n < noise->taps ? n + 1u : noise->taps;
    uint32_t key = n * noise->bands + b + noise->seed * GOLDEN;
    float sum = filter[0] * noise_at(key);
    ROLLED for (uint32_t k = 1; k < count; k++) {
        key -= noise->bands;
        sum += filter[k] * noise_at(key);
    }
    *out = sum;
}

/* Samples of all frames in one row, whatever the hop: a frame of one sample would hash its whole past for it. */
static void buffered(const vk_noise *noise, uint32_t n, const float *taps, size_t taps_step, float *out,
                     size_t out_step, size_t samples) {
    for (size_t done = 0; done < samples; done += CHUNK, out += CHUNK * out_step) {
        const uint32_t now = samples - done < CHUNK ? (uint32_t)(samples - done) : CHUNK;
        const float *frame = taps + done / noise->hop * taps_step;
        for (uint32_t b = 0; b < noise->bands; b++) {
            chunk_of_band(noise, n + (uint32_t)done, b, frame, taps_step, (uint32_t)(done % noise->hop), out + b,
                          out_step, now);
        }
    }
}

void vk_filtered_noise(const vk_noise *noise, vk_noise_state *state, const float *taps, size_t taps_step, float *out,
                       size_t out_step, size_t frames) {
    const uint32_t bands = noise->bands, count = noise->taps, hop = noise->hop;
    const size_t samples = frames * hop;
    if (count > 1u && count <= MOST_TAPS) {
        buffered(noise, state->n, taps, taps_step, out, out_step, samples);
        state->n += (uint32_t)samples;
        return;
    }
    for (size_t t = 0; t < frames; t++, taps += taps_step) {
        for (uint32_t h = 0; h < hop; h++, out += out_step, state->n++) {
            const uint32_t key = state->n * bands + noise->seed * GOLDEN;
            for (uint32_t b = 0; b < bands; b++) {
                if (count == 1u) { /* noise with a gain per band */
                    out[b] = taps[b] * noise_at(key + b);
                } else {
                    sample_of_band(noise, state->n, b, taps + b * count, out + b);
                }
            }
        }
    }
}
