/* Tables from the model file: quantiles (travel → latent) and two-dimensional maps (plane → all latents). */
#ifndef VAECTROL_CONTROL_TABLE_H
#define VAECTROL_CONTROL_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "bound.h"

#ifdef __cplusplus
extern "C" {
#endif

/* points values at even spacing of 0 … 1; straight lines between. points ≥ 2. */
static inline float table_at(const float *table, uint16_t points, float position) {
    const float x = bound_unit(position) * (float)(points - 1u);
    const uint16_t last = (uint16_t)(points - 2u);
    uint16_t i = (uint16_t)x;
    if (i > last) {
        i = last;
    }
    return table[i] + (x - (float)i) * (table[i + 1u] - table[i]);
}

/* grid[y][x][latents], size × size; bilinear. */
void table_map(const float *grid, uint16_t size, uint16_t latents, float x, float y, float *out);

#ifdef __cplusplus
}
#endif
#endif
