/* exp, tanh, sigmoid, softplus, sine, erf and snake in float32 without libm, the same bits on every target.
 *
 * Range reduction in two or three parts (Cody and Waite, "Software Manual for the Elementary Functions", 1980), then
 * a short polynomial. No branch depends on the data, so a compiler can vectorise; nothing is contracted to FMA.
 */
#include "rows.h"

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

/* sin(r) for |r| ≤ π/2, negated where `odd` half turns were taken off */
static inline float sine_near_zero(float r, int32_t odd) {
    const float z = r * r;
    float p = -2.50521084e-8f;
    p = p * z + 2.75573192e-6f;
    p = p * z + -1.98412698e-4f;
    p = p * z + 8.33333333e-3f;
    p = p * z + -1.66666667e-1f;
    const float y = r + r * (z * p);
    return (odd & 1) ? -y : y;
}

#define SINE_NEAR 8192.0f /* up to here three parts of π are exact enough */

static inline float sine(float x) {
    const float n = nearest(x * 0.318309886f);
    const float r = ((x - n * 3.140625f) - n * 9.67502594e-4f) - n * 1.50995799e-7f;
    return sine_near_zero(r, (int32_t)n);
}

/* Any argument. Beyond SINE_NEAR its mantissa is multiplied by the 64 bits of 1/π that decide where in the turn it
 * lies (Payne and Hanek, "Radian reduction for trigonometric functions", 1983); infinity and NaN give NaN. */
static float sine_anywhere(float x) {
    /* 1/π behind 32 zeros */
    static const uint32_t digits[8] = {0u,          0x517cc1b7u, 0x27220a94u, 0xfe13abe8u,
                                       0xfa9a6ee0u, 0x6db14accu, 0x9e21c820u, 0xff28b1d5u};
    if (x >= -SINE_NEAR && x <= SINE_NEAR) {
        return sine(x);
    }
    const union {
        float value;
        uint32_t bits;
    } u = {x};
    const uint32_t exponent = (u.bits >> 23) & 255u; /* 140 … 254 */
    if (exponent == 255u) {
        return x - x;
    }
    const uint32_t at = exponent - 119u, word = at >> 5, shift = at & 31u;
    const uint64_t two = ((uint64_t)digits[word] << 32) | digits[word + 1u];
    const uint64_t window = (two << shift) | (((uint64_t)digits[word + 2u] << shift) >> 32);
    const uint64_t turns = ((u.bits & 0x7fffffu) | 0x800000u) * window; /* 2^64 is two half turns */
    const uint32_t top = (uint32_t)(turns >> 32);
    const float r = (float)(int32_t)(top << 1) * 7.31459036e-10f; /* π/2^32 */
    const float y = sine_near_zero(r, (int32_t)((top ^ (top << 1)) >> 31));
    return x < 0.0f ? -y : y;
}

/* Whether some argument is beyond SINE_NEAR, or no number: then not all rows can go through `sine`. */
static int32_t any_far(const float *a, size_t a_step, size_t frames, size_t lanes) {
    int32_t far = 0;
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            const float x = a[t * a_step + c];
            far |= !(x >= -SINE_NEAR && x <= SINE_NEAR);
        }
    }
    return far;
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
    const float s = sine_anywhere(rate * x);
    return x + s * s * scale;
}

void vk_exp_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, exponential(x))
}

void vk_tanh_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, hyperbolic_tangent(x))
}

void vk_sigmoid_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, logistic(x))
}

void vk_softplus_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, soft_plus(x))
}

void vk_sin_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    if (any_far(a, a_step, frames, lanes)) {
        VK_ROWS_1(float, float, sine_anywhere(x))
        return;
    }
    VK_ROWS_1(float, float, sine(x))
}

void vk_erf_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, error_function(x))
}

void vk_snake_f32(const float *rate, const float *scale, const float *a, size_t a_step, float *out, size_t out_step,
                  size_t frames, size_t lanes) {
    VK_ROWS_C(float, snaked(x, rate[c], scale[c]))
}
