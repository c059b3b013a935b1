/* The plain references of convolutions, joined sums and recurrent layers: for tests, not part of an image. */
#ifndef VAECTROL_KERNELS_CONV_PLAIN_H
#define VAECTROL_KERNELS_CONV_PLAIN_H

#include "vk.h"

void vk_conv_w8a16_plain(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                         size_t first, size_t count);
void vk_conv_w8a8_plain(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count);
#if !defined(__ARM_ARCH_7EM__)
void vk_lstm_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                       int16_t *out, size_t out_step, size_t frames);
void vk_gru_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                      int16_t *out, size_t out_step, size_t frames);
void vk_gru_before_s16_plain(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                             int16_t *out, size_t out_step, size_t frames);
void vk_joined_s16_plain(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step,
                         size_t frames);
#endif
#endif
