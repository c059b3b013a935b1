/* The end of a GRU step: the new state between the candidate n and the old state h. */
#include "vk.h"

void vk_gru_blend_s16(const int16_t *z, const int16_t *n, const int16_t *h, int16_t *out, size_t lanes) {
    for (size_t c = 0; c < lanes; c++) {
        /* |h - n| ≤ 65535 and z ≤ 32767: the product and its rounding stay below 2^31 */
        out[c] = (int16_t)(n[c] + (((h[c] - n[c]) * z[c] + (1 << 14)) >> 15));
    }
}

void vk_gru_blend_f32(const float *z, const float *n, const float *h, float *out, size_t lanes) {
    for (size_t c = 0; c < lanes; c++) {
        out[c] = n[c] + (h[c] - n[c]) * z[c];
    }
}
