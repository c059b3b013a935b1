/* Convolution with 64-bit sums, for layers whose overflow proof fails at 32. */
#include "arith.h"
#include "slice.h"

void vk_conv_w8a16_wide(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, VK_BLOCK);
    const size_t run_taps = vk_round_up(layer->run, VK_RUN_TAPS), taps = vk_stored_taps(layer, VK_RUN_TAPS);
    for (size_t t = 0; t < frames; t++) {
        for (size_t g = s.group; g < s.group_end; g++) {
            const int16_t *x = window + t * layer->frame_step + g * layer->group_in;
            for (size_t c = s.channel; c < s.channel_end; c++) {
                const int8_t *w = (const int8_t *)layer->weights + (g * padded + c / VK_BLOCK * VK_BLOCK) * taps;
                const vk_requant *q = &layer->requant[g * padded + c];
                int64_t acc = q->bias;
                for (size_t r = 0; r < layer->runs; r++) {
                    for (size_t i = 0; i < layer->run; i++) {
                        acc += w[vk_weight_w8a16(r * run_taps + i, c % VK_BLOCK)] * x[r * layer->run_step + i];
                    }
                }
                const int64_t shifted = (int64_t)((uint64_t)acc << q->shift);
                out[t * out_step + g * layer->channels + c] = (int16_t)vk_requantize_wide(shifted, q);
            }
        }
    }
}
