/* Noise through short filters that change per frame; the noise is a hash of the sample's number, so it repeats.
 *
 * The hash is Wellons' lowbias32 (nullprogram.com/blog/2018/07/31).
 */
#include "vk_dsp.h"

static inline float noise_at(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    x ^= x >> 16;
    return (float)(int32_t)x * 0x1p-31f;
}

void vk_filtered_noise(const vk_noise *noise, vk_noise_state *state, const float *taps, size_t taps_step, float *out,
                       size_t out_step, size_t frames) {
    const uint32_t bands = noise->bands, count = noise->taps, hop = noise->hop;
    const uint32_t offset = noise->seed * 0x9e3779b9u;
    for (size_t t = 0; t < frames; t++, taps += taps_step) {
        for (uint32_t h = 0; h < hop; h++, out += out_step, state->n++) {
            const uint32_t n = state->n;
            /* before the first sample there is silence */
            const uint32_t heard = n < count ? n + 1u : count;
            for (uint32_t b = 0; b < bands; b++) {
                const float *filter = taps + b * count;
                uint32_t key = n * bands + b + offset;
                float sum = filter[0] * noise_at(key);
                for (uint32_t k = 1; k < heard; k++) {
                    key -= bands;
                    sum += filter[k] * noise_at(key);
                }
                out[b] = sum;
            }
        }
    }
}
