/* Two-dimensional maps (plane → all latents). */
#include "table.h"

void table_map(const float *grid, uint16_t size, uint16_t latents, float x, float y, float *out) {
    const float px = bound_unit(x) * (float)(size - 1u);
    const float py = bound_unit(y) * (float)(size - 1u);
    const uint16_t last = (uint16_t)(size - 2u);
    const uint16_t column = (uint16_t)px > last ? last : (uint16_t)px;
    const uint16_t row = (uint16_t)py > last ? last : (uint16_t)py;
    const float fx = px - (float)column;
    const float fy = py - (float)row;
    const float *top = grid + ((size_t)row * size + column) * latents;
    const float *bottom = top + (size_t)size * latents;
    for (uint16_t i = 0; i < latents; ++i) {
        const float upper = top[i] + fx * (top[latents + i] - top[i]);
        const float lower = bottom[i] + fx * (bottom[latents + i] - bottom[i]);
        out[i] = upper + fy * (lower - upper);
    }
}
