/* Recurrent layers for x86, aarch64 and WebAssembly: a unit's four sums in the lanes of a vector. */
#include "recurrent.h"

#if !defined(__ARM_ARCH_7EM__)
typedef int32_t lanes __attribute__((vector_size(16)));
typedef int16_t pairs __attribute__((vector_size(16)));
typedef int16_t halves __attribute__((vector_size(8)));

static void sums(const vk_recurrent *layer, const int16_t *v, size_t unit, int32_t *sum) {
    const int16_t *w = layer->weights + unit * layer->columns * VK_SUMS;
    lanes acc;
    memcpy(&acc, layer->bias + unit * VK_SUMS, sizeof acc);
    for (size_t k = 0; k < layer->columns; k += 2, w += 2u * VK_SUMS) {
        pairs row;
        memcpy(&row, w, sizeof row);
        const halves first = __builtin_shufflevector(row, row, 0, 2, 4, 6);
        const halves second = __builtin_shufflevector(row, row, 1, 3, 5, 7);
        acc += __builtin_convertvector(first, lanes) * (int32_t)v[k];
        acc += __builtin_convertvector(second, lanes) * (int32_t)v[k + 1u];
    }
    acc >>= (int32_t)layer->shift;
    memcpy(sum, &acc, sizeof acc);
}

void vk_lstm_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                 size_t out_step, size_t frames) {
    vk_run_lstm(sums, layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                size_t out_step, size_t frames) {
    vk_run_gru(sums, layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_before_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                       int16_t *out, size_t out_step, size_t frames) {
    vk_run_gru_before(sums, layer, v, wide, in, in_step, out, out_step, frames);
}
#endif
