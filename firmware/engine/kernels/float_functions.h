/* exp, tanh, sigmoid, softplus, sine, erf and snake in float32 without libm, the same bits on every target.
 *
 * Range reduction in two or three parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980), then
 * a short polynomial. No branch depends on the data, so a compiler can vectorise; nothing is contracted to FMA.
 */
#ifndef VAECTROL_KERNELS_FLOAT_FUNCTIONS_H
#define VAECTROL_KERNELS_FLOAT_FUNCTIONS_H

#include <stdint.h>

/* nearest integer, half to even, for |v| < 2^22 */
static inline float nearest(float v) {
    const float magic = 12582912.0f; /* 1.5·2^23 */
    return (v + magic) - magic;
}

/* 2^n for -126 ≤ n ≤ 127 */
static inline float power_of_two(int32_t n) {
    const union {
        uint32_t bits;
        float value;
    } u = {(uint32_t)(n + 127) << 23};
    return u.value;
}

static inline float exponential(float x) {
    /* beyond these the result is infinite or below the smallest normal number, which we call 0 */
    const float top = 88.7228394f, bottom = -87.3365448f;
    const float v = x > top ? top : x < bottom ? bottom : x;
    const float n = nearest(v * 1.44269504f);
    const float r = (v - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * (r * r) + r + 1.0f;
    /* in two steps, since 2^128 is not a float */
    const int32_t k = (int32_t)n, half = k / 2;
    const float y = p * power_of_two(half) * power_of_two(k - half);
    const union {
        uint32_t bits;
        float value;
    } infinite = {0x7f800000u};
    return x > top ? infinite.value : x < bottom ? 0.0f : x != x ? x : y;
}

static inline float hyperbolic_tangent(float x) {
    /* odd, and exp of the negative side only, so that nothing overflows */
    const float a = x < 0.0f ? x : -x;
    const float e = exponential(2.0f * a);
    const float y = (1.0f - e) / (1.0f + e);
    return x < 0.0f ? -y : y;
}

static inline float logistic(float x) {
    const float e = exponential(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float soft_plus(float x) {
    /* max(x, 0) + log1p(e^-|x|), log1p(t) = 2 artanh(t / (2 + t)) */
    const float t = exponential(x < 0.0f ? x : -x);
    const float s = t / (2.0f + t), z = s * s;
    float p = 2.0f / 17.0f;
    p = p * z + 2.0f / 15.0f;
    p = p * z + 2.0f / 13.0f;
    p = p * z + 2.0f / 11.0f;
    p = p * z + 2.0f / 9.0f;
    p = p * z + 2.0f / 7.0f;
    p = p * z + 2.0f / 5.0f;
    p = p * z + 2.0f / 3.0f;
    p = p * z + 2.0f;
    return (x > 0.0f ? x : 0.0f) + p * s;
}

static inline float sine(float x) {
    const float n = nearest(x * 0.318309886f);
    const float r = ((x - n * 3.140625f) - n * 9.67502594e-4f) - n * 1.50995799e-7f;
    const float z = r * r;
    float p = -2.50521084e-8f;
    p = p * z + 2.75573192e-6f;
    p = p * z + -1.98412698e-4f;
    p = p * z + 8.33333333e-3f;
    p = p * z + -1.66666667e-1f;
    const float y = r + r * (z * p);
    return ((int32_t)n & 1) ? -y : y;
}

/* Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26: within 1.5e-7 */
static inline float error_function(float x) {
    const float a = x < 0.0f ? -x : x;
    const float t = 1.0f / (1.0f + 0.3275911f * a);
    float p = 1.061405429f;
    p = p * t + -1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t + -0.284496736f;
    p = p * t + 0.254829592f;
    const float y = 1.0f - p * t * exponential(-(a * a));
    return x < 0.0f ? -y : y;
}

static inline float snaked(float x, float rate, float scale) {
    const float s = sine(rate * x);
    return x + s * s * scale;
}

#endif
