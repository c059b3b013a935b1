/* Convolution, int8 weights × int8 activations, written as the contract reads. The fast ones must equal it. */
#include "arith.h"
#include "conv_plain.h"
#include "slice.h"

void vk_conv_w8a8_plain(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, 8u);
    const size_t run_taps = vk_round_up(layer->run, 4u), taps = vk_stored_taps(layer, 4u);
    for (size_t t = 0; t < frames; t++) {
        for (size_t g = s.group; g < s.group_end; g++) {
            const int8_t *x = window + t * layer->frame_step + g * layer->group_in;
            for (size_t c = s.channel; c < s.channel_end; c++) {
                const int8_t *w = (const int8_t *)layer->weights + (g * padded + c / 8u * 8u) * taps;
                const vk_requant *q = &layer->requant[g * padded + c];
                int32_t acc = q->bias;
                for (size_t r = 0; r < layer->runs; r++) {
                    for (size_t i = 0; i < layer->run; i++) {
                        acc += w[vk_weight_w8a8(r * run_taps + i, c % 8u)] * x[r * layer->run_step + i];
                    }
                }
                out[t * out_step + g * layer->channels + c] = vk_sat8(vk_requantize(acc, q));
            }
        }
    }
}
