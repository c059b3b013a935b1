/* The functions of float_functions.h over rows. */
#include "float_functions.h"

#include "rows.h"

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
    VK_ROWS_1(float, float, sine(x))
}

void vk_erf_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes) {
    VK_ROWS_1(float, float, error_function(x))
}

void vk_snake_f32(const float *rate, const float *scale, const float *a, size_t a_step, float *out, size_t out_step,
                  size_t frames, size_t lanes) {
    VK_ROWS_C(float, snaked(x, rate[c], scale[c]))
}
