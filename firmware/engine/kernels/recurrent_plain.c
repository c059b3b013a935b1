/* Recurrent layers, written as the contract reads: for tests, not part of an image. The fast ones must equal it. */
#include "conv_plain.h"
#include "recurrent.h"

#if !defined(__ARM_ARCH_7EM__)
static void sums(const vk_recurrent *layer, const int16_t *v, size_t unit, int32_t *sum) {
    const int16_t *w = layer->weights + unit * layer->columns * VK_SUMS;
    for (size_t g = 0; g < VK_SUMS; g++) {
        int32_t acc = layer->bias[unit * VK_SUMS + g];
        for (size_t k = 0; k < layer->columns; k++) {
            acc += w[k / 2u * 2u * VK_SUMS + 2u * g + k % 2u] * v[k];
        }
        sum[g] = acc >> layer->shift;
    }
}

void vk_lstm_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                       int16_t *out, size_t out_step, size_t frames) {
    vk_run_lstm(sums, layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                      int16_t *out, size_t out_step, size_t frames) {
    vk_run_gru(sums, layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_before_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                             int16_t *out, size_t out_step, size_t frames) {
    vk_run_gru_before(sums, layer, v, wide, in, in_step, out, out_step, frames);
}
#endif
