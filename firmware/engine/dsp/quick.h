/* Functions of floats for the parts that run beside each other in fours: no branch, no comparison, same bits everywhere.
 *
 * A Cortex-M7 compares floats slowly, waits three cycles for every result, and takes longer for its multiply-and-add
 * than for the two apart. No number here is a NaN.
 */
#ifndef VAECTROL_DSP_QUICK_H
#define VAECTROL_DSP_QUICK_H

#include <stdint.h>

/* Four at a time: each alone would wait for its own results. */
#if defined(__clang__)
#define TOGETHER _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define TOGETHER
#define ROLLED
#endif
#define FOUR TOGETHER for (uint32_t j = 0; j < 4u; j++)

#if defined(__ARM_ARCH_7EM__)
static inline float most(float a, float b) {
    float y;
    __asm("vmaxnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
    return y;
}
static inline float least(float a, float b) {
    float y;
    __asm("vminnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
    return y;
}
static inline float product(float a, float b) {
    float y = a * b;
    __asm("" : "+t"(y));
    return y;
}
#else
static inline float most(float a, float b) { return a > b ? a : b; }
static inline float least(float a, float b) { return a < b ? a : b; }
static inline float product(float a, float b) { return a * b; }
#endif

typedef union Word {
    float value;
    uint32_t bits;
} Word;

#define MAGIC 12582912.0f /* 1.5·2^23: what is added to it is rounded to a whole number, half to even */

/* e^x for |x| ≤ 80 */
static inline float quick_exp(float x) {
    Word n = {product(x, 1.44269504f) + MAGIC}, y;
    const float whole = n.value - MAGIC;
    const float r = (x - product(whole, 0.693359375f)) + product(whole, 2.12194440e-4f);
    float p = product(r, 1.0f / 5040.0f) + 1.0f / 720.0f;
    p = product(p, r) + 1.0f / 120.0f;
    p = product(p, r) + 1.0f / 24.0f;
    p = product(p, r) + 1.0f / 6.0f;
    p = product(p, r) + 0.5f;
    y.value = (product(p, product(r, r)) + r) + 1.0f;
    y.bits += n.bits << 23; /* times 2^n */
    return y.value;
}

/* tanh(x), within 1e-7 */
static inline float quick_tanh(float x) {
    return 1.0f - 2.0f / (quick_exp(2.0f * most(least(x, 10.0f), -10.0f)) + 1.0f);
}

/* Cosine and sine of 2π·turns, |turns| < 2^20. */
static inline void quick_turn(float turns, float *cosine, float *sine) {
    Word n = {turns + turns + MAGIC}, c, s;
    const float r = product(turns - product(0.5f, n.value - MAGIC), 6.28318531f); /* the difference is exact */
    const float z = product(r, r);
    float p = product(z, -2.50521084e-8f) + 2.75573192e-6f;
    float q = product(z, 2.08767570e-9f) + -2.75573192e-7f;
    p = product(p, z) + -1.98412698e-4f;
    q = product(q, z) + 2.48015873e-5f;
    p = product(p, z) + 8.33333333e-3f;
    q = product(q, z) + -1.38888889e-3f;
    p = product(p, z) + -1.66666667e-1f;
    q = product(q, z) + 4.16666667e-2f;
    s.value = r + product(r, product(z, p));
    c.value = (1.0f - product(0.5f, z)) + product(product(z, z), q);
    s.bits ^= n.bits << 31; /* a half turn is the other way round */
    c.bits ^= n.bits << 31;
    *cosine = c.value;
    *sine = s.value;
}

#endif
