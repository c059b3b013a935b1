/* Convolution in float32 on a Cortex-M7, for the edges and for --float builds.
 *
 * Sums run in ascending order of the window, one channel in one lane, so every target rounds alike; weights lie
 * [block of 8 channels][tap][8] so that a compiler vectorises over channels without reordering a sum.
 */
#include "slice.h"

void vk_conv_f32(const vk_conv_float *layer, const float *window, float *out, size_t out_step, size_t frames,
                 size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, 8u), taps = (size_t)layer->runs * layer->run;
    for (size_t t = 0; t < frames; t++) {
        for (size_t g = s.group; g < s.group_end; g++) {
            const float *x = window + t * layer->frame_step + g * layer->group_in;
            float *y = out + t * out_step + g * layer->channels;
            for (size_t c = s.channel; c < s.channel_end; c += 8u) {
                const float *w = layer->weights + (g * padded + c) * taps;
                float acc[8];
                for (size_t j = 0; j < 8u; j++) {
                    acc[j] = layer->bias[g * padded + c + j];
                }
                for (size_t r = 0; r < layer->runs; r++) {
                    const float *xr = x + r * layer->run_step;
                    for (size_t i = 0; i < layer->run; i++, w += 8) {
                        for (size_t j = 0; j < 8u; j++) {
                            acc[j] += w[j] * xr[i];
                        }
                    }
                }
                const size_t n = s.channel_end - c < 8u ? s.channel_end - c : 8u;
                for (size_t j = 0; j < n; j++) {
                    y[c + j] = acc[j];
                }
            }
        }
    }
}
