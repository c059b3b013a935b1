/* Convolution in float32 for x86, aarch64 and WebAssembly; sums and weights as in conv_f32_m7.c.
 *
 * Frames come eight at a time: a weight is loaded once for all of them, and no addition waits for the one before.
 */
#include "memory.h"
#include "slice.h"

#define LANES 8u
#define TOGETHER 8u
typedef float lanes __attribute__((vector_size(32)));

/* One block of channels of `frames` frames, of which `n` channels exist; `frames` is a constant after inlining. */
static inline __attribute__((always_inline)) void block(const vk_conv_float *layer, const float *w, const float *bias,
                                                        const float *x, float *y, size_t out_step, size_t n,
                                                        const size_t frames) {
    lanes sum[TOGETHER];
    for (size_t f = 0; f < frames; f++) {
        memcpy(&sum[f], bias, sizeof sum[f]);
    }
    for (size_t r = 0; r < layer->runs; r++) {
        const float *xr = x + r * layer->run_step;
        for (size_t i = 0; i < layer->run; i++, w += LANES) {
            lanes weights;
            memcpy(&weights, w, sizeof weights);
            for (size_t f = 0; f < frames; f++) {
                sum[f] += weights * xr[f * layer->frame_step + i];
            }
        }
    }
    for (size_t f = 0; f < frames; f++) {
        memcpy(y + f * out_step, &sum[f], n * sizeof(float));
    }
}

void vk_conv_f32(const vk_conv_float *layer, const float *window, float *out, size_t out_step, size_t frames,
                 size_t first, size_t count) {
    const vk_slice s = vk_slice_of(layer->groups, layer->channels, first, count);
    const size_t padded = vk_round_up(layer->channels, LANES), taps = (size_t)layer->runs * layer->run;
    for (size_t g = s.group; g < s.group_end; g++) {
        for (size_t c = s.channel; c < s.channel_end; c += LANES) {
            const float *w = layer->weights + (g * padded + c) * taps, *bias = layer->bias + g * padded + c;
            const float *x = window + g * layer->group_in;
            float *y = out + g * layer->channels + c;
            const size_t n = s.channel_end - c < LANES ? s.channel_end - c : LANES;
            size_t t = 0;
            for (; t + TOGETHER <= frames; t += TOGETHER) {
                block(layer, w, bias, x + t * layer->frame_step, y + t * out_step, out_step, n, TOGETHER);
            }
            for (; t < frames; t++) {
                block(layer, w, bias, x + t * layer->frame_step, y + t * out_step, out_step, n, 1u);
            }
        }
    }
}
