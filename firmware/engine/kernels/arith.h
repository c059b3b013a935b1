/* The roundings of the arithmetic contract (docs/design.md#arithmetic), each written once. */
#ifndef VAECTROL_KERNELS_ARITH_H
#define VAECTROL_KERNELS_ARITH_H

#include <stdint.h>

#include "vk.h"

static inline int16_t vk_sat16(int32_t v) { return (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v); }
static inline int8_t vk_sat8(int32_t v) { return (int8_t)(v > 127 ? 127 : v < -128 ? -128 : v); }
/* (a·b + 2^31) >> 32: SMMULR on a Cortex-M7. C11 leaves >> of a negative to the compiler; all of ours shift
 * arithmetically, and the tests would show it. */
static inline int32_t vk_smmulr(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_7EM__)
    int32_t high; /* clang knows no pattern for it */
    __asm("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + INT64_C(0x80000000)) >> 32);
#endif
}
/* acc·2^shift is proven to fit; the shift goes through uint32 because C has no negative left shift */
static inline int32_t vk_shifted(int32_t acc, int32_t shift) { return (int32_t)((uint32_t)acc << shift); }
static inline int32_t vk_requantize(int32_t acc, const vk_requant *q) {
    return vk_smmulr(vk_shifted(acc, q->shift), q->multiplier);
}
/* sat before narrowing: the 64-bit sums of the wide kernels may leave int32 */
static inline int32_t vk_requantize_wide(int64_t acc, const vk_requant *q) {
    /* (acc·M + 2^31) >> 32 for |acc| < 2^47, exactly: the low 16 bits of acc apart */
    const int64_t high = acc >> 16, low = acc & 0xffff;
    const int64_t v = (high * q->multiplier + ((low * q->multiplier + INT64_C(0x80000000)) >> 16)) >> 16;
    return (int32_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}
#endif
