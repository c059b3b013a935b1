/* A grain: a windowed reading of a piece of sound, at any speed.
 *
 *     y[n] = (a + f·(b − a)) · (1 − u²)²      a, b: neighbours in the piece, f: between them, u: −1 … 1 over the grain
 *
 * Both places are whole numbers: 12 bits of samples with 20 bits between them, and 32 bits of the window. So the pitch
 * is exact, and a grain is the same however it is cut into blocks.
 */
#ifndef VAECTROL_DSP_GRAINS_H
#define VAECTROL_DSP_GRAINS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VK_GRAIN_BITS 12u
#define VK_GRAIN_SIZE (1u << VK_GRAIN_BITS)
#define VK_GRAIN_ONE (1u << (32u - VK_GRAIN_BITS)) /* a sample, as a place counts it */
#define VK_GRAIN_SCALE 8192.0f                     /* a piece's number for a sound of 1 */

typedef struct vk_grain {
    const int16_t *piece;  /* [VK_GRAIN_SIZE + 1], the last twice; NULL: it rests */
    uint32_t place, speed; /* in the piece */
    uint32_t age, pace;    /* in the window; pace above 0 */
    float left, right;
} vk_grain;

/* Adds it to some samples; it rests when its window or its piece is over. */
void vk_grain_add(vk_grain *grain, float *left, float *right, size_t count);

#ifdef __cplusplus
}
#endif
#endif
