/* Joined sums for x86, aarch64 and WebAssembly: eight output channels in the lanes of a vector. */
#include "joined.h"
#include "memory.h"

#if !defined(__ARM_ARCH_7EM__)
typedef int32_t sums __attribute__((vector_size(32)));
typedef int16_t halves __attribute__((vector_size(16)));

#define LANES 8u

void vk_joined_s16(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step, size_t frames) {
    const size_t channels = layer->channels, blocks = (channels + LANES - 1u) / LANES;
    size_t elements = 0;
    for (size_t k = 0; k < layer->taps; k++) {
        elements += layer->pitches[k];
    }
    for (size_t t = 0; t < frames; t++) {
        for (size_t b = 0; b < blocks; b++) {
            const int16_t *w = layer->weights + b * elements * LANES;
            const vk_requant *q = layer->requant + b * LANES;
            sums acc = {0};
            for (size_t k = 0; k < layer->taps; k++) {
                const size_t pitch = layer->pitches[k];
                const int16_t *x = taps[k] + t * pitch;
                for (size_t i = 0; i < pitch; i++, w += LANES) {
                    halves row;
                    memcpy(&row, w, sizeof row);
                    acc += __builtin_convertvector(row, sums) * (int32_t)x[i];
                }
            }
            const size_t first = b * LANES, count = channels - first < LANES ? channels - first : LANES;
            for (size_t c = 0; c < count; c++) {
                const int32_t sum = acc[c] + q[c].bias;
                out[t * out_step + first + c] = vk_curved(layer->curve, vk_sat16(vk_requantize(sum, &q[c])));
            }
        }
    }
}
#endif
