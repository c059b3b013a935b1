/* The assembly of rows_m7.S: `turns` times eight int16 lanes each; the pointers need no alignment. */
#ifndef VAECTROL_KERNELS_ROWS_M7_H
#define VAECTROL_KERNELS_ROWS_M7_H

#include <stdint.h>

#if defined(__ARM_ARCH_7EM__)
/* multipliers: b's above a's; rounding: half of 2^shift */
void vk_m7_add(const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns, uint32_t multipliers, int32_t rounding,
               int32_t shift);
/* the same for one shift */
void vk_m7_add_14(const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns, uint32_t multipliers,
                  int32_t rounding);
void vk_m7_add_15(const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns, uint32_t multipliers,
                  int32_t rounding);
/* (a + b + 1) >> 1: multipliers of one half at a shift of 15 */
#define VK_HALVES 0x40004000u
void vk_m7_mean(const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns);
/* eight lanes of `frames` frames, `step` bytes apart, times eight that stay; no shift */
void vk_m7_mul_held(const int16_t *a, int16_t *out, uint32_t frames, const int16_t *row, uint32_t step,
                    int32_t multiplier);
/* leaky ReLU and clamp, by saturation; floor: the lower bound less -32768, room: 32767 less the upper, twice each */
void vk_m7_bend(const int16_t *a, int16_t *out, uint32_t turns, int32_t slope, int32_t rounding, uint32_t floor,
                uint32_t room);
/* a slope of 1/4: the mean of the mean of x and 0, and 1; the lower bound is below what that can reach */
void vk_m7_bend_quarter(const int16_t *a, int16_t *out, uint32_t turns, uint32_t zero, uint32_t one, uint32_t room);
void vk_m7_mul(const int16_t *a, const int16_t *b, int16_t *out, uint32_t turns, int32_t multiplier, int32_t shift);
void vk_m7_rescale(const int16_t *a, int16_t *out, uint32_t turns, int32_t multiplier, int32_t shift);
/* for a slope below 1 the leaking branch is the larger one exactly where x is negative */
void vk_m7_leaky(const int16_t *a, int16_t *out, uint32_t turns, int32_t slope, int32_t rounding);
/* low, high: by vk_twice */
void vk_m7_clip(const int16_t *a, int16_t *out, uint32_t turns, uint32_t low, uint32_t high);
/* next: table + 1; half: 64 */
void vk_m7_table(const int16_t *a, int16_t *out, uint32_t turns, const int16_t *table, const int16_t *next,
                 int32_t half);
/* a number in both halves of a word */
static inline uint32_t vk_twice(int32_t v) { return ((uint32_t)v & 0xffffu) * 0x10001u; }
#endif
#endif
