/* Convolution, int8 weights × int8 activations, on a Cortex-M7: four taps to a word on both sides.
 *
 * SXTB16 takes taps 0 and 2, SXTB16 ROR 8 taps 1 and 3, of weights and activations alike: no interleaving needed.
 * W8A16 is the fast road on this processor; W8A8 is here so that a model made for another runs, too.
 */
#include "arith.h"
#include "memory.h"
#include "slice.h"

static inline int32_t four_taps(uint32_t w, int32_t even, int32_t odd, int32_t acc) {
    acc = __builtin_arm_smlad((int32_t)__builtin_arm_sxtb16((int32_t)w), even, acc);
    return __builtin_arm_smlad((int32_t)__builtin_arm_sxtb16((int32_t)((w >> 8) | (w << 24))), odd, acc);
}

void vk_conv_w8a8(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames, size_t first,
                  size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, 8u), steps = (layer->run + 3u) / 4u;
    const size_t taps = layer->runs * steps * 4u;
    for (size_t g = s.group; g < s.group_end; g++) {
        for (size_t c = s.channel; c < s.channel_end; c += 4u) {
            /* half a block of eight: its words lie 32 bytes apart */
            const int8_t *half = (const int8_t *)layer->weights + (g * padded + (c & ~(size_t)7u)) * taps +
                                 (c & 4u) * 4u;
            const vk_requant *q = &layer->requant[g * padded + c];
            const size_t n = s.channel_end - c < 4u ? s.channel_end - c : 4u;
            for (size_t t = 0; t < frames; t++) {
                const int8_t *x = window + t * layer->frame_step + g * layer->group_in, *w = half;
                int32_t a0 = q[0].bias, a1 = q[1].bias, a2 = q[2].bias, a3 = q[3].bias;
                for (size_t r = 0; r < layer->runs; r++) {
                    const int8_t *xr = x + r * layer->run_step;
                    for (size_t i = 0; i < steps; i++, w += 32, xr += 4) {
                        const uint32_t v = vk_load_word(xr);
                        const int32_t even = (int32_t)__builtin_arm_sxtb16((int32_t)v);
                        const int32_t odd = (int32_t)__builtin_arm_sxtb16((int32_t)((v >> 8) | (v << 24)));
                        a0 = four_taps(vk_load_word(w), even, odd, a0);
                        a1 = four_taps(vk_load_word(w + 4), even, odd, a1);
                        a2 = four_taps(vk_load_word(w + 8), even, odd, a2);
                        a3 = four_taps(vk_load_word(w + 12), even, odd, a3);
                    }
                }
                int8_t *y = out + t * out_step + g * layer->channels + c;
                const int32_t acc[4] = {a0, a1, a2, a3};
                for (size_t j = 0; j < n; j++) {
                    y[j] = vk_sat8(vk_requantize(acc[j], &q[j]));
                }
            }
        }
    }
}
