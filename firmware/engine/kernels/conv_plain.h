/* The plain references of the convolutions and joined sums: for tests, not part of an image. */
#ifndef VAECTROL_KERNELS_CONV_PLAIN_H
#define VAECTROL_KERNELS_CONV_PLAIN_H

#include "vk.h"

void vk_conv_w8a16_plain(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                         size_t first, size_t count);
void vk_conv_w8a8_plain(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count);
#if !defined(__ARM_ARCH_7EM__)
void vk_joined_s16_plain(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step,
                         size_t frames);
#endif
#endif
