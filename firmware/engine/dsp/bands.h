/* White noise in bands whose gains change every millisecond.
 *
 *     y[n] = Σ_b g_b[n] · Σ_k h_b[k] · x[n − k],   x[n] = (int32(hash32(n + key)) >> 22) / 512
 *
 * A frame of 48 samples at a time. The bands' symmetric filters, each times its gain, add up to one filter, at the
 * frame's begin and at its end; the sound goes over from the one to the other in a straight line, which is the same as
 * straight gains. Noise and filters are int16: 90 dB below the loudest band nothing is left.
 */
#ifndef VAECTROL_DSP_BANDS_H
#define VAECTROL_DSP_BANDS_H

#include <stdint.h>

#include "modes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_BAND_TAPS 128u
#define VK_BANDS 64u /* at most, a multiple of 4 */

/* Constants of a model, made by firmware/kernelgen/bands.py. */
typedef struct vk_bands {
    /* [16][count / 2][4][2] and six more: the first half of every band's filter, its largest tap 32767; at whole words */
    const int16_t *half;
    const float *peak; /* [count]: log of that tap */
    uint16_t count;
} vk_bands;

typedef struct vk_band_filter {
    int16_t tap[VK_BAND_TAPS];
    float scale; /* of a sum; 0: nothing sounds */
} vk_band_filter;

typedef struct vk_band_state {
    vk_band_filter filter[2];
    uint32_t key;   /* of sample 0 of the next frame */
    uint32_t newer; /* which filter is the newer one */
    /* The last 128 samples and a frame, twice: the second time one place earlier, so that any two lie in a word; two
     * more are read and never used. */
    int16_t heard[2][VK_BAND_TAPS + VK_HIT_FRAME + 2u];
} vk_band_state;

/* Gains are exp(before + part · (after − before)), clamped to −12 … 2.5 and 0 from −11.9 down. */
typedef struct vk_band_gains {
    const float *before, *after; /* [count] natural logs */
    float part;
} vk_band_gains;

uint32_t vk_hit_key(uint32_t seed, uint32_t hit);
void vk_bands_filter(const vk_bands *bands, const vk_band_gains *gains, vk_band_filter *filter);
/* first: the filter at the stroke. */
void vk_bands_start(vk_band_state *state, uint32_t key, const vk_band_filter *first);
/* Adds a frame to out[48]; gains: at its end; whether any is above 0. */
bool vk_bands_frame(const vk_bands *bands, vk_band_state *state, const vk_band_gains *gains, float *out);

#ifdef __cplusplus
}
#endif
#endif
