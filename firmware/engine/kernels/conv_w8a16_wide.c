/* Convolution with 64-bit sums, for layers whose overflow proof fails at 32. */
#include "arith.h"
#include "memory.h"
#include "slice.h"

typedef struct sums {
    int64_t first, second;
} sums;

/* The sums of channels c and c + 1 of a block, over one window. w: the block. */
#if defined(__ARM_ARCH_7EM__)
static inline sums two_channels(const vk_conv *layer, const int8_t *w, size_t c, const int16_t *x, sums s) {
    const size_t steps = vk_round_up(layer->run, VK_RUN_TAPS) / 2u;
    w += c / 2u * 4u; /* the pair's word of every step: packing.h, quad */
    for (size_t r = 0; r < layer->runs; r++) {
        const int16_t *xr = x + r * layer->run_step;
        for (size_t i = 0; i < steps; i++, w += 8, xr += 2) {
            const uint32_t taps = vk_load_word(w);
            const int32_t both = (int32_t)vk_load_word(xr);
            s.first = __builtin_arm_smlald(__builtin_arm_sxtb16((int32_t)taps), both, s.first);
            s.second = __builtin_arm_smlald(__builtin_arm_sxtb16((int32_t)(taps >> 8 | taps << 24)), both, s.second);
        }
    }
    return s;
}
#else
static inline sums two_channels(const vk_conv *layer, const int8_t *w, size_t c, const int16_t *x, sums s) {
    const size_t run_taps = vk_round_up(layer->run, VK_RUN_TAPS);
    for (size_t r = 0; r < layer->runs; r++) {
        const int16_t *xr = x + r * layer->run_step;
        for (size_t i = 0; i < layer->run; i++) {
            s.first += w[vk_weight_w8a16(r * run_taps + i, c)] * xr[i];
            s.second += w[vk_weight_w8a16(r * run_taps + i, c + 1u)] * xr[i];
        }
    }
    return s;
}
#endif

static inline int16_t requantized(int64_t acc, const vk_requant *q) {
    return (int16_t)vk_requantize_wide((int64_t)((uint64_t)acc << q->shift), q);
}

void vk_conv_w8a16_wide(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, VK_BLOCK), taps = vk_stored_taps(layer, VK_RUN_TAPS);
    for (size_t t = 0; t < frames; t++) {
        for (size_t g = s.group; g < s.group_end; g++) {
            const int16_t *x = window + t * layer->frame_step + g * layer->group_in;
            int16_t *y = out + t * out_step + g * layer->channels;
            for (size_t c = s.channel; c < s.channel_end; c += 2u) {
                const int8_t *w = (const int8_t *)layer->weights + (g * padded + c / VK_BLOCK * VK_BLOCK) * taps;
                const vk_requant *q = &layer->requant[g * padded + c];
                const sums acc = two_channels(layer, w, c % VK_BLOCK, x, (sums){q[0].bias, q[1].bias});
                y[c] = requantized(acc.first, q);
                if (c + 1u < s.channel_end) {
                    y[c + 1u] = requantized(acc.second, q + 1);
                }
            }
        }
    }
}
