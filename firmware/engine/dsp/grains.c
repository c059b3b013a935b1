/* Grains. */
#include "grains.h"

#define BETWEEN (1.0f / (float)VK_GRAIN_ONE)
#define HALF 2147483648.0f

/* Samples for which a place lies before the end of what 32 bits count. */
static size_t lasts(uint32_t place, uint32_t speed) {
    return speed == 0u ? SIZE_MAX : (size_t)((0xFFFFFFFFu - place) / speed) + 1u;
}

void vk_grain_add(vk_grain *grain, float *left, float *right, size_t count) {
    const size_t window = lasts(grain->age, grain->pace), piece = lasts(grain->place, grain->speed);
    const size_t left_over = window < piece ? window : piece, some = count < left_over ? count : left_over;
    const int16_t *x = grain->piece;
    const float to_left = grain->left / VK_GRAIN_SCALE, to_right = grain->right / VK_GRAIN_SCALE;
    uint32_t place = grain->place, age = grain->age;
    for (size_t n = 0; n < some; ++n) {
        const int16_t *at = x + (place >> (32u - VK_GRAIN_BITS));
        const float a = (float)at[0], way = (float)(at[1] - at[0]);
        const float between = (float)(int32_t)(place & (VK_GRAIN_ONE - 1u)) * BETWEEN;
        const float u = (float)(int32_t)(age ^ 0x80000000u) * (1.0f / HALF);
        const float hill = 1.0f - u * u;
        const float y = (a + between * way) * (hill * hill);
        left[n] += to_left * y;
        right[n] += to_right * y;
        place += grain->speed;
        age += grain->pace;
    }
    grain->place = place;
    grain->age = age;
    if (some == left_over) {
        grain->piece = NULL;
    }
}
