/* Four floats side by side: functions without a branch or a comparison, the same bits everywhere.
 *
 * A Cortex-M7 waits three cycles for every result, compares floats slowly, and takes longer for its multiply-and-add
 * than for the two apart. So four chains run beside each other, step by step; other processors have vectors for that.
 * No number here is a NaN.
 */
#ifndef VAECTROL_DSP_QUICK_H
#define VAECTROL_DSP_QUICK_H

#include <stdint.h>

/* a call would pass four floats through memory */
#define INLINE static inline __attribute__((always_inline))

typedef float f4 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));

#define FOUR for (uint32_t j = 0; j < 4u; j++)
#if defined(__clang__)
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define ROLLED
#endif

INLINE f4 all(float x) { return (f4){x, x, x, x}; }

#if defined(__ARM_ARCH_7EM__)
INLINE float most1(float a, float b) {
    float y;
    __asm("vmaxnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
    return y;
}
INLINE float least1(float a, float b) {
    float y;
    __asm("vminnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
    return y;
}
INLINE f4 product(f4 a, f4 b) {
    float p = a[0] * b[0], q = a[1] * b[1], r = a[2] * b[2], s = a[3] * b[3];
    __asm("" : "+t"(p), "+t"(q), "+t"(r), "+t"(s)); /* no multiply-and-add is made of it */
    return (f4){p, q, r, s};
}
#else
INLINE float most1(float a, float b) { return a > b ? a : b; }
INLINE float least1(float a, float b) { return a < b ? a : b; }
INLINE f4 product(f4 a, f4 b) { return a * b; }
#endif

INLINE f4 most(f4 a, f4 b) { return (f4){most1(a[0], b[0]), most1(a[1], b[1]), most1(a[2], b[2]), most1(a[3], b[3])}; }
INLINE f4 least(f4 a, f4 b) {
    return (f4){least1(a[0], b[0]), least1(a[1], b[1]), least1(a[2], b[2]), least1(a[3], b[3])};
}
INLINE float most_of(f4 a) { return most1(most1(a[0], a[1]), most1(a[2], a[3])); }

#define MAGIC 12582912.0f /* 1.5·2^23: what is added to it is rounded to a whole number, half to even */

/* e^x for |x| ≤ 80 */
INLINE f4 quick_exp(f4 x) {
    const f4 n = product(x, all(1.44269504f)) + all(MAGIC), whole = n - all(MAGIC);
    const f4 r = (x - product(whole, all(0.693359375f))) + product(whole, all(2.12194440e-4f));
    f4 p = product(r, all(1.0f / 5040.0f)) + all(1.0f / 720.0f);
    p = product(p, r) + all(1.0f / 120.0f);
    p = product(p, r) + all(1.0f / 24.0f);
    p = product(p, r) + all(1.0f / 6.0f);
    p = product(p, r) + all(0.5f);
    const f4 y = (product(p, product(r, r)) + r) + all(1.0f);
    return (f4)((u4)y + ((u4)n << 23)); /* times 2^n */
}

/* log(x) of a normal x > 0, within 3e-7 of the larger of 1 and itself */
INLINE f4 quick_log(f4 x) {
    const u4 bits = (u4)x - 0x3f3504f3u; /* so that what is left of x lies between the roots of a half and of two */
    const f4 m = (f4)((bits & 0x007fffffu) + 0x3f3504f3u);
    f4 n;
    FOUR { n[j] = (float)((int32_t)bits[j] >> 23); }
    const f4 s = (m - all(1.0f)) / (m + all(1.0f)), z = product(s, s);
    f4 p = product(z, all(1.0f / 9.0f)) + all(1.0f / 7.0f);
    p = product(p, z) + all(1.0f / 5.0f);
    p = product(p, z) + all(1.0f / 3.0f);
    p = product(product(p, z), s) + s;
    return product(n, all(0.693359375f)) + (product(n, all(-2.12194440e-4f)) + (p + p));
}

/* tanh(x), within 1e-7 */
INLINE f4 quick_tanh(f4 x) {
    return all(1.0f) - all(2.0f) / (quick_exp(product(all(2.0f), most(least(x, all(10.0f)), all(-10.0f)))) + all(1.0f));
}

/* Cosine and sine of 2π·turns, |turns| < 2^20. */
INLINE void quick_turn(f4 turns, f4 *cosine, f4 *sine) {
    const f4 n = turns + turns + all(MAGIC);
    const f4 r = product(turns - product(all(0.5f), n - all(MAGIC)), all(6.28318531f)); /* the difference is exact */
    const f4 z = product(r, r);
    f4 p = product(z, all(-2.50521084e-8f)) + all(2.75573192e-6f);
    f4 q = product(z, all(2.08767570e-9f)) + all(-2.75573192e-7f);
    p = product(p, z) + all(-1.98412698e-4f);
    q = product(q, z) + all(2.48015873e-5f);
    p = product(p, z) + all(8.33333333e-3f);
    q = product(q, z) + all(-1.38888889e-3f);
    p = product(p, z) + all(-1.66666667e-1f);
    q = product(q, z) + all(4.16666667e-2f);
    const u4 flip = (u4)n << 31; /* a half turn is the other way round */
    *sine = (f4)((u4)(r + product(r, product(z, p))) ^ flip);
    *cosine = (f4)((u4)((all(1.0f) - product(all(0.5f), z)) + product(product(z, z), q)) ^ flip);
}

/* Once an evaluation, not once a sample: code that is short counts for more. */
#define CALLED static __attribute__((noinline, unused))
CALLED f4 called_exp(f4 x) { return quick_exp(x); }
CALLED f4 called_tanh(f4 x) { return quick_tanh(x); }
CALLED void called_turn(f4 turns, f4 *cosine, f4 *sine) { quick_turn(turns, cosine, sine); }

INLINE f4 four_at(const float *p) { return (f4){p[0], p[1], p[2], p[3]}; }

/* e^x of one number, within what quick_exp takes. */
CALLED float natural_exp(float x) { return called_exp(all(least1(most1(x, -60.0f), 60.0f)))[0]; }

#endif
