/* Joined sums, written as the contract reads: for tests, not part of an image. The fast ones must equal it. */
#include "conv_plain.h"
#include "joined.h"

#if !defined(__ARM_ARCH_7EM__)
void vk_joined_s16_plain(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step,
                         size_t frames) {
    size_t elements = 0;
    for (size_t k = 0; k < layer->taps; k++) {
        elements += layer->pitches[k];
    }
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < layer->channels; c++) {
            int32_t acc = layer->requant[c].bias;
            size_t row = 0;
            for (size_t k = 0; k < layer->taps; k++) {
                for (size_t i = 0; i < layer->pitches[k]; i++, row++) {
                    const size_t place = (c / 8u * elements + row) * 8u + c % 8u;
                    acc += layer->weights[place] * taps[k][t * layer->pitches[k] + i];
                }
            }
            const int16_t x = vk_sat16(vk_requantize(acc, &layer->requant[c]));
            out[t * out_step + c] = vk_curved(layer->curve, x);
        }
    }
}
#endif
