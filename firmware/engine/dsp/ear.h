/* What an encoder hears: log-mel bands and the loudness of a hop of 256 samples and what was before it.
 *
 *     power_b  = Σ_k bank[b, k] · |Σ_n window[n] · x[n] · exp(−2πi·k·n / 1024)|²
 *     band_b   = 0.2 · (log(power_b + 1e-7) + 7)
 *     loudness = 0.5 · (log(Σ_n weight[n] · x[n]² + 1e-8) + 8)
 *
 * The window is 0 for 256 samples, rises like half a Hann window of 1024, and falls like half a one of 512. A bin lies
 * in two neighbouring bands at most. Tables: kernelgen/ear.py. The loudness is told as soon as a hop is complete; the
 * bands are heard in pieces, so that their price can be spread.
 */
#ifndef VAECTROL_DSP_EAR_H
#define VAECTROL_DSP_EAR_H

#include "fft.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_HOP 256u
#define VK_EAR_SIZE 1024u
#define VK_EAR_BINS 513u
#define VK_EAR_LOUDNESS 768u
#define VK_EAR_BANDS 64u /* at most, a multiple of 4 */

typedef struct vk_ear {
    const uint8_t *band;        /* [513] the lower band of each bin */
    const float *lower, *upper; /* [513] its shares in that one and the next */
    const float *weight;        /* [768] */
    uint16_t bands;
} vk_ear;

typedef struct vk_ear_state {
    float past[VK_EAR_SIZE]; /* the newest hop last */
    vk_complex bins[VK_EAR_SIZE / 2u + 1u];
    float power[2][VK_EAR_BANDS + 1u]; /* of the lower half of the bins, and of the upper one */
} vk_ear_state;

#define VK_EAR_PIECES 9u

void vk_ear_reset(vk_ear_state *state);
/* Take a hop [256] in and tell its loudness. */
void vk_ear_take(const vk_ear *ear, vk_ear_state *state, const float *audio, float *loudness);
/* Piece 0 … VK_EAR_PIECES − 1, in order, of hearing the hop taken last. heard: [bands], written by the last. */
void vk_ear_hear(const vk_ear *ear, const vk_fft_roots *roots, vk_ear_state *state, uint32_t piece, float *heard);

#ifdef __cplusplus
}
#endif
#endif
