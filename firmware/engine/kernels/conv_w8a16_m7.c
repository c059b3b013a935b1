/* Convolution, int8 weights × int16 activations, on a Cortex-M7: which register block does what.
 *
 * Two frames at a time take blocks of 2 channels × 2 frames (vk_m7_conv_2x2, 0.59 cycle per multiply-accumulate
 * inside the loop), a frame that is left takes 4 channels × 1 frame (vk_m7_conv_4x1, 0.72). Each assembly function
 * runs over all channels of the slice and requantizes what it sums: see firmware/kernelgen/m7_conv.py. Layers of few
 * taps and channels are packed for, and done by, conv_short_m7.c.
 */
#include <stdbool.h>

#include "arith.h"
#include "slice.h"

/* turns: of the loops in a run of `units` times 4 taps, (units + 1) / 2, and below it, whether units is odd.
 * gap: bytes from the end of a padded run to the next run. */
typedef void conv_4x1(const int8_t *weights, const vk_requant *requant, const int16_t *window, int16_t *out,
                      uint32_t turns, uint32_t runs, int32_t gap, uint32_t quads);
/* frame_bytes, out_bytes: from the first frame of two to the second. quad_bytes: of four channels, less 8.
 * run: scratch. first_requant, first_out, all_pairs: requant, out and pairs again, for the next two frames. */
typedef void conv_2x2(const int8_t *weights, const vk_requant *requant, const int16_t *window, int16_t *out,
                      uint32_t turns, uint32_t runs, int32_t gap, uint32_t pairs, uint32_t frame_bytes,
                      uint32_t out_bytes, uint32_t quad_bytes, uint32_t run, uint32_t frame_pairs,
                      const vk_requant *first_requant, int16_t *first_out, uint32_t all_pairs);
conv_4x1 vk_m7_conv_4x1, vk_m7_conv_4x1_far;
conv_2x2 vk_m7_conv_2x2, vk_m7_conv_2x2_far;

/* above the tightly coupled memories of an STM32H7, weights come through the cache: ask for them early */
#define FAR ((uintptr_t)0x20020000u)

void vk_conv_w8a16(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count) {
    const uint32_t channels = layer->channels, groups = layer->groups;
    if (groups > 1u && ((channels | layer->group_in) & 1u)) {
        /* pairs of channels, and of taps, would reach into the neighbouring group */
        vk_conv_w8a16_wide(layer, window, out, out_step, frames, first, count);
        return;
    }
    const vk_slice s = vk_slice_of(groups, channels, first, count);
    const uint32_t padded = (channels + 3u) & ~3u;
    const uint32_t units = (layer->run + 3u) / 4u, runs = layer->runs;
    const uint32_t taps = runs * units * 4u, turns = ((units + 1u) & ~1u) | (units & 1u);
    const uint32_t frame_pairs = frames / 2u;
    const bool far = (uintptr_t)layer->weights >= FAR;
    conv_2x2 *const two_frames = far ? vk_m7_conv_2x2_far : vk_m7_conv_2x2;
    conv_4x1 *const one_frame = far ? vk_m7_conv_4x1_far : vk_m7_conv_4x1;
    const int32_t gap = (int32_t)(2u * layer->run_step - 8u * units);
    const uint32_t frame_bytes = 2u * layer->frame_step, out_bytes = 2u * out_step;
    for (size_t g = s.group; g < s.group_end; g++) {
        const int8_t *w = (const int8_t *)layer->weights + (g * padded + s.channel) * taps;
        const vk_requant *q = layer->requant + g * padded + s.channel;
        const int16_t *x = window + g * layer->group_in;
        int16_t *y = out + g * channels + s.channel;
        const uint32_t n = (uint32_t)(s.channel_end - s.channel);
        const uint32_t quads = (n + 1u) / 4u; /* three channels are a quad with a pad lane; one or two are a pair */
        const uint32_t pairs = (n + 1u) / 2u;
        if (frame_pairs) {
            two_frames(w, q, x, y, turns, runs, gap, pairs, frame_bytes, out_bytes, 4u * taps - 8u, 0u, frame_pairs, q,
                       y, pairs);
        }
        if (frame_pairs) {
            x += 2u * frame_pairs * layer->frame_step;
            y += 2u * frame_pairs * out_step;
        }
        if (frames & 1u) {
            if (quads) {
                one_frame(w, q, x, y, turns, runs, gap, quads);
            }
            if (pairs & 1u) {
                /* the pair that is left, as two frames that are one and the same */
                const vk_requant *last = q + 4u * quads;
                int16_t *out_last = y + 4u * quads;
                two_frames(w + 4u * quads * taps, last, x, out_last, turns, runs, gap, 1u, 0u, 0u, 0u, 0u, 1u, last,
                           out_last, 1u);
            }
        }
    }
}
