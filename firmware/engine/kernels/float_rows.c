/* Float32, element by element: sums, products, piecewise linear activations. */
#include "rows.h"

void vk_add_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes) {
    VK_ROWS_2(float, x + y)
}

void vk_sub_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes) {
    VK_ROWS_2(float, x - y)
}

void vk_mul_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes) {
    VK_ROWS_2(float, x *y)
}

void vk_scale_f32(const float *gain, const float *offset, const float *a, size_t a_step, float *out, size_t out_step,
                  size_t frames, size_t lanes) {
    VK_ROWS_C(float, x *gain[c] + offset[c])
}

void vk_leaky_f32(float slope, const float *a, size_t a_step, float *out, size_t out_step, size_t frames,
                  size_t lanes) {
    VK_ROWS_1(float, float, x >= 0.0f ? x : x * slope)
}

void vk_clip_f32(float low, float high, const float *a, size_t a_step, float *out, size_t out_step, size_t frames,
                 size_t lanes) {
    VK_ROWS_1(float, float, x<low ? low : x> high ? high : x)
}
